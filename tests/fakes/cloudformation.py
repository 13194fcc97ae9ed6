"""What does CloudFormation make of a template? Its short forms, and what they come to once resources are there."""

import re
from collections.abc import Mapping

import yaml


class Reader(yaml.SafeLoader):  # type: ignore[misc]  # for want of those stubs
    """Reads CloudFormation's short forms as what they are short for."""


def _function(loader: Reader, suffix: str, node: yaml.Node) -> dict[str, object]:
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.ScalarNode)
    return {suffix: loader.construct_scalar(node)}


Reader.add_multi_constructor("!", _function)


def read(text: str) -> dict[str, dict[str, dict[str, object]]]:
    """The template, with each short form as a mapping of one member."""
    found = yaml.load(text, Reader)
    assert isinstance(found, dict)
    return found


def resolved(value: object, values: Mapping[str, str]) -> object:
    """With `Ref`, `GetAtt` and `Sub` replaced by what `values` has under `Name` or `Name.Attribute`."""
    if isinstance(value, list):
        return [resolved(item, values) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() in ({"Ref"}, {"GetAtt"}):
        (name,) = value.values()
        return values[name]
    if value.keys() == {"Sub"}:
        return re.sub(r"\$\{([^}]+)\}", lambda found: values[found[1]], value["Sub"])
    return {name: resolved(item, values) for name, item in value.items()}
