"""What did the client write into the body of its request?"""

import json
import re
from collections.abc import Mapping
from typing import Final, TypeGuard

from agent.sandbox.identity_center.refusals import oidc_refusal

_INVALID: Final = "InvalidRequestException"
#: Halves of characters, which JSON can spell and nothing can write.
_UNSPEAKABLE: Final = re.compile("[\ud800-\udfff]")


class Asked:
    """The members of a JSON body, each read as what it should be. Every method raises Refusal."""

    def __init__(self, body: bytes) -> None:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as failure:
            raise oidc_refusal(_INVALID, "the body is not JSON") from failure
        if not isinstance(document, Mapping):
            raise oidc_refusal(_INVALID, "the body is no JSON object")
        self._members: Mapping[str, object] = document

    def text(self, name: str) -> str:
        """A string that must be there, and must not be empty."""
        value = self.perhaps(name)
        if not value:
            raise oidc_refusal(_INVALID, f"{name} is missing")
        return value

    def perhaps(self, name: str) -> str:
        """A string, or "" where there is none."""
        value = self._members.get(name)
        if value is None:
            return ""
        if not _is_text(value):
            raise oidc_refusal(_INVALID, f"{name} is no string")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; empty where there is none."""
        value = self._members.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(map(_is_text, value)):
            raise oidc_refusal(_INVALID, f"{name} is no list of strings")
        return tuple(value)


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and not _UNSPEAKABLE.search(value)
