import asyncio
import configparser
import fcntl
import os
import stat
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import ConfigurationError, CredentialsUnavailable
from agent.events import CredentialsVended, FileEmptied, FileStuck, FileWritten
from agent.outputs.attempts import Means
from agent.outputs.credentials_file import CredentialsFile
from agent.outputs.replacing import Place
from agent.schedule import RefreshPolicy
from agent.sessions import RoleSession
from tests.fakes.clock import FakeClock
from tests.fakes.keeping import kept, pass_time, quiet
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource

pytestmark = pytest.mark.long

PERSONAL = b"# mine\n[default]\naws_access_key_id = AKIAMINE\n\n[work]\nregion = x\n"


@dataclass
class Host:
    """A role, its session, and a folder in which a profile of it is kept."""

    home: Path
    clock: FakeClock = field(default_factory=FakeClock)
    reported: Reported = field(default_factory=Reported)

    def __post_init__(self) -> None:
        self.source = FakeSource(self.clock)
        # The wall clock of the fakes is the issuer's, but for the seconds that the steady one starts with.
        self.source.issuer_ahead = self.clock.now() - self.clock.latest()
        self.session = RoleSession(
            "backup",
            self.source,
            RefreshPolicy(),
            clock=self.clock,
            report=self.tell,
            spread=lambda: 0.5,
        )
        self.file = self.another()

    def another(self, profile: str = "rolecall", mode: int = 0o600) -> CredentialsFile:
        means = Means(self.clock, self.reported, lambda: 0.5)
        return CredentialsFile(self.session, Place(self.path, mode), profile, means)

    def tell(self, event: object) -> None:
        self.reported(event)  # type: ignore[arg-type]  # whatever the session reports is an event
        self.file.heard(event)  # type: ignore[arg-type]  # the same

    @property
    def path(self) -> Path:
        return self.home / "credentials"

    def profile(self, name: str = "rolecall") -> dict[str, str]:
        """What a reader finds; empty if there is no such profile."""
        parser = configparser.RawConfigParser()
        parser.read(self.path)
        return dict(parser.items(name)) if parser.has_section(name) else {}

    @property
    def key_id(self) -> str:
        return self.profile().get("aws_access_key_id", "")[-2:]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def test_a_set_is_written_when_it_is_there_and_the_next_at_once(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        assert not host.path.exists()
        await host.session.renew()
        await quiet()
        assert host.profile() == {
            "aws_access_key_id": "ASIA0000000000000001",
            "aws_secret_access_key": "secret-of-ASIA0000000000000001",
            "aws_session_token": "token-of-ASIA0000000000000001",
            "aws_account_id": "123456789012",
            "x_security_token_expires": "2026-11-20T13:00:00Z",
        }
        assert stat.S_IMODE(host.path.stat().st_mode) == 0o600
        await host.session.renew()
        await quiet()
        assert host.key_id == "02"


async def test_each_set_is_in_the_audit_once_whatever_happens_to_the_file(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        host.path.unlink()
        await pass_time(host.clock, timedelta(minutes=1))
        await host.session.renew()
        await quiet()
    vended = host.reported.of(CredentialsVended)
    assert [event.caller for event in vended] == [f"file:{host.path}"] * 2
    assert [event.access_key_id[-2:] for event in vended] == ["01", "02"]
    assert [event.expires_at for event in host.reported.of(FileWritten)] == [
        vended[0].expires_at,
        vended[0].expires_at,
        vended[1].expires_at,
    ]


async def test_what_others_keep_in_the_file_stays_to_the_byte_through_a_whole_life(host: Host) -> None:
    host.path.write_bytes(PERSONAL)
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        assert host.path.read_bytes().startswith(PERSONAL)
        assert host.key_id == "01"
        await pass_time(host.clock, timedelta(hours=1))
        assert host.path.read_bytes() == PERSONAL


async def test_a_set_that_has_ended_is_taken_out_before_it_ends(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await pass_time(host.clock, timedelta(minutes=58, seconds=50))
        assert host.key_id == "01"
        assert host.reported.of(FileEmptied) == []
        await pass_time(host.clock, timedelta(seconds=30))
        assert host.profile() == {}
        assert host.path.read_bytes() == b""
        await pass_time(host.clock, timedelta(minutes=10))
        await host.session.renew()
        await quiet()
        assert host.key_id == "02"
    assert host.reported.of(FileEmptied) == [FileEmptied(str(host.path), "backup")]


async def test_an_outage_is_not_noticed_while_there_is_something_good(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        host.source.failure = CredentialsUnavailable("STS is away")
        await pass_time(host.clock, timedelta(minutes=30))
        await host.session.renew()
        await pass_time(host.clock, timedelta(minutes=10))
        assert host.key_id == "01"


async def test_a_machine_that_slept_has_nothing_stale_ten_seconds_later(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        host.clock.suspend(timedelta(hours=2))
        await pass_time(host.clock, timedelta(seconds=10))
        assert host.profile() == {}


@pytest.mark.parametrize("left", [timedelta(minutes=30), timedelta(seconds=90)])
async def test_what_was_left_by_a_run_before_stays_until_its_end_and_no_longer(host: Host, left: timedelta) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
    await host.clock.advance(timedelta(hours=1) - left)
    restarted = Host(host.home, clock=host.clock)
    async with kept(restarted.file.keep_fresh):
        assert restarted.key_id == "01"
        await pass_time(host.clock, left - timedelta(seconds=65))
        assert restarted.key_id == "01"
        await pass_time(host.clock, timedelta(seconds=20))
        assert restarted.profile() == {}
        assert len(restarted.reported.of(FileEmptied)) == 1


@pytest.mark.parametrize(
    "end",
    ["x_security_token_expires = 2026-11-20T11:00:00Z", "x_security_token_expires = tomorrow", "aws_account_id = 1"],
)
async def test_what_is_over_or_has_no_end_is_taken_out_at_the_start(host: Host, end: str) -> None:
    host.path.write_text(f"[rolecall]\naws_access_key_id = ASIAOLD\naws_secret_access_key = s\n{end}\n")
    host.path.chmod(0o600)
    async with kept(host.file.keep_fresh):
        assert host.path.read_bytes() == b""


async def test_a_file_that_somebody_takes_away_or_changes_is_put_right(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        right = host.path.read_bytes()
        for wrong in (None, b"", PERSONAL, right.replace(b"ASIA", b"AKIA")):
            host.path.unlink() if wrong is None else host.path.write_bytes(wrong)
            await pass_time(host.clock, timedelta(seconds=10))
            assert host.path.read_bytes() == (PERSONAL + right if wrong == PERSONAL else right)
            host.path.write_bytes(right)
            await pass_time(host.clock, timedelta(seconds=10))


async def test_a_file_that_is_well_is_not_written_again(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        before = host.path.stat()
        await pass_time(host.clock, timedelta(minutes=20))
        host.file.retry_now()
        await quiet()
        after = host.path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len(host.reported.of(FileWritten)) == 1


async def test_a_file_that_cannot_be_read_as_profiles_is_left_and_told_of_once(host: Host) -> None:
    host.path.write_bytes(b"wJalrXUtnFEMI\n" + PERSONAL)
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await pass_time(host.clock, timedelta(minutes=5))
        assert host.path.read_bytes() == b"wJalrXUtnFEMI\n" + PERSONAL
        (stuck,) = host.reported.of(FileStuck)
        assert "before its first profile" in stuck.error.what
        assert "wJalr" not in repr(stuck.error) + stuck.error.hint
        assert host.file.trouble is not None
        assert host.file.trouble.what == stuck.error.what
        host.path.write_bytes(PERSONAL)
        await pass_time(host.clock, timedelta(minutes=5))
        assert host.key_id == "01"
        assert host.file.trouble is None
        (written,) = host.reported.of(FileWritten)
        assert written.failures > 1


async def test_a_directory_that_is_missing_is_waited_for_and_found_at_once_when_told(host: Host) -> None:
    host.home = host.home / "later"
    host.file = host.another()
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        (stuck,) = host.reported.of(FileStuck)
        assert (stuck.path, stuck.role, stuck.what, stuck.good_until) == (str(host.path), "backup", "credentials", None)
        host.home.mkdir()
        host.file.retry_now()
        await quiet()
        assert host.key_id == "01"


async def test_while_another_has_the_lock_the_old_content_stays_and_then_the_new_comes(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        holder = os.open(host.home, os.O_RDONLY)
        fcntl.flock(holder, fcntl.LOCK_EX)
        await host.session.renew()
        await asyncio.sleep(0.05)
        assert host.key_id == "01"
        os.close(holder)
        await quiet()
        assert host.key_id == "02"


async def test_an_ended_set_that_cannot_be_taken_out_is_tried_again_until_it_can(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        content = host.path.read_bytes()
        host.path.unlink()
        host.path.symlink_to(host.home / "elsewhere")
        await pass_time(host.clock, timedelta(minutes=61))
        assert [type(event) for event in host.reported][-1] is FileStuck
        host.path.unlink()
        host.path.write_bytes(content)
        await pass_time(host.clock, timedelta(minutes=5))
        assert host.profile() == {}


async def test_two_agents_on_one_file_each_keep_their_own(host: Host) -> None:
    other = host.another("other")
    host.path.write_bytes(PERSONAL)
    async with kept(host.file.keep_fresh), kept(other.keep_fresh):
        for _ in range(20):
            await host.session.renew()
            other.retry_now()
            await quiet()
            assert host.profile("rolecall")
            assert host.profile("rolecall") == host.profile("other")
            assert host.path.read_bytes().startswith(PERSONAL)
        await pass_time(host.clock, timedelta(hours=1))
        assert host.path.read_bytes() == PERSONAL


async def test_a_file_of_other_peoples_profiles_is_not_opened_to_a_group(host: Host) -> None:
    host.path.write_bytes(PERSONAL)
    host.path.chmod(0o600)
    host.file = host.another(mode=0o640)
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        assert stat.S_IMODE(host.path.stat().st_mode) == 0o600
        host.path.write_bytes(b"")
        await pass_time(host.clock, timedelta(seconds=10))
        assert stat.S_IMODE(host.path.stat().st_mode) == 0o640


async def test_when_the_job_ends_what_is_good_stays(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
    assert host.key_id == "01"


@pytest.mark.parametrize("name", ["default", "DEFAULT", "", "a b", "a]b", "é", "x" * 65, "a\n[b"])
def test_a_profile_that_is_everybodys_or_no_name_is_refused(host: Host, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        host.another(name)


async def test_other_roles_news_are_not_ours(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await host.session.renew()
        await quiet()
        before = host.reported.of(FileWritten)
        host.session.name = "another"
        host.source.failure = CredentialsUnavailable("away")
        await host.session.renew()
        await quiet()
        assert host.reported.of(FileWritten) == before
