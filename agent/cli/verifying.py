"""Would a relying party take this token? PyJWT judges, not the code that makes our own."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt

from agent.errors import AgentError, ConfigurationError
from agent.secret import Secret

#: What AWS STS takes; a token that names another, or none, is not looked at further.
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")

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


def verified(token: Secret, keys: object, *, audience: str, issuer: str | None) -> dict[str, Any]:
    """The claims, once signature, times, audience and (if given) issuer are found good. Raises AgentError."""
    try:
        header = jwt.get_unverified_header(token.reveal())
        if header.get("alg") not in ALGORITHMS:
            raise AgentError(
                f"the token is signed with {header.get('alg')!r}", hint=f"AWS takes {', '.join(ALGORITHMS)} alone"
            )
        claims: dict[str, Any] = jwt.decode(
            token.reveal(),
            _key(keys, header),
            ALGORITHMS,
            audience=audience,
            issuer=issuer,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except (jwt.PyJWTError, ValueError) as error:  # ValueError: a key that is no point of its curve
        raise AgentError(
            f"the token is not good: {error}", hint="see what it says with: rolecall token show"
        ) from error
    return claims


def _key(keys: object, header: dict[str, Any]) -> jwt.PyJWK:
    """The one key that the header names; without a name there must be but one."""
    listed = keys.get("keys") if isinstance(keys, dict) else None
    if not isinstance(listed, list):
        raise AgentError("the JWKS has no list of keys", hint='it should begin with {"keys": [')
    members = [member for member in listed if isinstance(member, dict)]
    named = [member for member in members if "kid" not in header or member.get("kid") == header["kid"]]
    if len(named) != 1:
        raise AgentError(
            f"of {len(members)} keys in the JWKS, {len(named)} are the one that the token names",
            hint="publish the key that signs: rolecall publish; others may see it only hours later",
        )
    return jwt.PyJWK(named[0], named[0].get("alg", header["alg"]))


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
