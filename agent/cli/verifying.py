"""By which keys would a relying party judge a token?"""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.errors import AgentError, ConfigurationError

_PATIENCE = 10.0  # seconds
_LARGEST = 1_000_000  # bytes; a hundred RSA-4096 keys are a tenth of that


def read_keys(path: Path) -> object:
    """The JWKS in a file. Raises ConfigurationError."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no readable JWKS", hint="name a JSON file with public keys") from error


def published_keys(issuer: str) -> object:
    """The JWKS that the issuer publishes, found as AWS finds it. Raises AgentError."""
    discovery = _fetched(issuer.rstrip("/") + "/.well-known/openid-configuration")
    stated = discovery.get("issuer") if isinstance(discovery, dict) else None
    if stated != issuer:
        raise AgentError(
            f"the discovery document says that its issuer is {stated!r}, not {issuer!r}",
            hint="AWS wants the two to be the same to the letter",
        )
    address = discovery.get("jwks_uri")
    if not isinstance(address, str):
        raise AgentError("the discovery document names no jwks_uri", hint="publish it again: rolecall publish")
    return _fetched(address)


def _fetched(address: str) -> Any:  # whatever is there; each reader checks what it takes from it
    if urlsplit(address).scheme not in {"https", "http"}:
        raise AgentError(f"{address} is no web address", hint="it should begin with https://")
    try:
        request = urllib.request.Request(address, headers={"Accept": "application/json"})  # noqa: S310 - checked above
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - checked above
            return json.loads(answer.read(_LARGEST))
    except urllib.error.HTTPError as error:
        error.close()  # it holds the answer, and with it the connection
        raise _unfetched(address, f"{error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise _unfetched(address, getattr(error, "reason", error)) from error


def _unfetched(address: str, reason: object) -> AgentError:
    return AgentError(f"{address} does not give the document: {reason}", hint="AWS must be able to fetch it, too")
