import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from agent.callers import End, Facts, Grant, Origin, Peer
from agent.errors import CredentialsNotReady, CredentialsUnavailable
from agent.events import CredentialsVended, VendingDenied
from agent.outputs.imds import ImdsOutput, SessionTokens
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.sessions import RoleSession
from agent.vending import RoleVendor
from agent.web import Answered, Asked
from agent.web.listener import answering
from agent.web.problems import Refusal
from agent.web.sockets import Address
from agent.web.stats import RequestStats
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource
from tests.unit.web.world import answers, ask, say

ROLES = ("web", "backup")
LIST = "/latest/meta-data/iam/security-credentials/"
TTL, TOKEN = b"x-aws-ec2-metadata-token-ttl-seconds", b"x-aws-ec2-metadata-token"


def uid(number: int, pid: int = 1) -> Facts:
    return frozenset({("unix.uid", str(number)), ("process.pid", str(pid))})


#: Granted one role; several; one by a token, which cannot be shown here; nothing.
WEB, BOTH, BY_TOKEN, NOBODY = (Origin("127.0.0.1", "127.0.0.1", uid(number)) for number in (1, 2, 3, 4))


@dataclass
class Host:
    """Two roles behind an IMDS; the clock stands still unless told."""

    clock: FakeClock = field(default_factory=FakeClock)
    reported: Reported = field(default_factory=Reported)
    stats: RequestStats = field(default_factory=RequestStats)
    bugs: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sources = {role: FakeSource(self.clock, role) for role in ROLES}
        self.sessions = {
            role: RoleSession(
                role,
                source,
                RefreshPolicy(),
                clock=self.clock,
                report=self.reported,
                spread=lambda: 0.5,
            )
            for role, source in self.sources.items()
        }
        grants = [
            Grant("web", frozenset({("unix.uid", "1")})),
            Grant("web", frozenset({("unix.uid", "2")})),
            Grant("backup", frozenset({("unix.uid", "2")})),
            Grant("backup", frozenset({("token.file", "/tokens/backup")})),
        ]
        vendor = RoleVendor(Roster.whole(self.sessions), [], grants, self.reported)
        self.tokens = SessionTokens(bytes(32), self.clock)
        self.output = ImdsOutput(vendor, frozenset(ROLES), self.tokens)

    async def fetch(self) -> "Host":
        for session in self.sessions.values():
            await session.renew()
        return self

    async def put(self, origin: Origin = WEB, seconds: bytes | None = b"21600") -> Answered:
        headers = {} if seconds is None else {TTL: seconds}
        return await self.output.answer(Asked("PUT", "/latest/api/token", Peer(origin, None), headers))

    async def get(self, path: str = LIST, origin: Origin = WEB, token: bytes | None = b"own") -> Answered:
        shown = (await self.put(origin)).body if token == b"own" else token
        headers = {} if shown is None else {TOKEN: shown}
        return await self.output.answer(Asked("GET", path, Peer(origin, b"ignored"), headers))

    async def refused(self, path: str = LIST, origin: Origin = WEB, token: bytes | None = b"own") -> int:
        with pytest.raises(Refusal) as refused:
            await self.get(path, origin, token)
        return refused.value.problem.status

    @asynccontextmanager
    async def listening(self, where: Address | socket.socket = ("127.0.0.1", 0)) -> AsyncIterator[Address]:
        async with answering(
            self.output,
            where,
            clock=self.clock,
            stats=self.stats,
            on_bug=self.bugs.append,
            report=self.reported,
            recogniser=_Everybody(WEB.facts),
        ) as address:
            yield address


@dataclass
class _Everybody:
    """A recogniser to which all are one caller."""

    facts: Facts

    def recognise(self, client: End, server: End) -> Origin:
        return Origin(client[0], server[0], self.facts)


@pytest.fixture
async def host() -> Host:
    return await Host().fetch()


def request(method: str, path: str, *lines: bytes) -> bytes:
    return b"\r\n".join((f"{method} {path} HTTP/1.1".encode(), b"Host: 127.0.0.1", *lines, b"", b""))


# --- the token


@pytest.mark.parametrize("seconds", [b"1", b"10", b"300", b"21600", b"00060"])
async def test_a_token_is_text_and_its_seconds_are_said_again(host: Host, seconds: bytes) -> None:
    told = await host.put(seconds=seconds)
    assert told.media_type == "text/plain"
    assert dict(told.headers) == {TTL.decode(): seconds.decode()}
    assert told.body
    assert told.body == told.body.strip()


@pytest.mark.parametrize(
    "seconds", [None, b"", b"0", b"21601", b"-1", b"1.5", b" 60", b"6e1", b"9" * 9000, "٦٠".encode(), b"six"]
)
async def test_other_seconds_are_a_bad_request(host: Host, seconds: bytes | None) -> None:
    with pytest.raises(Refusal) as refused:
        await host.put(seconds=seconds)
    assert refused.value.problem.status == 400


async def test_a_token_is_good_for_as_long_as_was_asked_for_and_then_it_is_401(host: Host) -> None:
    token = (await host.put(seconds=b"60")).body
    await host.clock.advance(timedelta(seconds=59))
    assert (await host.get(token=token)).body == b"web"
    await host.clock.advance(timedelta(seconds=1))
    assert await host.refused(token=token) == 401


async def test_a_machine_that_slept_has_not_kept_tokens_alive(host: Host) -> None:
    token = (await host.put(seconds=b"60")).body
    host.clock.suspend(timedelta(minutes=5))
    assert await host.refused(token=token) == 401


async def test_without_a_token_nothing_is_said_not_even_that_a_role_is_not_there(host: Host) -> None:
    for path in (LIST, LIST + "web", LIST + "nosuch"):
        for origin in (WEB, NOBODY):
            assert await host.refused(path, origin, token=None) == 401
    assert host.reported.of(VendingDenied) == []


@pytest.mark.parametrize(
    "change", [lambda t: t[:0], lambda t: t[:-1], lambda t: bytes([t[0] ^ 1]) + t[1:], lambda t: t + b"A", bytes.upper]
)
async def test_a_token_that_was_made_up_is_no_token(host: Host, change: object) -> None:
    token = (await host.put()).body
    assert callable(change)
    assert await host.refused(token=change(token)) == 401


@pytest.mark.parametrize("token", [b"\xff", b"=", b"AAAA", "é".encode(), b"A" * 4000, b"not base64!"])
async def test_what_is_no_token_at_all_is_no_token(host: Host, token: bytes) -> None:
    assert await host.refused(token=token) == 401


async def test_anothers_token_is_no_token(host: Host) -> None:
    theirs = (await host.put(BOTH)).body
    assert await host.refused(token=theirs) == 401
    elsewhere = Origin("172.17.0.2", "127.0.0.1", WEB.facts)
    assert await host.refused(token=(await host.put(elsewhere)).body) == 401


async def test_a_token_is_good_on_every_connection_of_its_owner_and_for_what_it_forks(host: Host) -> None:
    token = (await host.put()).body
    assert (await host.get(origin=Origin("127.0.0.1", "127.0.0.1", uid(1, pid=2)), token=token)).body == b"web"


async def test_an_agent_that_was_restarted_knows_no_token_of_before(host: Host) -> None:
    token = (await host.put()).body
    assert SessionTokens(bytes(32), host.clock).good(WEB, token)
    assert not SessionTokens(b"\x01" * 32, host.clock).good(WEB, token)


async def test_facts_cannot_be_put_together_otherwise(host: Host) -> None:
    """Whoever may choose the value of a fact, a unit's name say, must not become somebody else by it."""
    one = Origin("127.0.0.1", "", frozenset({("a", "1"), ("b", "2")}))
    for other in (frozenset({("a", "1\0b=2")}), frozenset({("a", "1b=2")})):
        token = host.tokens.issue(one, 60)
        assert host.tokens.good(one, token)
        assert not host.tokens.good(Origin("127.0.0.1", "", other), token)


# --- roles


async def test_the_role_of_a_caller_is_a_bare_word_with_the_slash_and_without(host: Host) -> None:
    for path in (LIST, LIST.removesuffix("/")):
        told = await host.get(path)
        assert (told.body, told.media_type, told.role) == (b"web", "text/plain", "web")


async def test_its_credentials_are_what_ec2_would_say(host: Host) -> None:
    told = await host.get(LIST + "web")
    said = json.loads(told.body)
    assert list(said) == ["Code", "LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"]
    assert (said["Code"], said["Type"], told.role) == ("Success", "AWS-HMAC", "web")
    assert told.media_type == "application/json"
    assert [event.role for event in host.reported.of(CredentialsVended)] == ["web"]


async def test_to_tell_the_name_is_not_to_serve_it(host: Host) -> None:
    await host.get()
    assert host.reported.of(CredentialsVended) == []


@pytest.mark.parametrize(
    ("origin", "path", "reason"),
    [
        (NOBODY, LIST, "unknown_caller"),
        (NOBODY, LIST + "web", "unknown_caller"),
        (BY_TOKEN, LIST + "backup", "unknown_caller"),
        (WEB, LIST + "backup", "unknown_caller"),
        (WEB, LIST + "nosuch", "unknown_role"),
        (BOTH, LIST, "ambiguous"),
    ],
)
async def test_what_a_caller_may_not_have_is_not_there_and_the_operator_is_told(
    host: Host, origin: Origin, path: str, reason: str
) -> None:
    assert await host.refused(path, origin) == 404
    assert [event.reason for event in host.reported.of(VendingDenied)] == [reason]


async def test_who_is_granted_several_can_still_name_one(host: Host) -> None:
    assert b"ASIA" in (await host.get(LIST + "backup", BOTH)).body


async def test_a_cold_role_is_named_at_once_and_waited_for_no_longer_than_sdks_wait() -> None:
    cold = Host()
    assert (await cold.get()).body == b"web"
    getting = asyncio.ensure_future(cold.get(LIST + "web"))
    await cold.clock.advance(timedelta(seconds=0.6))
    assert not getting.done()
    await cold.clock.advance(timedelta(seconds=0.2))
    with pytest.raises(CredentialsNotReady):
        await getting


async def test_an_outage_is_noticed_when_the_set_has_a_minute_left(host: Host) -> None:
    await host.clock.advance(timedelta(minutes=58))
    assert b"ASIA" in (await host.get(LIST + "web")).body
    host.sources["web"].failure = CredentialsUnavailable("STS is away")
    await host.sessions["web"].renew()
    await host.clock.advance(timedelta(minutes=1))
    with pytest.raises(CredentialsUnavailable):
        await host.get(LIST + "web")


# --- everything else


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/latest/",
        "/latest/meta-data/",
        "/latest/meta-data/iam/info",
        "/latest/meta-data/iam/security-credentials-extended/",
        "/latest/meta-data/iam/security-credentials//",
        "/latest/meta-data/iam/security-credentials/web/",
        "/latest/meta-data/iam/security-credentials/%77eb",
        "/latest/meta-data/placement/availability-zone",
        "/latest/meta-data/placement/region",
        "/latest/dynamic/instance-identity/document",
        "/2009-04-04/meta-data/",
    ],
)
async def test_this_is_no_ec2_instance_and_says_so(host: Host, path: str) -> None:
    assert await host.refused(path) == 404
    assert host.output.label(path) == ("imds", "")
    assert host.output.ready(Asked("GET", path, Peer(WEB, None))) is None


async def test_only_configured_roles_are_names_for_metrics(host: Host) -> None:
    labels = [host.output.label(LIST + role) for role in ("web", "nosuch", "")]
    assert labels == [("imds", "web"), ("imds", ""), ("imds", "")]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/latest/api/token", "PUT"), ("PUT", LIST, "GET"), ("POST", LIST + "web", "GET")],
)
async def test_another_method_is_not_allowed(host: Host, method: str, path: str, allowed: str) -> None:
    with pytest.raises(Refusal) as refused:
        await host.output.answer(Asked(method, path, Peer(WEB, None), {TTL: b"60"}))
    assert refused.value.problem.status == 405
    assert dict(refused.value.problem.headers) == {"Allow": allowed}


async def test_over_http_a_token_is_asked_for_and_then_shown(host: Host) -> None:
    async with host.listening() as address:
        put = await ask(address, request("PUT", "/latest/api/token", TTL + b": 300", b"Content-Length: 0"))
        assert (put.status, put.headers["Content-Type"], put.headers[TTL.decode()]) == (200, "text/plain", "300")
        shown = TOKEN.title() + b": " + put.body
        both = await say(address, request("GET", LIST, shown) + request("GET", LIST + "web", shown))
        name, document = answers(both)
        assert (name.status, name.headers["Content-Type"], name.body) == (200, "text/plain", b"web")
        assert (document.status, document.headers["Content-Type"]) == (200, "application/json")
        bare = await ask(address, request("GET", LIST + "web"))
        assert bare.status == 401
        assert b"ASIA" not in bare.body
    assert host.bugs == []
    assert host.stats.requests()[("imds", "web", 200)] == 2


@pytest.mark.parametrize(
    "header", [b"X-Forwarded-For: 10.0.0.1", b"Host: metadata.example.com", b"Origin: http://a.example"]
)
async def test_what_a_proxy_or_a_page_sends_gets_no_token(host: Host, header: bytes) -> None:
    line = b"" if header.startswith(b"Host") else b"Host: 127.0.0.1\r\n"
    async with host.listening() as address:
        told = await ask(
            address, b"PUT /latest/api/token HTTP/1.1\r\n" + line + TTL + b": 60\r\n" + header + b"\r\n\r\n"
        )
    assert told.status == 403
