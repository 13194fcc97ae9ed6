"""Is what a token says what the rule wants?

RFC 7519 §4.1, RFC 8725 and RFC 9068 §4; pure. A claim that has not the type it should have is never passed over.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Final

from agent.errors import ConfigurationError, TokenRejected
from agent.verification import ALGORITHMS, Reason, Rule

#: 10000-01-01: no time that anybody means lies beyond it.
_LATEST: Final = 253_402_300_800
_TEXTS: Final = ("sub", "jti", "client_id")


def check_rule(rule: Rule) -> None:
    """See that a rule can be kept, and lets nobody's tokens in. Raises ConfigurationError."""
    strange = [name for name in rule.algorithms if name not in ALGORITHMS]
    if strange or not rule.algorithms:
        raise ConfigurationError(
            f"no token is verified by {strange[0] if strange else 'no algorithm at all'}",
            hint=f"name some of {', '.join(ALGORITHMS)}",
        )
    if not rule.audiences and not rule.client_ids:
        raise ConfigurationError(
            "a rule without audiences takes tokens that were made for anybody", hint="name audiences, or client_ids"
        )


def issued_by(claims: Mapping[str, object], issuer: str) -> None:
    """See that a token says that it is of this issuer, to the letter. Raises TokenRejected."""
    if claims.get("iss") != issuer:
        raise _no("issuer", "the token is of another issuer", "see its iss; a slash at the end makes it another one")


def check(claims: Mapping[str, object], rule: Rule, now: float) -> None:
    """See that a token says all that the rule wants, at `now`, seconds since 1970. Raises TokenRejected."""
    issued_by(claims, rule.issuer)
    _check_times(claims, rule, now)
    for name in _TEXTS:
        if not isinstance(claims.get(name, ""), str):
            raise _no("malformed", f"the {name} of the token is not text")
    _check_audience(claims, rule)
    if rule.scopes and (missing := [one for one in rule.scopes if one not in scopes_of(claims)]):
        raise _no("scope", f"the token has not the scope {' '.join(missing)}", "ask the issuer for one that has")
    for name, values in rule.claims.items():
        if not any(one in values for one in _values(claim_at(claims, name))):
            raise _no("claims", f"the token has not what is wanted of its {name}", "see whom the rule is to let in")


def scopes_of(claims: Mapping[str, object]) -> tuple[str, ...]:
    """What a token allows (RFC 8693 §4.2, and the scp of Azure and Okta): words of a text, or an array of them."""
    return tuple(dict.fromkeys(one for name in ("scope", "scp") for one in _words(claims.get(name))))


def _words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from filter(None, value.split(" "))
    elif isinstance(value, list):
        yield from (one for one in value if isinstance(one, str) and one)


def _check_times(claims: Mapping[str, object], rule: Rule, now: float) -> None:
    leeway = rule.leeway.total_seconds()
    ends, issued = _time(claims, "exp"), _time(claims, "iat")
    if ends is None:
        raise _no("malformed", "the token has no end (exp)")
    if math.floor(ends) <= now - leeway:
        raise _no("expired", "the token has ended", "ask for a new one; if it is new, see the clocks of both machines")
    for name, moment in (("nbf", _time(claims, "nbf")), ("iat", issued)):
        if moment is not None and moment > now + leeway:
            raise _no("not_yet", f"the token is not good yet, by its {name}", "see the clocks of both machines")
    if rule.longest is not None:
        longest = rule.longest.total_seconds()
        if issued is None or ends - issued > longest or ends > now + longest + leeway:
            raise _no("lifetime", "the token is good for longer than the rule allows, or does not say since when")


def _time(claims: Mapping[str, object], name: str) -> int | float | None:
    """A NumericDate (RFC 7519 §2), in seconds since 1970; None if there is none. Raises TokenRejected."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise _no("malformed", f"the {name} of the token is no time")
    return value


def _check_audience(claims: Mapping[str, object], rule: Rule) -> None:
    hint = "ask the issuer for one for us, or see the audiences of the rule"
    if "aud" in claims:
        audience = claims["aud"]
        audiences = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(one, str) for one in audiences):
            raise _no("malformed", "the aud of the token is neither text nor an array of texts")
        if not any(one in rule.audiences for one in audiences):
            raise _no("audience", "the token is for another audience", hint)
    elif claims.get("client_id") not in rule.client_ids:
        raise _no("audience", "the token names no audience, and no client that is known", hint)


def claim_at(claims: Mapping[str, object], name: str) -> object:
    """A claim by its name; or else, with dots, by the way to it from object to object."""
    if name in claims:
        return claims[name]
    value: object = claims
    for word in name.split("."):
        value = value.get(word) if isinstance(value, Mapping) else None
    return value


def _values(value: object) -> Iterator[str]:
    """A value as rules are written in, or those in an array."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, int):
        yield str(value)
    elif isinstance(value, list):
        yield from (word for one in value if not isinstance(one, list) for word in _values(one))


def _no(reason: Reason, what: str, hint: str = "see what makes these tokens: rolecall token show") -> TokenRejected:
    return TokenRejected(what, reason=reason, hint=hint)
