"""Which app client speaks, and does it show what it has to?"""

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.sandbox.cognito.refusals import invalid, not_authorized
from agent.sandbox.cognito.speech import Spoken
from agent.sandbox.pools import AppClient, UserPool

#: What an app client's id, and its secret, are made of.
CLIENT_ID: Final = r"[\w+]+"
#: Java's EEE MMM d HH:mm:ss z yyyy, the day not padded.
_TIMESTAMP: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{1,2}) "
    r"(\d\d:\d\d:\d\d) UTC (\d{4})"
)


@dataclass(frozen=True, slots=True)
class Desk:
    """The app client that speaks, and its pool."""

    pool: UserPool
    client: AppClient


def secret_hash(client: AppClient, name: str) -> str:
    """What a client with a secret shows with a user's name."""
    assert client.secret is not None  # or nobody asks
    digest = hmac.digest(client.secret.encode(), f"{name}{client.client_id}".encode(), "sha256")
    return base64.b64encode(digest).decode()


def check_secret_hash(desk: Desk, name: str, parameters: Mapping[str, str]) -> None:
    """See that a user's name is shown with the client's secret, if it has one, and without if not. Raises Refusal."""
    if desk.client.secret is None:
        if "SECRET_HASH" in parameters:
            raise not_authorized(f"Client {desk.client.client_id} is not configured for secret but secret was received")
        return
    check_hash(desk, parameters, (name,))


def check_hash(desk: Desk, parameters: Mapping[str, str], names: tuple[str, ...]) -> None:
    """See that one of these names is shown with the secret. Raises Refusal."""
    client = desk.client
    if "SECRET_HASH" not in parameters:
        raise not_authorized(f"Client {client.client_id} is configured for secret but secret was not received")
    if not any(is_same(secret_hash(client, name), parameters["SECRET_HASH"]) for name in names):
        raise not_authorized(f"Unable to verify secret hash for client {client.client_id}")


def check_client_secret(desk: Desk, asked: Spoken) -> None:
    """Where there is no user name to hash, the secret itself is shown. Raises Refusal."""
    shown = asked.maybe("ClientSecret", CLIENT_ID, 24, 64)
    wanted = desk.client.secret
    if wanted is not None and shown is None:
        raise not_authorized(f"Client {desk.client.client_id} is configured for secret but secret was not received")
    if shown is not None and (wanted is None or not is_same(shown, wanted)):
        raise not_authorized("Invalid Client Secret")  # the text is a guess


def is_same(one: str, other: str) -> bool:
    """Compare secrets."""
    return hmac.compare_digest(one.encode(), other.encode())


def needed(parameters: Mapping[str, str], name: str) -> str:
    """A parameter that must be there. Raises Refusal."""
    if not parameters.get(name):
        raise invalid(f"Missing required parameter {name}")
    return parameters[name]


def moment_of(stamp: str) -> datetime | None:
    """What a TIMESTAMP says, if it is one."""
    found = _TIMESTAMP.fullmatch(stamp)
    if found is None or found[2].startswith("0"):
        return None
    try:
        said = datetime.strptime(stamp.replace("UTC", "+0000"), "%a %b %d %H:%M:%S %z %Y")
    except ValueError:
        return None
    return said if said.strftime("%a") == stamp[:3] else None
