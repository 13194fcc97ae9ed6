"""How are the pools of Cognito written down?

As JSON objects with the fields of UserPool, AppClient, User and IdentityPool; durations in seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final, TypeVar

from agent.errors import ConfigurationError
from agent.sandbox.pools import AppClient, IdentityPool, User, UserPool

T = TypeVar("T")
_SPANS: Final = ("grace", "token_lifetime", "refresh_lifetime")
#: What a field is written as, by the type that its annotation begins with.
_TYPES: Final[Mapping[str, type]] = {"tuple": list, "bool": bool, "int": int, "Mapping": dict, "timedelta": int}


def user_pool_as_json(pool: UserPool) -> dict[str, object]:
    """Write a user pool."""
    return {
        **_plain(pool),
        "clients": [_plain(one) for one in pool.clients],
        "users": [_plain(one) for one in pool.users],
    }


def identity_pool_as_json(pool: IdentityPool) -> dict[str, object]:
    """Write an identity pool."""
    return {**_plain(pool), "clients": [list(one) for one in pool.clients]}


def user_pool_from_json(document: object) -> UserPool:
    """Read a user pool. Raises ConfigurationError."""
    return _read(
        UserPool,
        document,
        "user pool",
        clients=lambda one: _read(AppClient, one, "app client"),
        users=lambda one: _read(User, one, "user"),
    )


def identity_pool_from_json(document: object) -> IdentityPool:
    """Read an identity pool. Raises ConfigurationError."""
    return _read(IdentityPool, document, "identity pool", clients=_pair)


def _plain(value: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for one in fields(value):  # type: ignore[arg-type]  # a dataclass, one of four
        member = getattr(value, one.name)
        if isinstance(member, timedelta):
            member = int(member.total_seconds())
        elif isinstance(member, tuple):
            member = list(member)
        elif isinstance(member, Mapping):
            member = dict(member)
        if member is not None:
            found[one.name] = member
    return found


def _read(kind: type[T], document: object, what: str, **readers: Callable[[object], object]) -> T:
    """Read the members of an object, each known and of its type. Raises ConfigurationError."""
    known = {one.name: str(one.type) for one in fields(kind)}  # type: ignore[arg-type]  # a dataclass, one of four
    if not isinstance(document, dict):
        raise ConfigurationError(f"a {what} is a JSON object", hint=f"with the members {', '.join(known)}")
    members: dict[str, Any] = {}
    for name, value in document.items():
        if name not in known:
            raise ConfigurationError(f"a {what} has no {name!r}", hint=f"it has: {', '.join(known)}")
        members[name] = _member(what, name, value, readers.get(name))
    try:
        return kind(**members)
    except TypeError as missing:
        raise ConfigurationError(f"a {what} lacks a member: {missing}", hint="add it") from missing


def _member(what: str, name: str, value: object, reader: Callable[[object], object] | None) -> object:
    wanted: type = str
    for kind in (AppClient, User, UserPool, IdentityPool):
        for one in fields(kind):
            if one.name == name:
                written = one.type if isinstance(one.type, str) else getattr(one.type, "__name__", str(one.type))
                wanted = _TYPES.get(written.partition("[")[0], str)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ConfigurationError(
            f"{name} of a {what} is of the type {type(value).__name__}", hint=f"make it {wanted.__name__}"
        )
    if name in _SPANS:
        assert isinstance(value, int)
        return timedelta(seconds=max(-1, min(value, 10**9)))  # what is out of bounds is refused by the value
    if isinstance(value, list):
        return tuple(reader(one) if reader else str(one) for one in value)
    if isinstance(value, dict):
        return {str(key): str(one) for key, one in value.items()}
    return value


def _pair(document: object) -> tuple[str, str]:
    if not isinstance(document, list) or len(document) != 2:
        raise ConfigurationError(
            "a client of an identity pool is a list of two", hint="the user pool's provider name, and the client's id"
        )
    return str(document[0]), str(document[1])
