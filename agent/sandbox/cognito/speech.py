"""How is Cognito spoken to?

JSON 1.1: the operation in X-Amz-Target, its parameters as a JSON object, errors as another with their name in __type.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.sandbox.documents import Value, as_json
from agent.sandbox.refusals import Refusal
from agent.sandbox.wire import Reply, Wire

MEDIA_TYPE: Final = "application/x-amz-json-1.1"
_LONGEST: Final = 131_072


@dataclass(frozen=True, slots=True)
class Spoken:
    """An operation, and what is asked of it; nothing is checked but that it is a JSON object."""

    operation: str
    members: Mapping[str, object]

    def text(self, name: str, pattern: str = r"(?s).*", least: int = 0, most: int = _LONGEST) -> str:
        """A member that must be there. Raises Refusal."""
        found = self.maybe(name, pattern, least, most)
        if found is None:
            raise _invalid(name, "Member must not be null")
        return found

    def maybe(self, name: str, pattern: str = r"(?s).*", least: int = 0, most: int = _LONGEST) -> str | None:
        """A member that may be left out. Raises Refusal."""
        value = self.members.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise Refusal("SerializationException", f"{name} cannot be converted to a String")
        if len(value) < least:
            raise _invalid(name, f"Member must have length greater than or equal to {least}")
        if len(value) > most:
            raise _invalid(name, f"Member must have length less than or equal to {most}")
        if not re.fullmatch(pattern, value, re.ASCII):
            raise _invalid(name, f"Member must satisfy regular expression pattern: {pattern}")
        return value

    def table(self, name: str, most: int = 100) -> Mapping[str, str]:
        """A member that is a table of texts, empty if it is left out. Raises Refusal."""
        value = self.members.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise Refusal("SerializationException", f"{name} cannot be converted to a Map")
        if len(value) > most:
            raise _invalid(name, f"Member must have length less than or equal to {most}")
        return value

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        """A member that is one of these words. Raises Refusal."""
        value = self.text(name)
        if value not in known:
            raise _invalid(name, f"Member must satisfy enum value set: [{', '.join(known)}]")
        return value


def operation_of(wire: Wire, service: str) -> str | None:
    """The operation that a request asks of this service, or None if it is for another."""
    target, _, operation = wire.headers.get("x-amz-target", "").partition(".")
    return operation if target == service else None


def spoken(wire: Wire, operation: str) -> Spoken:
    """Read a request. Raises Refusal."""
    if wire.method != "POST" or wire.headers.get("content-type", "").partition(";")[0] != MEDIA_TYPE:
        raise Refusal("UnknownOperationException", "")
    try:
        members = json.loads(wire.body)
    except (ValueError, RecursionError) as failure:
        raise Refusal("SerializationException", "Start of structure or map found where not expected.") from failure
    if not isinstance(members, dict):
        raise Refusal("SerializationException", "Start of structure or map found where not expected.")
    return Spoken(operation, members)


def success(result: Value, request_id: str) -> Reply:
    """Wrap a result."""
    return Reply(200, as_json(result), MEDIA_TYPE, {"x-amzn-requestid": request_id})


def failure(refusal: Refusal, request_id: str) -> Reply:
    """Wrap a refusal."""
    body = as_json({"__type": refusal.code, "message": refusal.message})
    headers = {"x-amzn-requestid": request_id, "x-amzn-errortype": f"{refusal.code}:"}
    return Reply(refusal.status, body, MEDIA_TYPE, headers)


def _invalid(name: str, constraint: str) -> Refusal:
    member = name[0].lower() + name[1:]
    return Refusal(
        "InvalidParameterException",
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {constraint}",
    )
