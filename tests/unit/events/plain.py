"""What is true of every fact: it stays as it is, is told apart by what it says, and has no room for a secret."""

import dataclasses
import typing
from collections.abc import Sequence

import pytest

from agent.secret import Secret

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: What could hold bytes, or whatever somebody else has said.
_HIDING = (bytes, bytearray, memoryview, dict, object, Secret)


def check_kinds(union: object, examples: Sequence[object]) -> None:
    """There is one example of each kind; each kind says what happened, in words of its own."""
    kinds = typing.get_args(union)
    assert [type(example) for example in examples] == list(dict.fromkeys(type(example) for example in examples))
    assert {type(example) for example in examples} == set(kinds)
    for kind in kinds:
        assert kind.__doc__ is not None
        assert not kind.__doc__.startswith(f"{kind.__name__}(")  # what dataclass writes when nobody did
        for hint in typing.get_type_hints(kind).values():
            assert hint not in _HIDING
            assert not {*_HIDING} & {*typing.get_args(hint)}


def check_plain(examples: Sequence["DataclassInstance"]) -> None:
    """They are equal to what is made of the same, can be counted in sets, and cannot be changed."""
    assert len(set(examples)) == len(examples)
    for example in examples:
        assert dataclasses.replace(example) == example
        assert not hasattr(example, "__dict__")
        for field in dataclasses.fields(example):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(example, field.name, "other")
