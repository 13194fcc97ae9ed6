import hashlib
import pwd
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.assembly.identity_center import (
    IdentityCenter,
    cache_of,
    center_endpoint,
    command_of,
    identity_center,
    portal_of,
)
from agent.clock import RemoteClock, SystemClock
from agent.errors import CredentialsUnavailable, SignInNeeded
from agent.sandbox import Sandbox, practice_world
from agent.settings import IdentityCenterRole, Settings, load
from agent.status.sign_ins import SignInStatus
from tests.fakes.center import REGION, START_URL, sign_in
from tests.fakes.report import Reported

#: A number that no user of this machine has.
_NOBODY = next(one for one in range(900, 1000) if one not in {user.pw_uid for user in pwd.getpwall()})


def settings(home: Path, more: str = "", endpoint: str = "http://127.0.0.1:1") -> Settings:
    path = home / "rolecall.toml"
    path.write_text(f"""
[identity_center]
start_url = "{START_URL}"
region = "{REGION}"
cache = "cache"
endpoint_url = "{endpoint}"
{more}
[sts]
region = "{REGION}"
endpoint_url = "{endpoint}"
[roles.dev]
source = "identity_center"
account = "123456789012"
permission_set = "Developer"
[[grants]]
roles = ["dev"]
anyone = true
""")
    return load(path, environ={}, host="web-1")


def built(known: Settings) -> IdentityCenter:
    clock = SystemClock()
    found = identity_center(known, wall=clock, clock=RemoteClock(clock), report=Reported())
    assert found is not None
    return found


def role_of(known: Settings) -> IdentityCenterRole:
    role = known.roles["dev"]
    assert isinstance(role, IdentityCenterRole)
    return role


def test_what_is_configured_is_what_is_asked_for(tmp_path: Path) -> None:
    words = settings(tmp_path, 'session = "work"\nproxy = "http://proxy.example.com:3128"').identity_center
    assert words is not None
    portal = portal_of(words, "sudo -u rolecall rolecall login --device")
    assert (portal.start_url, portal.region, portal.session) == (START_URL, REGION, "work")
    assert portal.scopes == ("sso:account:access",)
    assert portal.command == "sudo -u rolecall rolecall login --device"
    endpoint = center_endpoint(words)
    assert (endpoint.endpoint_url, endpoint.proxy) == ("http://127.0.0.1:1", "http://proxy.example.com:3128")
    assert cache_of(words, portal).path == tmp_path / "cache" / f"{hashlib.sha1(b'work').hexdigest()}.json"


def test_the_usual_cache_is_that_of_the_aws_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    words = settings(tmp_path).identity_center
    assert words is not None
    cache = cache_of(words.model_copy(update={"cache": None}), portal_of(words))
    assert cache.path.parent == tmp_path / "me" / ".aws" / "sso" / "cache"


@pytest.mark.parametrize(
    ("user", "command"),
    [
        (0, "rolecall login"),
        (1000, "rolecall login"),
        (1, "sudo -u daemon rolecall login --device"),
        (_NOBODY, f"sudo -u '#{_NOBODY}' rolecall login --device"),
    ],
)
def test_the_command_is_one_that_signs_in_for_whoever_runs_the_agent(user: int, command: str) -> None:
    assert command_of(user, Path("/etc/rolecall/rolecall.toml")) == command
    assert command_of(user, Path("/srv/my files/r.toml")) == f"{command} -c '/srv/my files/r.toml'"


def test_without_the_table_there_is_none(tmp_path: Path) -> None:
    clock = SystemClock()
    known = replace(settings(tmp_path), identity_center=None)
    assert identity_center(known, wall=clock, clock=RemoteClock(clock), report=Reported()) is None


async def test_before_it_is_opened_and_after_it_is_closed_nothing_is_asked(tmp_path: Path) -> None:
    known = settings(tmp_path)
    center = built(known)
    with cache_of(center.words, center.portal).room() as room:
        room.keep(sign_in(at=SystemClock().now()))
    source = center.source("dev", role_of(known))
    for _ in range(2):
        with pytest.raises(CredentialsUnavailable, match="has been closed"):
            await source.fetch()
        async with center.center:
            assert center.center.issuer == "http://127.0.0.1:1"


async def test_how_it_stands_is_told_in_the_words_of_the_status(tmp_path: Path) -> None:
    known = settings(tmp_path)
    center = built(known)
    command = f"rolecall login -c {known.path}"
    assert center.status == SignInStatus("identity_center", "unknown", command, None, "")
    await center.watch.look()
    assert center.status.state == "over"
    assert "nobody has signed in" in center.status.problem
    assert center.jobs


@asynccontextmanager
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(practice_world()) as running:
        yield running


async def test_a_sign_in_that_the_portal_does_not_know_is_over(tmp_path: Path) -> None:
    async with sandbox() as running:
        known = settings(tmp_path, endpoint=running.endpoint_url)
        center = built(known)
        with cache_of(center.words, center.portal).room() as room:
            room.keep(sign_in(refresh=None, at=SystemClock().now()))
        async with center.center:
            with pytest.raises(SignInNeeded):
                await center.source("dev", role_of(known)).fetch()
    assert center.status.state == "over"
    assert _codes(running) == {"GetRoleCredentials": "UnauthorizedException"}


def _codes(running: Sandbox) -> Mapping[str, str]:
    return {one.action: one.code for one in running.requests}
