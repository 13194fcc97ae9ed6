import asyncio
import gc
import json
import weakref
from datetime import timedelta

import pytest

from agent.callers import Origin, Peer
from agent.errors import AgentError, CallerDenied, CallerUnknown, CredentialsNotReady, RoleAmbiguous, RoleUnknown
from agent.events import CredentialsVended, RequestRefused, VendingDenied
from agent.events import Refusal as RefusedFor
from agent.web import Asked
from agent.web.problems import Refusal
from tests.unit.web.world import BOTH, NONE, WEB, World, ask, request


@pytest.fixture
async def world() -> World:
    world = World()
    await world.fetch()
    return world


def asked(path: str, token: bytes | None = WEB, method: str = "GET") -> Asked:
    return Asked(method, path, Peer(Origin("127.0.0.1"), token))


async def test_a_role_is_asked_for_by_name_or_as_the_only_one(world: World) -> None:
    named = await world.output.answer(asked("/v1/credentials/web"))
    only = await world.output.answer(asked("/v1/credentials"))
    assert named == only
    assert (named.role, json.loads(named.body)["RoleArn"]) == ("web", "arn:aws:iam::123456789012:role/web")


@pytest.mark.parametrize(
    ("path", "token", "error"),
    [
        ("/v1/credentials/web", None, CallerUnknown),
        ("/v1/credentials/web", NONE, CallerDenied),
        ("/v1/credentials/backup", WEB, CallerDenied),
        ("/v1/credentials/nosuch", WEB, RoleUnknown),
        ("/v1/credentials/nosuch", NONE, CallerDenied),
        ("/v1/credentials", BOTH, RoleAmbiguous),
        ("/v1/credentials", NONE, CallerDenied),
        ("/v1/credentials", b"unknown", CallerUnknown),
    ],
)
async def test_who_may_not_have_it_gets_nothing(
    world: World, path: str, token: bytes | None, error: type[AgentError]
) -> None:
    with pytest.raises(error):
        await world.output.answer(asked(path, token))
    assert world.output.ready(asked(path, token)) is None


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/credentials/", "/v1/credentials/a/b", "/v1/credentials/%77eb", ""])
async def test_there_is_nothing_at_any_other_path(world: World, path: str) -> None:
    with pytest.raises(Refusal) as refused:
        await world.output.answer(asked(path))
    assert refused.value.problem.status == 404
    assert world.output.ready(asked(path)) is None
    assert world.output.label(path) == ("ecs", "")


async def test_only_get_is_answered(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await world.output.answer(asked("/v1/credentials/web", method="POST"))
    assert dict(refused.value.problem.headers) == {"Allow": "GET"}
    assert world.output.ready(asked("/v1/credentials/web", method="POST")) is None


async def test_what_is_ready_is_what_would_be_answered(world: World) -> None:
    assert world.output.ready(asked("/v1/credentials/web")) == await world.output.answer(asked("/v1/credentials/web"))


async def test_a_set_is_rendered_once_and_anew_when_it_is_renewed(world: World) -> None:
    output = world.output
    first = output.ready(asked("/v1/credentials/web"))
    assert output.ready(asked("/v1/credentials/web")) is first
    await world.sessions["web"].renew()
    second = output.ready(asked("/v1/credentials/web"))
    assert second is not None
    assert b"ASIA0000000000000002" in second.body


async def test_nothing_is_ready_before_the_first_fetch_and_after_the_end(world: World) -> None:
    assert World().output.ready(asked("/v1/credentials/web")) is None
    await world.clock.advance(timedelta(minutes=59))
    assert world.output.ready(asked("/v1/credentials/web")) is None


async def test_a_cold_role_is_waited_for_no_longer_than_sdks_wait() -> None:
    cold = World()
    answering = asyncio.ensure_future(cold.output.answer(asked("/v1/credentials/web")))
    await cold.clock.advance(timedelta(seconds=0.6))
    assert not answering.done()
    await cold.clock.advance(timedelta(seconds=0.2))
    with pytest.raises(CredentialsNotReady):
        await answering


async def test_an_outage_is_not_noticed_until_the_set_has_a_minute_left_and_then_it_is_503(world: World) -> None:
    async with world.listening() as address:
        for minutes, status in ((0, 200), (30, 200), (28, 200), (1, 503), (10, 503)):
            await world.clock.advance(timedelta(minutes=minutes))
            told = await ask(address, request())
            assert told.status == status
            assert (b"AccessKeyId" in told.body) == (status == 200)
    assert world.bugs == []


async def test_serving_is_told_of_once_a_set_and_every_refusal(world: World) -> None:
    async with world.listening() as address:
        for _ in range(5):
            await ask(address, request())
            await world.clock.advance(timedelta(seconds=1))
            await ask(address, request("/v1/credentials/web", NONE))
    assert len(world.reported.of(CredentialsVended)) == 1
    assert len(world.reported.of(VendingDenied)) == 5


@pytest.mark.parametrize(
    ("header", "reason"),
    [(b"Host: evil.example.com", "refused_host"), (b"Origin: https://evil.example.com", "refused_origin")],
)
async def test_what_a_web_page_sends_in_a_callers_name_is_told_of(
    world: World, header: bytes, reason: RefusedFor
) -> None:
    host = b"" if header.startswith(b"Host") else b"Host: 127.0.0.1\r\n"
    async with world.listening() as address:
        told = await ask(address, b"GET /v1/credentials/web HTTP/1.1\r\n" + host + header + b"\r\n\r\n")
    assert told.status == 403
    assert world.reported.of(RequestRefused) == [RequestRefused("unknown at 127.0.0.1", reason)]


async def test_what_the_session_has_forgotten_is_not_remembered_here(world: World) -> None:
    output = world.output
    asked = Asked("GET", "/v1/credentials/web", Peer(Origin("127.0.0.1"), WEB))
    assert output.ready(asked) is not None
    held = world.sessions["web"].usable()
    assert held is not None
    seen = weakref.ref(held)
    del held
    await world.clock.advance(timedelta(hours=2))
    assert output.ready(asked) is None
    gc.collect()
    assert seen() is None
