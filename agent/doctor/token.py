"""Would a relying party take our token, by the keys that the world reads? PyJWT judges, not our own code."""

from collections.abc import Sequence
from typing import Any, Final

import jwt

from agent.doctor import Finding, Tried
from agent.errors import AgentError
from agent.secret import Secret

#: What AWS STS takes; a token that names another, or none, is not looked at further.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")


def verified(
    token: Secret, keys: object, *, audience: str, issuer: str | None, algorithms: Sequence[str] = ALGORITHMS
) -> dict[str, Any]:
    """The claims, once signature, times, audience and (if given) issuer are found good. Raises AgentError.

    `keys` is a JWKS as it was parsed, whatever it holds; `algorithms` are those that are taken.
    """
    try:
        header = jwt.get_unverified_header(token.reveal())
        if header.get("alg") not in algorithms:
            who = "AWS takes" if algorithms is ALGORITHMS else "taken are"
            raise AgentError(
                f"the token is signed with {header.get('alg')!r}", hint=f"{who} {', '.join(algorithms)} alone"
            )
        claims: dict[str, Any] = jwt.decode(
            token.reveal(),
            _key(keys, header),
            algorithms,
            audience=audience,
            issuer=issuer,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except jwt.InvalidAudienceError as error:
        raise AgentError(
            f"the token is not good: {error}", hint=f"its aud should be {audience}; see it with: rolecall token show"
        ) from error
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


def unavailable(error: AgentError) -> Tried:
    """The link where no token could be made or had."""
    return Tried("token", findings=(Finding("token", "error", error.what, error.hint),))


def examined(token: Secret, keys: object, *, audience: str, issuer: str) -> Tried:
    """The link, tried with `keys`, which are what the world reads."""
    try:
        claims = verified(token, keys, audience=audience, issuer=issuer)
    except AgentError as error:
        return unavailable(error)
    return Tried("token", f"a token for {claims['sub']} verifies against the keys that the world reads")
