"""What may a JSON object of a world hold?"""

from collections.abc import Mapping
from typing import Any

from agent.errors import ConfigurationError


def members(document: object, known: Mapping[str, type], what: str, *needed: str) -> dict[str, Any]:
    """The members of an object, each known and of its type, those of `needed` all there. Raises ConfigurationError."""
    if not isinstance(document, dict):
        raise ConfigurationError(f"a {what} is a JSON object", hint=f"with the members {', '.join(known)}")
    for name, value in document.items():
        if name not in known:
            raise ConfigurationError(f"a {what} has no {name!r}", hint=f"it has: {', '.join(known)}")
        if not isinstance(value, known[name]) or (isinstance(value, bool) and known[name] is not bool):
            raise ConfigurationError(
                f"{name} of a {what} is of the type {type(value).__name__}", hint=f"make it {known[name].__name__}"
            )
    for name in needed:
        if name not in document:
            raise ConfigurationError(f"a {what} needs {name}", hint="add it")
    return dict(document)
