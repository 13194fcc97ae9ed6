"""How do callers get tokens for relying parties other than AWS from us? `GET /v1/token?aud=…[&scope=…]`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

from agent.callers import Peer
from agent.errors import AgentError, CallerDenied, CallerUnknown, CredentialsNotReady, RoleAmbiguous, RoleUnknown
from agent.outputs import documents
from agent.tokens import IssuedToken
from agent.vending import TokenVendor
from agent.web import Answered, Asked, Label
from agent.web.problems import NOT_FOUND, Problem, Refusal, method_not_allowed, problem_of
from agent.wording import NotGranted, Wording

#: What metrics call this output.
NAME: Final = "token"

#: Where it is asked.
PATH: Final = "/v1/token"

#: Scopes, as RFC 6749 §3.3 writes them.
_SCOPES: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*")
#: The longest query that is read: reading one as long as a head is costs ten times what a caller pays for it.
_LONGEST: Final = 4096

_BAD_QUERY: Final = Problem(
    400,
    "BadRequest",
    "Ask for /v1/token?aud=AUDIENCE, or with &scope=SCOPES and %20 between them; each once, none empty, nothing else.",
)
_DENIED: Final = Problem(
    403, "CallerDenied", "This caller is not granted this token; rolecall who says what it is granted."
)
_NOT_READY: Final = Problem(503, "TokenNotReady", "The first token is still on its way.", (("Retry-After", "1"),))
_NONE: Final = Problem(503, "ServiceUnavailable", "There is no token to be had at the moment.", (("Retry-After", "5"),))


class Wanted(NamedTuple):
    """What a query asks for: the audience, or "" for the one that is granted; and scopes, or None for all of them."""

    audience: str
    scopes: tuple[str, ...] | None


class TokenOutput:
    """Tokens that say what the grants let them say, and of whom."""

    def __init__(self, vendor: TokenVendor) -> None:
        """Render nothing yet."""
        self._vendor = vendor
        self._rendered: WeakKeyDictionary[IssuedToken, Answered] = WeakKeyDictionary()

    def label(self, path: str) -> Label:  # noqa: ARG002 - the shape of an output
        """What metrics call its requests: audiences are no labels."""
        return Label(NAME)

    async def answer(self, asked: Asked) -> Answered:
        """The token asked for, after waiting at most 0.7 s. Raises Refusal, and CallerUnknown."""
        if asked.path != PATH:
            raise Refusal(NOT_FOUND)
        if asked.method != "GET":
            raise Refusal(method_not_allowed("GET"))
        wanted = read_query(asked.query)
        if wanted is None:
            raise Refusal(_BAD_QUERY)
        return await self.give(asked.peer, wanted)

    async def give(self, peer: Peer, wanted: Wanted) -> Answered:
        """What this caller wants, if it is granted that. Raises Refusal, and CallerUnknown."""
        try:
            _, token = await self._vendor.vend(peer, wanted.audience, _cut(wanted.scopes))
        except CallerUnknown:
            raise
        except AgentError as error:
            raise Refusal(_problem(error)) from error
        return self._document(token)

    def ready(self, asked: Asked) -> Answered | None:
        """The token asked for, if it is held and this caller may have it."""
        wanted = read_query(asked.query) if asked.path == PATH and asked.method == "GET" else None
        if wanted is None:
            return None
        held = self._vendor.vend_held(asked.peer, wanted.audience, _cut(wanted.scopes))
        return None if held is None else self._document(held[1])

    def _document(self, token: IssuedToken) -> Answered:
        """Rendered once for each token, not for each request; forgotten when the session forgets it."""
        known = self._rendered.get(token)
        if known is None:
            known = self._rendered[token] = Answered("", documents.token(token))
        return known


def read_query(query: str) -> Wanted | None:
    """What is asked for; None if it cannot be read, or says what it need not, so that nobody waits for it in vain."""
    if len(query) > _LONGEST:
        return None
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=2)
    except ValueError:
        return Wanted("", None) if not query else None
    given = dict(pairs)
    if len(given) != len(pairs) or not given.keys() <= {"aud", "scope"} or "" in given.values():
        return None
    scopes = given.get("scope")
    if scopes is None:
        return Wanted(given.get("aud", ""), None)
    return Wanted(given.get("aud", ""), tuple(dict.fromkeys(scopes.split(" ")))) if _SCOPES.fullmatch(scopes) else None


def _cut(scopes: Sequence[str] | None) -> Callable[[Wording], Wording]:
    """Leaves so much of what is granted as is asked for; it raises CallerDenied."""

    def cut(granted: Wording) -> Wording:
        try:
            return granted if scopes is None else granted.asking(scopes)
        except NotGranted as strange:
            raise CallerDenied(
                "this caller asks for a scope that it is not granted", hint="grant it, or let it ask for less"
            ) from strange

    return cut


def _problem(error: AgentError) -> Problem:
    """What a caller is told: the same as of credentials, in words of tokens."""
    if isinstance(error, CallerDenied | RoleUnknown):
        return _DENIED
    if isinstance(error, CredentialsNotReady):
        return _NOT_READY
    told = problem_of(error)
    if isinstance(error, RoleAmbiguous):
        return replace(told, code="AudienceAmbiguous")
    return _NONE if told.code == _NONE.code else told
