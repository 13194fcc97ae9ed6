"""Is exactly that asked of callers that some grant wants to know, and by those who can tell?"""

import asyncio
from pathlib import Path

import pytest

from agent.assembly.callers import grants, wanted
from agent.assembly.recognition import Recognition, recognition, unseen
from agent.callers import NOTHING_KNOWN, Origin, Peer
from agent.callers.accounts import Accounts
from agent.callers.bearer import BearerTokens
from agent.callers.containers.attestor import Containers
from agent.callers.containers.origins import ContainerOrigins
from agent.callers.executables import Executables
from agent.callers.kernel import KernelRecogniser, Sight, Wanting
from agent.callers.unit_tokens.attestor import UnitTokens
from agent.events import AccountMissing, CallersSeen, CallersUnseen
from agent.settings import Settings, load
from agent.web.origins import ByAddress
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported

BASE = """
[identity]
source = "file"
file = "/run/identity"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
"""
TOKEN = "a-token-of-the-tests-0123456789"


def settings_of(home: Path, who: str, more: str = "") -> Settings:
    config = home / "rolecall.toml"
    config.write_text(f"{BASE}{who}\n{more}\n".replace("HOME", str(home)))
    return load(config, environ={}, host="web-1")


def found_for(home: Path, who: str, more: str = "", told: Reported | None = None) -> Recognition:
    settings = settings_of(home, who, more)
    report = Reported() if told is None else told
    return recognition(settings, grants(settings.grants), clock=FakeClock(), report=report)


def attestors(found: Recognition) -> list[type]:
    return [type(one) for one in found.attestors]


UNIT_TOKENS = '[unit_tokens]\nsocket = "HOME/unit-tokens.sock"\nsecret = "HOME/unit-tokens.json"'
CONTAINERS = '[containers]\nengine = "podman"'


@pytest.mark.parametrize(
    ("who", "more", "expected"),
    [
        ("anyone = true", "", [BearerTokens]),
        ('token_file = "HOME/token"', "", [BearerTokens]),
        ('unit = "backup.service"', "", [BearerTokens]),
        ('user = "1000"', "", [BearerTokens]),
        ('user = "root"', "", [BearerTokens, Accounts]),
        ('group = "adm"', "", [BearerTokens, Accounts]),
        ('user = "1000"\nsession_name = "${USER}"', "", [BearerTokens, Accounts]),
        ('executable = "/usr/bin/restic"', "[callers]\nexecutables = true", [BearerTokens, Executables]),
        ('unit_token = "backup.service"', UNIT_TOKENS, [BearerTokens, UnitTokens]),
        ('container = "web"', CONTAINERS, [BearerTokens, Containers]),
    ],
)
async def test_each_kind_of_grant_has_those_asked_who_can_tell(
    tmp_path: Path, who: str, more: str, expected: list[type]
) -> None:
    assert attestors(found_for(tmp_path, who, more)) == expected


async def test_by_default_the_kernel_is_asked_about_each_connection(tmp_path: Path) -> None:
    found = found_for(tmp_path, 'unit = "backup.service"')
    assert isinstance(found.recogniser, KernelRecogniser)
    assert isinstance(found.of_containers, ContainerOrigins)


async def test_nobody_asks_the_kernel_where_that_is_turned_off(tmp_path: Path) -> None:
    found = found_for(tmp_path, 'token_file = "HOME/token"', '[callers]\nrecognise = "off"')
    assert isinstance(found.recogniser, ByAddress)
    assert found.kernel is None
    assert len(found.jobs) == 1  # to read token files


async def test_tokens_are_known_when_the_first_caller_comes(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    found = found_for(tmp_path, 'token_file = "HOME/token"', UNIT_TOKENS)
    assert found.unit_tokens is not None
    await found.begin()
    facts = found.tokens.attest(Peer(Origin("127.0.0.1"), TOKEN.encode()))
    assert facts == {("token.file", str(tmp_path / "token"))}
    token = found.unit_tokens.token("backup.service").reveal().encode()
    assert ("token.unit", "backup.service") in (found.unit_tokens.attest(Peer(Origin("127.0.0.1"), token)) or ())


async def test_patterns_reach_those_who_look_for_what_fits(tmp_path: Path) -> None:
    found = found_for(tmp_path, 'unit_token = "backup@*.service"', UNIT_TOKENS)
    await found.begin()
    assert found.unit_tokens is not None
    token = found.unit_tokens.token("backup@daily.service").reveal().encode()
    known = found.unit_tokens.attest(Peer(Origin("127.0.0.1"), token)) or NOTHING_KNOWN
    assert ("token.unit.like", "backup@*.service") in known


async def test_accounts_that_are_not_there_are_told_of(tmp_path: Path) -> None:
    told = Reported()
    found = found_for(tmp_path, 'user = "no-such-user-here"', told=told)
    jobs = [asyncio.ensure_future(job()) for job in found.jobs]
    async with asyncio.timeout(10):
        while len({type(event) for event in told} & {AccountMissing, CallersSeen}) < 2:  # noqa: ASYNC110 - a list
            await asyncio.sleep(0.01)
    for job in jobs:
        job.cancel()
    await asyncio.wait(jobs)
    assert told.of(AccountMissing) == [AccountMissing("user", "no-such-user-here")]
    assert len(told.of(CallersSeen)) == 1


async def test_the_line_to_the_kernel_is_closed_at_the_end(tmp_path: Path) -> None:
    found = found_for(tmp_path, 'user = "1000"')
    before = open_sockets()
    with found.open():
        found.recogniser.recognise(("127.0.0.1", 1), ("127.0.0.1", 2))
    assert open_sockets() <= before


def open_sockets() -> int:
    """How many sockets this process has open."""
    links = (link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return sum(str(link).startswith("socket:") for link in links)


PARTIAL = Wanting("some callers have no user here", "run it outside", "users")
NO_GROUPS = Wanting("no hierarchy is mounted", "mount it", "units")
DEAF = Wanting("the kernel cannot be asked", "let it be", "both")


@pytest.mark.parametrize(
    ("who", "wanting", "told"),
    [
        ('user = "1000"', DEAF, True),
        ('unit = "a.service"', DEAF, True),
        ('token_file = "HOME/token"', DEAF, False),
        ('user = "1000"', NO_GROUPS, False),
        ('slice = "a.slice"', NO_GROUPS, True),
        ('user = "1000"', PARTIAL, True),
        ('unit = "a.service"', PARTIAL, False),
    ],
)
def test_what_cannot_be_told_is_said_only_where_some_grant_asks_for_it(
    tmp_path: Path, who: str, wanting: Wanting, *, told: bool
) -> None:
    settings = settings_of(tmp_path, who)
    sight = Sight(users=wanting is not DEAF, units=wanting is PARTIAL, wanting=(wanting,))
    said = [(error.what, error.hint) for error in unseen(settings, wanted(grants(settings.grants)), sight)]
    assert said == ([(wanting.what, wanting.hint)] if told else [])


async def test_what_is_seen_is_told_once_and_then_nothing_ends(tmp_path: Path) -> None:
    told = Reported()
    found = found_for(tmp_path, 'unit = "backup.service"', told=told)
    assert told == []  # nothing is asked by putting it together
    (look,) = [job for job in found.jobs if job != found.tokens.keep_read]
    looking = asyncio.ensure_future(look())
    done, _ = await asyncio.wait([looking], timeout=0.3)
    looking.cancel()
    assert not done
    assert len(told.of(CallersSeen)) == 1
    assert len(told.of(CallersUnseen)) == len(told) - 1  # as this machine is
