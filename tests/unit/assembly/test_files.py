"""Does each of [[files]] become a file that is kept, with what it is to hold?"""

import asyncio
import configparser
import random
import stat
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from agent import jose
from agent.assembly.files import kept_files
from agent.clock import RemoteClock, SystemClock
from agent.events import FileWritten
from agent.narrowing import WHOLE
from agent.outputs.credentials_file import CredentialsFile
from agent.outputs.token_file import TokenFile
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.sessions import RoleSession
from agent.settings import Settings, load
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource

BASE = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
tags = { team = "storage" }
[[grants]]
roles = ["backup"]
user = "1000"
"""
TWO = """
[[files]]
kind = "credentials"
path = "HOME/credentials"
role = "backup"
profile = "rolecall"
mode = "0400"
[[files]]
kind = "web_identity_token"
path = "HOME/backup.jwt"
role = "backup"
"""


TOKEN = """
[[files]]
kind = "token"
path = "HOME/vault.jwt"
audience = "vault"
scopes = ["read"]
claims = { host = "${HOST}" }
lifetime = "2h"
"""


def settings_of(home: Path, files: str) -> Settings:
    config = home / "rolecall.toml"
    config.write_text(BASE + files.replace("HOME", str(home)))
    return load(config, environ={}, host="web-1")


def built(
    settings: Settings, told: Reported, session: RoleSession | None = None
) -> Sequence[CredentialsFile | TokenFile]:
    key = MemoryKey()
    roster = Roster({} if session is None else {("backup", WHOLE): session})
    clock = RemoteClock(SystemClock())
    return kept_files(settings, roster, lambda: key, clock=clock, report=told, chance=random.Random(1))


def session_of(told: Reported) -> RoleSession:
    source = FakeSource(FakeClock(START), lifetime=timedelta(days=36500))
    return RoleSession(
        "backup",
        source,
        RefreshPolicy(),
        clock=RemoteClock(SystemClock()),
        report=told,
        spread=lambda: 0.5,
    )


def test_where_none_is_configured_none_is_kept(tmp_path: Path) -> None:
    assert built(settings_of(tmp_path, ""), Reported()) == []


async def test_each_is_what_its_kind_says_and_nothing_is_touched_by_building_it(tmp_path: Path) -> None:
    told = Reported()
    found = built(settings_of(tmp_path, TWO), told, session_of(told))
    assert [type(one) for one in found] == [CredentialsFile, TokenFile]
    await asyncio.sleep(0)
    assert {path.name for path in tmp_path.iterdir()} == {"rolecall.toml"}


async def test_each_is_written_with_what_the_role_has_and_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    told = Reported()
    session = session_of(told)
    await session.renew()
    jobs = [asyncio.ensure_future(one.keep_fresh()) for one in built(settings_of(tmp_path, TWO), told, session)]
    async with asyncio.timeout(10):
        while len(told.of(FileWritten)) < 2:  # noqa: ASYNC110 - a list
            await asyncio.sleep(0.01)
    for job in jobs:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job
    profiles = configparser.RawConfigParser()
    profiles.read(tmp_path / "credentials")
    assert profiles.sections() == ["rolecall"]
    assert profiles["rolecall"]["aws_access_key_id"].startswith("ASIA")
    assert stat.S_IMODE((tmp_path / "credentials").stat().st_mode) == 0o400
    _, claims = jose.unverified((tmp_path / "backup.jwt").read_text())
    assert claims["https://aws.amazon.com/roles"] == ["arn:aws:iam::123456789012:role/backup"]
    assert claims["https://aws.amazon.com/tags"] == {"principal_tags": {"team": ["storage"]}}
    assert claims["jti"]
    assert stat.S_IMODE((tmp_path / "backup.jwt").stat().st_mode) == 0o600


async def test_a_token_for_others_is_written_with_what_it_is_to_say_and_of_no_role(tmp_path: Path) -> None:
    told = Reported()
    (kept,) = built(settings_of(tmp_path, TOKEN), told)
    keeping = asyncio.ensure_future(kept.keep_fresh())
    async with asyncio.timeout(10):
        while not told.of(FileWritten):  # noqa: ASYNC110 - a list
            await asyncio.sleep(0.01)
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    (written,) = told.of(FileWritten)
    assert (written.what, written.role) == ("token", "vault")
    _, claims = jose.unverified((tmp_path / "vault.jwt").read_text())
    times = [claims.pop(name) for name in ("iat", "nbf", "exp", "jti")]
    assert claims == {
        "iss": "https://oidc.example.com",
        "sub": "host:web-1",
        "aud": "vault",
        "scope": "read",
        "host": "web-1",
    }
    assert times[2] == times[0] + 7200  # type: ignore[operator]  # numbers, or this is no token
