import asyncio
import random
from pathlib import Path

import pytest

from agent.assembly.credentials import OpenedSts
from agent.assembly.holding import Holding, Issuers, holding
from agent.callers import Origin, Peer
from agent.clock import RemoteClock
from agent.errors import KeyUnavailable
from agent.events import KeyForgotten, KeyReady
from agent.narrowing import WHOLE
from agent.settings import load
from tests.fakes.clock import FakeClock, settle
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported

CONFIGURATION = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
audiences = ["https://api.example.com"]
anyone = true
[[grants]]
audiences = ["https://other.example.com"]
user = "1000"
subject = "user:${UID}"
[[grants]]
audiences = ["https://outside.example.com"]
aws_account = "123456789012"
[aws_callers]
listen = "127.0.0.1:9443"
server_id = "https://tokens.example.com"
certificate = "/etc/rolecall/tls.pem"
private_key = "/etc/rolecall/tls.key"
"""
USER = Peer(Origin("127.0.0.1", "127.0.0.1", frozenset({("unix.uid", "1000")})), None)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def key() -> MemoryKey:
    return MemoryKey()


@pytest.fixture
def held(tmp_path: Path, clock: FakeClock, key: MemoryKey) -> Holding:
    (tmp_path / "rolecall.toml").write_text(CONFIGURATION)
    settings = load(tmp_path / "rolecall.toml", environ={}, host="web-1")
    chance = random.Random(1)
    issuers = Issuers(lambda: key)
    return holding(
        settings, issuers, OpenedSts(settings.sts), clock=RemoteClock(clock), report=Reported(), chance=chance
    )


def test_roles_and_audiences_that_depend_on_nobody_are_held_from_the_start(held: Holding) -> None:
    assert list(held.whole) == ["backup"]
    assert [(one.name, one.extent) for one in held.roster.kept()] == [("backup", WHOLE)]
    assert [one.name for one in held.issuing.roster.kept()] == ["https://api.example.com"]


async def test_tokens_of_callers_inside_aws_are_for_nobody_here(held: Holding) -> None:
    _, granted = await held.tokens.seen(USER)
    assert [grant.name for grant in granted] == ["https://api.example.com", "https://other.example.com"]
    assert "https://outside.example.com" in held.issuing.roster.names


def test_facts_that_only_tokens_depend_on_are_found_out_as_well(held: Holding) -> None:
    assert held.seeing.kernel is not None


async def test_when_the_key_was_stolen_what_it_signed_is_signed_anew(held: Holding) -> None:
    (kept,) = held.issuing.roster.kept()
    await kept.session.renew()
    task = asyncio.ensure_future(held.issuing.keeper.keep_fresh())
    await settle()
    held.heard(KeyForgotten("kid", "retired"))
    await settle()
    known = kept.session.usable()
    held.heard(KeyForgotten("kid", "stolen"))
    await settle()
    after = kept.session.usable()
    task.cancel()
    assert known is not None
    assert after is not None
    assert after.id != known.id


async def test_a_key_that_is_there_again_has_everything_that_failed_tried_again(held: Holding, key: MemoryKey) -> None:
    (kept,) = held.issuing.roster.kept()
    key.failure = KeyUnavailable("the token is locked", hint="unlock it")
    task = asyncio.ensure_future(held.issuing.keeper.keep_fresh())
    await settle()
    key.failure = None
    await settle()
    before = kept.session.usable()  # it would be tried by itself as well, but later
    held.heard(KeyReady("kid", "ES256"))
    await settle()
    task.cancel()
    assert kept.session.attempted
    assert (before, kept.session.usable() is not None) == (None, True)
