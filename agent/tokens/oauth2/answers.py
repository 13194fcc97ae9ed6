"""What does a provider's answer mean, and whose turn is it? Pure.

The codes are those of RFC 6749 §5.2 and RFC 8707 §2, and some that providers have besides. Of what a provider says,
nothing is repeated but its code and its own description, cleaned of whatever could be a secret.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from agent import jose
from agent.clock import instant
from agent.errors import AgentError, TokenRefused, TokenUnavailable
from agent.secret import Secret
from agent.tokens.oauth2.asking import Wanted
from agent.tokens.oauth2.web import Answer

_LONGEST_TOKEN: Final = 20_000  # characters, STS AssumeRoleWithWebIdentity
_YEAR_10000: Final = 253_402_300_800  # seconds; the end of time, as datetime sees it
_LONGEST_WORDS: Final = 200
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}", re.ASCII)
#: Anything in which a token, a key or a hash could be.
_SECRETIVE: Final = re.compile(r"[A-Za-z0-9_+/=.~-]{40,}", re.ASCII)
#: What STS takes tokens to be signed with.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")

#: Codes of trouble that passes.
_PASSING: Final = frozenset(
    {"temporarily_unavailable", "server_error", "slow_down", "too_many_requests", "rate_limit_exceeded", "timeout"}
)
#: What to do about a code that somebody has to see to.
_HINTS: Final[Mapping[str, str]] = {
    "invalid_client": "the provider does not take us for identity.client_id: see that the client is there and "
    "enabled, and that {way}",
    "unauthorized_client": "allow the client the grant type client_credentials at the provider (in Keycloak: service "
    "account roles)",
    "unsupported_grant_type": "the provider gives no tokens for client_credentials there: allow that grant, or correct "
    "identity.issuer or identity.token_endpoint",
    "invalid_scope": "correct identity.scope, or give the client that scope at the provider",
    "invalid_target": "correct identity.resource or identity.audience, or make that API known to the provider",
    "invalid_grant": "the provider does not give this client a token: see what it says of it in its own log",
    "invalid_request": "correct what it names in [identity]; it may want a scope, an audience or a resource",
    "access_denied": "let the client have tokens for that audience at the provider, or correct identity.audience",
    "unauthorized": "let the client have tokens for that audience at the provider, or correct identity.audience",
    "invalid_dpop_proof": "let the client have tokens without proof of possession (DPoP), which AWS could not check",
    "consent_required": "let an administrator of the provider consent to what the client asks for",
    "interaction_required": "let the provider give this client tokens with nobody signing in",
}
_UNKNOWN: Final = "look this code up with the provider, and see its own log; then correct [identity] or the client"


@dataclass(frozen=True, slots=True)
class Given:
    """A token as the provider gave it.

    Attributes:
        value: the JWT.
        expires_at: by its own exp.
        lasts: for how long from now on, by the provider's own words and clock, whatever ours says.
    """

    value: Secret = field(repr=False)
    expires_at: datetime
    lasts: timedelta


def given(answer: Answer, wanted: Wanted) -> Given:
    """The token of a success. Raises TokenRefused if it is none that AWS could take, TokenUnavailable."""
    host = answer.host
    if answer.document is None:
        what = answer.media_type if _CODE.fullmatch(answer.media_type.replace("/", "-")) else "something else"
        raise TokenUnavailable(
            f"{host} answers with no JSON where a token was expected, but {what}",
            hint="see whether identity.issuer or identity.token_endpoint is the provider's, and what stands before it",
        )
    value = answer.document.get(wanted.kind)
    if not isinstance(value, str) or not value:
        other = "id_token" if wanted.kind == "access_token" else "access_token"
        there = f'; there is an {other}: identity.token = "{other}"' if answer.document.get(other) else ""
        scope = "" if wanted.kind == "access_token" else ', or ask for it with "openid" in identity.scope'
        raise TokenRefused(f"{host} gives no {wanted.kind}", hint=f"correct identity.token{scope}{there}")
    claims = _claims(value, wanted, host)
    expires = _moment(claims.get("exp"))
    assert expires is not None  # _claims saw to it
    lasts = _lasts(answer, wanted, claims, expires)
    if lasts <= timedelta(0):
        raise TokenUnavailable(
            f"the {wanted.kind} that {host} gives has ended already, at {instant(expires)}, by its own words",
            hint="see whether all clocks of the provider agree, and for how long it lets tokens live",
        )
    return Given(Secret(value), expires, lasts)


def refusal(answer: Answer, *, way: str, secrets: Iterable[Secret]) -> AgentError:
    """What an answer that is no success comes to; `way` says what has to be so for us to be known."""
    document = answer.document or {}
    code = document.get("error")
    named = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    said = _cleaned(document.get("error_description"), secrets)
    host, status = answer.host, answer.status
    if status == 429 or status >= 500 or status in (408, 425) or named in _PASSING:
        trouble = "asks for patience" if status == 429 else "has trouble of its own"
        told = " ".join(filter(None, (named or f"status {status}", said and f"({said})")))
        return TokenUnavailable(
            f"{host} {trouble}: {told}", hint="it passes by itself; if it lasts, see the provider's own log"
        )
    if 300 <= status < 400:
        return TokenRefused(
            f"{host} redirects whoever asks for a token, and no redirect is followed with who we are",
            hint="correct identity.issuer or identity.token_endpoint: it must be the endpoint itself",
        )
    if named:
        hint = _HINTS.get(named, _UNKNOWN).format(way=way)
        return TokenRefused(f"{host} refuses us a token: {named}{said and f' ({said})'}", hint=hint)
    if status == 401:
        return TokenRefused(f"{host} does not know us: status 401", hint=_HINTS["invalid_client"].format(way=way))
    if status in (404, 405, 410):
        return TokenRefused(
            f"{host} has no token endpoint at {answer.url}: status {status}",
            hint="correct identity.issuer or identity.token_endpoint",
        )
    return TokenRefused(
        f"{host} gives no token, and no error of OAuth 2.0 either: status {status}",
        hint="see whether identity.issuer or identity.token_endpoint is the provider's, and what stands before it",
    )


def _claims(value: str, wanted: Wanted, host: str) -> Mapping[str, object]:
    """What the token says, if it is one that AWS could take. Raises TokenRefused."""
    name = f"the {wanted.kind} of {host}"
    for_api = (
        "let the provider give JWTs: name the API that it is for (identity.audience, identity.resource or a scope)"
    )
    if len(value) > _LONGEST_TOKEN:
        raise TokenRefused(
            f"{name} is {len(value)} characters long, and STS takes {_LONGEST_TOKEN}",
            hint="let the provider put less into it: fewer scopes, groups and roles",
        )
    if value.count(".") == 4:
        raise TokenRefused(f"{name} is encrypted, and AWS reads signed ones alone", hint="turn its encryption off")
    try:
        header, claims = jose.unverified(value if not value.endswith(".") else f"{value}x")
    except ValueError as error:
        raise TokenRefused(f"{name} is no signed JWT: {error}", hint=for_api) from error
    algorithm = header.get("alg")
    if value.endswith(".") or algorithm not in _ALGORITHMS:
        signed = "not signed" if value.endswith(".") or algorithm == "none" else f"signed with {_algorithm(algorithm)}"
        raise TokenRefused(
            f"{name} is {signed}, and AWS takes {_ALGORITHMS[0]} and the like",
            hint=f"let the provider sign the tokens of this client, or of the API, with {_ALGORITHMS[0]}",
        )
    _check(claims, wanted, name)
    return claims


def _check(claims: Mapping[str, object], wanted: Wanted, name: str) -> None:
    if missing := [claim for claim in ("iss", "sub", "aud", "iat", "exp") if claims.get(claim) in (None, "", [])]:
        raise TokenRefused(
            f"{name} says no {', no '.join(missing)}, without which AWS takes none",
            hint='let the provider put that in, or take the other kind of token: identity.token = "…"',
        )
    if _moment(claims["exp"]) is None:
        raise TokenRefused(f"{name} has an exp that is no date", hint="see what the provider puts there")
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if len(audiences) > 1 and not claims.get("azp"):
        raise TokenRefused(
            f"{name} is for {len(audiences)} audiences, and AWS takes one alone where there is no azp",
            hint="let the provider put one audience in: fewer of identity.resource, of its scopes or of their mappers",
        )
    read = audience_read(claims)
    if wanted.expected_audience and read != wanted.expected_audience:
        raise TokenRefused(
            f"{name} is for {_quoted(read)} (its {'azp' if claims.get('azp') else 'aud'}), not for "
            f"{_quoted(wanted.expected_audience)}",
            hint="correct identity.audience, identity.resource or identity.scope, or identity.expected_audience",
        )
    if wanted.expected_subject and claims["sub"] != wanted.expected_subject:
        raise TokenRefused(
            f"{name} speaks of {_quoted(claims['sub'])}, not of {_quoted(wanted.expected_subject)}",
            hint="correct identity.client_id or identity.expected_subject, and the role's trust policy with it",
        )


def audience_read(claims: Mapping[str, object]) -> object:
    """What AWS reads as the audience of a token: its azp, or else its one aud."""
    audiences = claims.get("aud")
    return claims.get("azp") or (audiences[0] if isinstance(audiences, list) and audiences else audiences)


def _lasts(answer: Answer, wanted: Wanted, claims: Mapping[str, object], expires: datetime) -> timedelta:
    """The least of what the provider's words come to: of its Date and the token's exp, of iat and exp, of expires_in.

    expires_in is said of the access token alone (RFC 6749 §5.1).
    """
    spans = []
    if answer.told is not None:
        spans.append(expires - answer.told)
    issued = _moment(claims["iat"])
    if issued is not None:
        spans.append(expires - issued)
    seconds = answer.document.get("expires_in") if answer.document else None
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdecimal():  # some providers put it in quotes
        seconds = int(seconds[:9])
    if wanted.kind == "access_token" and isinstance(seconds, int | float) and not isinstance(seconds, bool):
        spans.append(timedelta(seconds=min(max(seconds, 0), _YEAR_10000 // 100)))
    return min(spans, default=timedelta(0))


def _moment(value: object) -> datetime | None:
    # RFC 7519 §2, NumericDate: a fraction is allowed; Python counts True as a number and JSON as none.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _YEAR_10000:
        return None
    return datetime.fromtimestamp(math.floor(value), UTC)


def _algorithm(value: object) -> str:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else "nothing known"


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else "something that is no text"
    return repr(text[:_LONGEST_WORDS]) if text.isprintable() else "something that cannot be printed"


def _cleaned(value: object, secrets: Iterable[Secret]) -> str:
    """A description on one line, with nothing in it that could be a secret, however it came there."""
    if not isinstance(value, str):
        return ""
    text = value[:20_000]
    for secret in secrets:
        text = text.replace(secret.reveal(), "…")
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    line = _SECRETIVE.sub("…", line)
    return line if len(line) <= _LONGEST_WORDS else f"{line[:_LONGEST_WORDS]}…"
