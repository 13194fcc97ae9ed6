"""What does a token ask STS to put on the session?

The claims under https://aws.amazon.com/: the roles it may be used for, session tags (nested and flattened), and
the source identity.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.sandbox.refusals import (
    BAD_PRINCIPAL_TAGS,
    BAD_TAGS,
    ROLE_NOT_PINNED,
    invalid_token,
)

_ROLES: Final = "https://aws.amazon.com/roles"
_TAGS: Final = "https://aws.amazon.com/tags"
_SOURCE: Final = "https://aws.amazon.com/source_identity"
_FLAT_TAG: Final = f"{_TAGS}/principal_tags/"
_FLAT_TRANSITIVE: Final = f"{_TAGS}/transitive_tag_keys"
#: IAM's [\p{L}\p{Z}\p{N}_.:/=+\-@]: letters, blanks, numbers and a few signs.
_TAG_TEXT: Final = re.compile(r"[\w\s.:/=+\-@]*")
_MOST_TAGS: Final = 50


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the token asks for beyond being believed."""

    pinned: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: tuple[str, ...] = ()
    source_identity: str | None = None


def read_wishes(claims: Mapping[str, object], role_arn: str) -> Wishes:
    """Read the claims. Raises Refusal, first of all if the token is pinned to other roles than `role_arn`."""
    pinned = _is_pinned(claims.get(_ROLES), role_arn)
    tags, transitive = _tags(claims)
    source = claims.get(_SOURCE)
    if source is not None and (
        not isinstance(source, str) or not re.fullmatch(r"[\w+=,.@-]{2,64}", source, re.ASCII)
    ):  # the text is a guess
        raise invalid_token("Source identity passed in claim is not in correct format.")
    return Wishes(pinned, tags, transitive, source)


def _is_pinned(claim: object, role_arn: str) -> bool:
    """Whether the token names its roles, and this one among them: literal ARNs, no wildcards, no names."""
    if claim is None:
        return False
    named = [claim] if isinstance(claim, str) else claim
    if not isinstance(named, list) or role_arn not in named:
        raise invalid_token(ROLE_NOT_PINNED)
    return True


def _tags(claims: Mapping[str, object]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Session tags and the keys of those that pass on to chained roles. Raises Refusal."""
    nested = claims.get(_TAGS, {})
    if not isinstance(nested, Mapping):
        raise invalid_token(BAD_TAGS)
    principal = nested.get("principal_tags", {})
    if not isinstance(principal, Mapping):
        raise invalid_token(BAD_PRINCIPAL_TAGS)
    tags = {str(key): _one_text(value, nested=True) for key, value in principal.items()}
    flat = {name[len(_FLAT_TAG) :]: value for name, value in claims.items() if name.startswith(_FLAT_TAG)}
    tags |= {key: _one_text(value, nested=False) for key, value in flat.items()}
    transitive = nested.get("transitive_tag_keys", claims.get(_FLAT_TRANSITIVE, []))
    if not isinstance(transitive, list) or not all(isinstance(one, str) for one in transitive):
        raise invalid_token(BAD_TAGS)
    _check_tags(tags, tuple(transitive))
    return tags, tuple(transitive)


def _one_text(value: object, *, nested: bool) -> str:
    """The value of a tag: a list of exactly one string where nested; flattened, the string itself will do."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    elif nested:
        raise invalid_token(BAD_TAGS)
    if not isinstance(value, str):
        raise invalid_token(BAD_TAGS)
    return value


def _check_tags(tags: Mapping[str, str], transitive: tuple[str, ...]) -> None:
    """IAM's limits: 50 tags, keys of 1 to 128, values of up to 256, no two keys that differ in case alone."""
    fits = len(tags) <= _MOST_TAGS and len({key.lower() for key in tags}) == len(tags)
    for key, value in tags.items():
        fits &= 1 <= len(key) <= 128 and len(value) <= 256 and not key.lower().startswith("aws:")
        fits &= all(_TAG_TEXT.fullmatch(text) is not None for text in (key, value))
    if not fits or not set(transitive) <= set(tags):
        raise invalid_token(BAD_TAGS)
