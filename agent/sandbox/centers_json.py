"""How is an Identity Center written down?

As one JSON object with the fields of IdentityCenter; durations in seconds.
"""

from datetime import timedelta
from typing import Any, Final

from agent.errors import ConfigurationError
from agent.sandbox.centers import Account, IdentityCenter, PermissionSet, User
from agent.sandbox.members import members

_DURATIONS: Final = ("session", "access_token", "registration", "code", "device_code", "interval")
_CENTER: Final = {
    "start_url": str, "region": str, "accounts": list, "permission_sets": list, "users": list, "scopes": list,
    **dict.fromkeys(_DURATIONS, int), "rotates": bool, "page": int,
}  # fmt: skip
_ACCOUNT: Final = {"id": str, "name": str, "email": str}
_PERMISSION_SET: Final = {"name": str, "session": int, "policies": list}
_USER: Final = {"name": str, "assignments": dict}
#: Ten years, in seconds: what is more is refused as a mistake, and may be more than a timedelta can hold.
_LONGEST: Final = 315_360_000


def identity_center_as_json(center: IdentityCenter) -> dict[str, object]:
    """Write an Identity Center."""
    return {
        "start_url": center.start_url,
        "region": center.region,
        "accounts": [{"id": one.id, "name": one.name, "email": one.email} for one in center.accounts],
        "permission_sets": [
            {"name": one.name, "session": _seconds(one.session), "policies": list(one.policies)}
            for one in center.permission_sets
        ],
        "users": [
            {"name": one.name, "assignments": {account: list(sets) for account, sets in one.assignments.items()}}
            for one in center.users
        ],
        "scopes": list(center.scopes),
        **{name: _seconds(getattr(center, name)) for name in _DURATIONS},
        "rotates": center.rotates,
        "page": center.page,
    }


def identity_center_from_json(document: object) -> IdentityCenter:
    """Read an Identity Center; what is left out has IdentityCenter's default. Raises ConfigurationError."""
    fields = members(document, _CENTER, "identity center")
    for name in _DURATIONS:
        if name in fields:
            fields[name] = _duration(fields[name], name)
    fields["accounts"] = tuple(
        Account(**members(one, _ACCOUNT, "account", "id", "name")) for one in fields.get("accounts", ())
    )
    fields["permission_sets"] = tuple(_permission_set(one) for one in fields.get("permission_sets", ()))
    fields["users"] = tuple(_user(one) for one in fields.get("users", ()))
    if "scopes" in fields:
        fields["scopes"] = _texts(fields["scopes"], "the scopes of an identity center")
    return IdentityCenter(**fields)


def _permission_set(document: object) -> PermissionSet:
    fields: dict[str, Any] = members(document, _PERMISSION_SET, "permission set", "name")
    if "session" in fields:
        fields["session"] = _duration(fields["session"], "session")
    fields["policies"] = tuple(fields.get("policies", ()))
    return PermissionSet(**fields)


def _user(document: object) -> User:
    fields = members(document, _USER, "user", "name")
    assigned = fields.get("assignments", {})
    return User(
        fields["name"], {account: _texts(sets, f"assignments of {account}") for account, sets in assigned.items()}
    )


def _texts(document: object, what: str) -> tuple[str, ...]:
    """A list of strings. Raises ConfigurationError."""
    if not isinstance(document, list) or not all(isinstance(one, str) for one in document):
        raise ConfigurationError(f"{what} are no list of names", hint='write ["one", "two"]')
    return tuple(document)


def _duration(seconds: int, name: str) -> timedelta:
    """So many seconds. Raises ConfigurationError."""
    if not 0 <= seconds <= _LONGEST:
        raise ConfigurationError(f"{name} cannot be {seconds} seconds", hint=f"give 1 to {_LONGEST}")
    return timedelta(seconds=seconds)


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
