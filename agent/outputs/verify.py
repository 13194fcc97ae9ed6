"""How does a proxy ask us whether a request may pass? `GET /v1/verify/{rule}`, with the request's own Authorization.

For nginx's auth_request and the like: 200, with what the token says in headers; 401 or 403, with why not (RFC 6750).
Whatever else happens is neither, and a proxy that is set up so lets nothing through.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from agent.clock import Clock
from agent.errors import IssuerUnreadable, TokenRejected
from agent.events import BearerRefused, Report
from agent.verification import FORBIDDEN, Verified, Verifier
from agent.verification.rules import claim_at, scopes_of
from agent.web import Answered, Asked, Label
from agent.web.problems import NOT_FOUND, Problem, Refusal, method_not_allowed

#: What metrics call this output.
NAME: Final = "verify"

_PATH: Final = re.compile(r"/v1/verify(?:/([a-z0-9][a-z0-9._-]{0,62}))?")
#: RFC 6750 §2.1; the scheme in any case of letters (RFC 9110 §11.1).
_BEARER: Final = re.compile(rb"bearer +([!-~]+)", re.IGNORECASE)

#: What stands for itself in a header. All else is percent-encoded, the percent sign too, so that no two values of a
#: claim look the same; the comma, so that one text never looks like several.
_SAFE: Final = "!#$&'()*+/:;<=>?@[]^_`{|}~.-"
#: The most that all headers with claims may come to, in bytes; proxies have not much more room.
_MOST: Final = 12_288
#: How long refusals for the same reason are not told again, in seconds.
_AGAIN: Final = 10.0
#: What a client is called by its various issuers.
_CLIENTS: Final = ("client_id", "azp", "appid", "cid")

_NO_KEYS: Final = Problem(
    503, "KeysUnavailable", "The issuer's keys are not to be had at the moment.", (("Retry-After", "5"),)
)
_NO_RULE: Final = Problem(404, "RuleUnknown", "There is no rule of this name; ask for /v1/verify/RULE.")
_ABSENT: Final = TokenRejected(
    "there is no token",
    reason="absent",
    hint="send one, as in Authorization: Bearer eyJ…, and let the proxy pass it on",
)


@dataclass(frozen=True, slots=True)
class Gate:
    """What a request has to show, and which of its claims are told: claims by header, "*" being all of them."""

    verifier: Verifier
    headers: Mapping[str, str]
    scopes: tuple[str, ...] = ()


class VerifyOutput:
    """Verdicts by rule. Tokens are neither kept nor told of; who sends bad ones is told of, but not each time."""

    def __init__(self, gates: Mapping[str, Gate], *, clock: Clock, report: Report) -> None:
        """`gates` are by the names of their rules; where there is one alone, it need not be named."""
        self._gates = dict(gates)
        if len(self._gates) == 1:
            (self._gates[""],) = gates.values()
        self._names = {"": next(iter(gates))} if len(gates) == 1 else {}
        self._clock = clock
        self._report = report
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def label(self, path: str) -> Label:  # noqa: ARG002 - the shape of an output
        """What metrics call its requests."""
        return Label(NAME)

    async def answer(self, asked: Asked) -> Answered:
        """What the token says, once it is found good; may wait some seconds for a key that is new. Raises Refusal."""
        match = _PATH.fullmatch(asked.path)
        if match is None:
            raise Refusal(NOT_FOUND)
        if asked.method != "GET":
            raise Refusal(method_not_allowed("GET"))
        name = match[1] or ""
        gate = self._gates.get(name)
        if gate is None:
            raise Refusal(_NO_RULE)
        name = self._names.get(name, name)
        try:
            token = _token(asked)
            return _answered(gate, token, await gate.verifier.verify(token))
        except TokenRejected as error:
            self._tell(name, error)
            raise Refusal(_problem(name, gate, error)) from error
        except IssuerUnreadable as error:
            raise Refusal(_NO_KEYS) from error

    def ready(self, asked: Asked) -> Answered | None:
        """The same, if the token is good and its key at hand."""
        match = _PATH.fullmatch(asked.path)
        name = match[1] or "" if match is not None and asked.method == "GET" else None
        gate = None if name is None else self._gates.get(name)
        if name is None or gate is None:
            return None
        try:
            token = _token(asked)
            verified = gate.verifier.ready(token)
            return None if verified is None else _answered(gate, token, verified)
        except TokenRejected:
            return None  # told of by `answer`

    def _tell(self, rule: str, error: TokenRejected) -> None:
        now = self._clock.steady()
        since, untold = self._told.get((rule, error.reason), (None, 0))
        tell = since is None or now - since >= _AGAIN
        self._told[rule, error.reason] = (now if since is None or tell else since, 0 if tell else untold + 1)
        self._report(BearerRefused(rule, error.reason, error, tell, untold if tell else 0))


def _token(asked: Asked) -> bytes:
    """The token that is shown. Raises TokenRejected if there is none."""
    match = _BEARER.fullmatch(asked.peer.presented or b"")
    if match is None:
        raise TokenRejected(_ABSENT.what, reason=_ABSENT.reason, hint=_ABSENT.hint)
    return match[1]


def _answered(gate: Gate, token: bytes, verified: Verified) -> Answered:
    """The answer for a good token. Raises TokenRejected for one that says more than goes into headers."""
    body = token.split(b".")[1]  # as it was signed, and found to be JSON
    headers = tuple(
        (header, body.decode("ascii") if claim == "*" else _shown(verified.claims, claim))
        for header, claim in gate.headers.items()
    )
    if sum(len(header) + len(value) for header, value in headers) > _MOST:
        raise TokenRejected(
            "the token says more than goes into headers",
            reason="oversized",
            hint="name the claims that are wanted in headers of the rule, or have the issuer say less",
        )
    return Answered("", b"", headers=headers)  # with a body, nginx would end the connection: it reads none


def _shown(claims: Mapping[str, object], name: str) -> str:
    """A claim as a header has it; "" for one that is not there, so that no header of the client's own stays."""
    if name == "scope":
        return " ".join(map(_encoded, scopes_of(claims)))
    if name == "client_id":
        return next((_spelt(claims[one]) for one in _CLIENTS if one in claims), "")
    return _spelt(claim_at(claims, name))


def _spelt(value: object) -> str:
    """Text and numbers as they are, arrays of them with commas between, all else as JSON; encoded."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ",".join(_spelt(one) for one in value)
    return _encoded(value if isinstance(value, str) else _json(value))


def _json(value: object) -> str:
    try:
        return json.dumps(value, separators=(",", ":"))
    except RecursionError:
        raise TokenRejected(
            "a claim of the token is too deep to be told", reason="oversized", hint="see what makes these tokens"
        ) from None


def _encoded(text: str) -> str:
    return quote(text, safe=_SAFE, errors="surrogatepass")


def _problem(rule: str, gate: Gate, error: TokenRejected) -> Problem:
    """401 or 403, as RFC 6750 §3 has it. Where there was no token at all, nothing is wrong with it (§3.1)."""
    words = [f'realm="{rule}"']
    forbidden = error.reason in FORBIDDEN
    if error.reason != "absent":
        words.append(f'error="{"insufficient_scope" if forbidden else "invalid_token"}"')
        words.append(f'error_description="{_quotable(error.what)}"')
    if error.reason == "scope":
        words.append(f'scope="{" ".join(gate.scopes)}"')
    code = "".join(word.capitalize() for word in ("token", *error.reason.split("_")))
    message = f"{error.what[0].upper()}{error.what[1:]}."
    headers = (("WWW-Authenticate", f"Bearer {', '.join(words)}"),)
    return Problem(403 if forbidden else 401, code, message, headers)


def _quotable(words: str) -> str:
    """Words that may stand in error_description (RFC 6750 §3): ASCII without quotes and backslashes."""
    return "".join(one if " " <= one <= "~" and one not in '"\\' else "'" for one in words)
