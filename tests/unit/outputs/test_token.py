import asyncio
import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.callers import Origin, Peer
from agent.errors import CallerUnknown, KeyUnavailable
from agent.leases import TOKENS
from agent.outputs.token import PATH, TokenOutput, Wanted, read_query
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.secret import Secret
from agent.sessions import Session
from agent.tokens import IssuedToken
from agent.vending import Vendor
from agent.web import Asked
from agent.web.problems import Refusal
from agent.wording import TokenGrant, Wording
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported

WEB = Origin("127.0.0.1", "127.0.0.1", frozenset({("systemd.unit", "web.service")}))
STRANGER = Origin("127.0.0.1", "127.0.0.1", frozenset({("systemd.unit", "other.service")}))
READING = Wording("host:web-1", timedelta(minutes=10), ("read", "write"))


class Signing:
    """Tokens without a key: what they say is seen elsewhere."""

    def __init__(self, clock: FakeClock, audience: str, scope: str) -> None:
        self.clock, self.audience, self.scope = clock, audience, scope
        self.given = 0
        self.error: KeyUnavailable | None = None

    async def fetch(self) -> IssuedToken:
        if self.error is not None:
            raise self.error
        self.given += 1
        now = self.clock.now()
        value = Secret(f"token-{self.given}")
        return IssuedToken(value, f"id-{self.given}", self.audience, self.scope, now, now + timedelta(minutes=10))


class Host:
    def __init__(self, *grants: TokenGrant) -> None:
        self.clock, self.reported = FakeClock(), Reported()
        self.sources: dict[tuple[str, Wording], Signing] = {}
        wanted = [(grant.name, extent) for grant in grants for extent in cuts(grant)]
        self.sessions = {one: self.session(*one) for one in wanted}
        self.output = TokenOutput(Vendor(Roster(self.sessions, kind=TOKENS), [], grants, self.reported, TOKENS))

    def session(self, audience: str, extent: Wording) -> Session[IssuedToken]:
        source = self.sources[audience, extent] = Signing(self.clock, audience, " ".join(extent.scopes))
        return Session(
            audience,
            source,
            RefreshPolicy(),
            clock=self.clock,
            report=self.reported,
            spread=lambda: 0.0,
            kind=TOKENS,
        )

    async def signed(self) -> "Host":
        for session in self.sessions.values():
            await session.renew()
        return self

    async def refused(self, query: str, origin: Origin = WEB) -> tuple[int, str]:
        with pytest.raises(Refusal) as caught:
            await self.output.answer(asked(query, origin))
        assert self.output.ready(asked(query, origin)) is None
        return caught.value.problem.status, caught.value.problem.code


def cuts(grant: TokenGrant) -> list[Wording]:
    return [grant.extent, grant.extent.asking(["read"])] if grant.extent.scopes else [grant.extent]


def asked(query: str, origin: Origin = WEB, path: str = PATH, method: str = "GET") -> Asked:
    return Asked(method, path, Peer(origin, None), query=query)


def granted(audience: str, extent: Wording = READING) -> TokenGrant:
    return TokenGrant(audience, WEB.facts, extent, "grants#1")


async def test_a_caller_gets_the_token_that_its_grant_says() -> None:
    host = await Host(granted("https://api.example.com")).signed()
    answered = await host.output.answer(asked("aud=https://api.example.com"))
    assert json.loads(answered.body) == {
        "token": "token-1",
        "token_type": "Bearer",
        "audience": "https://api.example.com",
        "scope": "read write",
        "expires_at": "2026-11-20T12:10:00Z",
    }
    assert host.output.ready(asked("aud=https%3A%2F%2Fapi.example.com")) is answered  # rendered once


async def test_it_may_ask_for_less_and_never_for_more() -> None:
    host = await Host(granted("api")).signed()
    answered = await host.output.answer(asked("aud=api&scope=read"))
    assert json.loads(answered.body)["scope"] == "read"
    assert await host.refused("aud=api&scope=read+admin") == (403, "CallerDenied")


async def test_who_is_granted_one_audience_need_not_name_it() -> None:
    host = await Host(granted("api")).signed()
    assert json.loads((await host.output.answer(asked(""))).body)["audience"] == "api"


async def test_who_is_granted_several_is_told_which() -> None:
    host = await Host(granted("api"), granted("vault")).signed()
    with pytest.raises(Refusal) as caught:
        await host.output.answer(asked(""))
    assert (caught.value.problem.status, caught.value.problem.code) == (409, "AudienceAmbiguous")
    assert "several audiences: api, vault" in caught.value.problem.message
    assert "/v1/token?aud=AUDIENCE" in caught.value.problem.message


@pytest.mark.parametrize("query", ["aud=other", "aud=api"])
async def test_strangers_cannot_tell_an_unknown_audience_from_another_ones(query: str) -> None:
    host = await Host(granted("api")).signed()
    assert await host.refused(query, STRANGER) == (403, "CallerDenied")
    assert await host.refused("aud=other") == (403, "CallerDenied")


async def test_a_caller_that_shows_a_token_nobody_knows_is_told_so() -> None:
    host = await Host(granted("api")).signed()
    with pytest.raises(CallerUnknown):
        await host.output.answer(Asked("GET", PATH, Peer(STRANGER, b"guess"), query="aud=api"))


@pytest.mark.parametrize(
    "query",
    [
        "aud=api&aud=api",
        "aud=",
        "aud",
        "aud=api&scope=",
        "aud=api&scope=read&scope=write",
        "aud=api&scope=read++write",
        'aud=api&scope="',
        "aud=api&scope=r%C3%A9ad",
        "audience=api",
        "aud=api&role=x",
        "aud=%FF",
        "&",
        "aud=api&scope=read&x=y",
        "aud=api&scope=" + "+".join(["read"] * 820),
    ],
)
async def test_a_query_that_says_anything_else_is_refused_not_guessed_at(query: str) -> None:
    host = await Host(granted("api")).signed()
    assert await host.refused(query) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", Wanted("", None)),
        ("aud=a", Wanted("a", None)),
        ("aud=a&scope=x+y", Wanted("a", ("x", "y"))),
        ("scope=x%20y&aud=a%2Fb", Wanted("a/b", ("x", "y"))),
        ("scope=x", Wanted("", ("x",))),
        ("scope=" + "+".join(["x", "y"] * 1000), Wanted("", ("x", "y"))),
    ],
)
def test_what_is_asked_for_is_read(query: str, wanted: Wanted) -> None:
    assert read_query(query) == wanted


@pytest.mark.parametrize(("path", "method", "status"), [("/v1/token/x", "GET", 404), (PATH, "POST", 405)])
async def test_another_path_or_method_is_not_here(path: str, method: str, status: int) -> None:
    host = await Host(granted("api")).signed()
    with pytest.raises(Refusal) as caught:
        await host.output.answer(asked("aud=api", path=path, method=method))
    assert caught.value.problem.status == status
    assert host.output.ready(asked("aud=api", path=path, method=method)) is None


async def test_while_the_key_cannot_sign_and_nothing_is_held_it_is_503_in_words_of_tokens() -> None:
    host = Host(granted("api"))
    for source in host.sources.values():
        source.error = KeyUnavailable("the device is gone", hint="plug it in")
    await host.signed()
    with pytest.raises(Refusal) as caught:
        await host.output.answer(asked("aud=api"))
    assert caught.value.problem.status == 503
    assert "token" in caught.value.problem.message
    assert "device" not in caught.value.problem.message


async def test_before_the_first_token_it_is_503_and_soon_worth_another_try() -> None:
    host = Host(granted("api"))
    asking = asyncio.ensure_future(host.output.answer(asked("aud=api")))
    await host.clock.advance(timedelta(seconds=1))
    with pytest.raises(Refusal) as caught:
        await asking
    assert (caught.value.problem.status, caught.value.problem.code) == (503, "TokenNotReady")


async def test_what_is_held_is_given_whatever_fails_meanwhile() -> None:
    host = await Host(granted("api")).signed()
    for source in host.sources.values():
        source.error = KeyUnavailable("the device is gone", hint="plug it in")
    await host.signed()
    assert json.loads((await host.output.answer(asked("aud=api"))).body)["token"] == "token-1"


def test_metrics_know_no_audiences() -> None:
    label: Callable[[str], object] = Host(granted("api")).output.label
    assert label(PATH) == ("token", "")
