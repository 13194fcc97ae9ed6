"""How is a sign-in spelt in its file?

Names of members, and how times are written, are those of the AWS CLI (version 2), which are nowhere promised and have
been the same since there were any. What we do not know in a file stays in it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from agent.clock import instant
from agent.secret import Secret
from agent.sign_in import Portal, Registration, SignIn

#: No such file is larger, in bytes: tokens have some hundred characters, registrations of old some thousand.
LARGEST: Final = 65_536

#: The members of a sign-in's file, in the order in which they are written.
_OURS: Final = (
    "startUrl", "region", "accessToken", "expiresAt", "clientId", "clientSecret", "registrationExpiresAt",
    "refreshToken",
)  # fmt: skip


def spelt(sign_in: SignIn) -> dict[str, object]:
    """The members of a sign-in's file."""
    members: dict[str, object] = {
        "startUrl": sign_in.start_url,
        "region": sign_in.region,
        "accessToken": sign_in.access_token.reveal(),
        "expiresAt": instant(sign_in.expires_at),
    }
    if sign_in.registration is not None:
        members |= {
            "clientId": sign_in.registration.client_id,
            "clientSecret": sign_in.registration.client_secret.reveal(),
            "registrationExpiresAt": instant(sign_in.registration.expires_at),
        }
    if sign_in.refresh_token is not None:
        members["refreshToken"] = sign_in.refresh_token.reveal()
    return {**members, **sign_in.others}


def spelt_registration(registration: Registration) -> dict[str, object]:
    """The members of a registration's file."""
    members: dict[str, object] = {
        "clientId": registration.client_id,
        "clientSecret": registration.client_secret.reveal(),
        "expiresAt": instant(registration.expires_at),
        "scopes": list(registration.scopes),
    }
    return {**members, "grantTypes": list(registration.grant_types)} if registration.grant_types else members


def read_sign_in(content: bytes, portal: Portal) -> SignIn:
    """The sign-in of a file. Raises ValueError, saying what is wrong with it without quoting it."""
    members = members_of(content)
    return SignIn(
        start_url=str(members.get("startUrl") or portal.start_url),
        region=str(members.get("region") or portal.region),
        access_token=Secret(_text(members, "accessToken")),
        expires_at=read_instant(_text(members, "expiresAt")),
        registration=_registration_of(members),
        refresh_token=Secret(_text(members, "refreshToken")) if members.get("refreshToken") else None,
        others={name: value for name, value in members.items() if name not in _OURS},
    )


def read_registration(content: bytes) -> Registration:
    """The registration of a file. Raises ValueError, as above."""
    members = members_of(content)
    return Registration(
        _text(members, "clientId"),
        Secret(_text(members, "clientSecret")),
        read_instant(_text(members, "expiresAt")),
        _texts(members, "scopes"),
        _texts(members, "grantTypes"),
    )


def _registration_of(members: Mapping[str, object]) -> Registration | None:
    """For whom the tokens were given; None where the file leaves out any of it, as those of old do."""
    if not all(members.get(name) for name in ("clientId", "clientSecret", "registrationExpiresAt")):
        return None
    return Registration(
        _text(members, "clientId"),
        Secret(_text(members, "clientSecret")),
        read_instant(_text(members, "registrationExpiresAt")),
    )


def read_instant(text: str) -> datetime:
    """A time as one of the programs writes it, with Z, UTC or an offset, or a fraction. Raises ValueError."""
    moment = datetime.fromisoformat(text.removesuffix("UTC") + "+00:00" if text.endswith("UTC") else text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # in the year 1 or 9999, and not in UTC
        raise ValueError("it is no time that can be") from None


def members_of(content: bytes) -> Mapping[str, object]:
    """What a file says. Raises ValueError if it is none of these files."""
    if len(content) >= LARGEST:
        raise ValueError("it is too long")
    try:
        members = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(members, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - what is wrong is the file, not a type in this program
    return members


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{name} is missing, or is no text")
    return value


def _texts(members: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = members.get(name)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
