import asyncio
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import AgentError, KeyUnavailable, TokenUnavailable
from agent.events import FileStuck, FileWritten, KeyPromoted, KeyReady, TokenSigned
from agent.outputs.attempts import Means
from agent.outputs.replacing import Place
from agent.outputs.token_file import TokenFile
from agent.sessions import STUCK
from agent.tokens import Token
from tests.fakes.clock import FakeClock
from tests.fakes.keeping import kept, pass_time, quiet
from tests.fakes.minted import CANARY_TOKEN, MintedTokens
from tests.fakes.report import Reported


@dataclass
class Moody:
    """A source of tokens that fails or hangs as told; what it has made it gives out when `gate` is open."""

    minted: MintedTokens
    failure: AgentError | None = None
    hangs: bool = False
    gate: asyncio.Event | None = None

    async def token(self) -> Token:
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        token = await self.minted.token()
        if self.gate is not None:
            await self.gate.wait()
        return token


@dataclass
class Host:
    """A source of tokens of five minutes, and a folder in which the latest is kept."""

    path: Path
    clock: FakeClock = field(default_factory=FakeClock)
    reported: Reported = field(default_factory=Reported)

    def __post_init__(self) -> None:
        self.tokens = Moody(MintedTokens(self.clock))
        means = Means(self.clock, self.reported, lambda: 0.0)
        self.file = TokenFile("backup", self.tokens, Place(self.path), means)

    @property
    def count(self) -> int:
        return len(self.tokens.minted.minted_at)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "token")


async def test_the_token_is_there_at_once_for_its_owner_alone_and_without_a_newline(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        assert host.path.read_bytes() == CANARY_TOKEN.encode()
        assert stat.S_IMODE(host.path.stat().st_mode) == 0o600
    (written,) = host.reported.of(FileWritten)
    assert (written.path, written.what, written.role) == (str(host.path), "web_identity_token", "backup")


async def test_a_token_for_others_is_told_as_one_and_by_its_audience(tmp_path: Path) -> None:
    ours = Host(tmp_path / "token")
    means = Means(ours.clock, ours.reported, lambda: 0.0)
    ours.file = TokenFile("vault", ours.tokens, Place(ours.path), means, "token")
    async with kept(ours.file.keep_fresh):
        ours.path.unlink()
        ours.path.mkdir()
        await pass_time(ours.clock, timedelta(seconds=10))
    (written,), (stuck,) = ours.reported.of(FileWritten), ours.reported.of(FileStuck)
    assert (written.what, written.role) == (stuck.what, stuck.role) == ("token", "vault")


async def test_it_is_replaced_at_half_its_life(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        await pass_time(host.clock, timedelta(seconds=149))
        assert host.count == 1
        await pass_time(host.clock, timedelta(seconds=1))
        assert host.path.read_text() == f"{CANARY_TOKEN}-2"
        await pass_time(host.clock, timedelta(minutes=5))
        assert host.count == 4


async def test_it_never_has_less_than_a_third_of_its_life_left(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        for _ in range(60):
            await pass_time(host.clock, timedelta(seconds=10))
            assert host.clock.now() - host.tokens.minted.minted_at[-1] <= timedelta(minutes=3)


async def test_a_machine_that_slept_has_a_new_one_ten_seconds_later(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        host.clock.suspend(timedelta(hours=2))
        await pass_time(host.clock, timedelta(seconds=10))
        assert host.path.read_text() == f"{CANARY_TOKEN}-2"


@pytest.mark.parametrize("by", [timedelta(hours=3), -timedelta(hours=3), timedelta(seconds=20)], ids=str)
async def test_a_clock_that_is_set_has_a_token_by_the_new_time_ten_seconds_later(host: Host, by: timedelta) -> None:
    """By that of those who read it, the one that is there is over, or not good yet."""
    async with kept(host.file.keep_fresh):
        host.clock.step(by)
        await pass_time(host.clock, timedelta(seconds=10))
        assert host.path.read_text() == f"{CANARY_TOKEN}-2"
        await pass_time(host.clock, timedelta(seconds=100))
        assert host.count == 2


async def test_a_clock_that_drifts_changes_nothing(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        for _ in range(4):
            host.clock.step(timedelta(seconds=1))
            await pass_time(host.clock, timedelta(seconds=10))
        assert host.count == 1


@pytest.mark.parametrize("event", [KeyPromoted("new", "old"), KeyReady("new", "RS256")])
async def test_when_another_key_signs_there_is_another_token_at_once(host: Host, event: KeyPromoted | KeyReady) -> None:
    async with kept(host.file.keep_fresh):
        host.file.heard(TokenSigned("new"))
        await quiet()
        assert host.count == 1
        host.file.heard(event)
        await quiet()
        assert host.path.read_text() == f"{CANARY_TOKEN}-2"


async def test_a_key_that_signs_from_then_on_counts_for_a_token_under_way_as_well(host: Host) -> None:
    host.tokens.gate = asyncio.Event()
    async with kept(host.file.keep_fresh):  # the token was made by the key that has signed until now
        host.file.heard(KeyPromoted("new", "old"))
        host.tokens.gate.set()
        await quiet()
        assert host.path.read_text() == f"{CANARY_TOKEN}-2"
        await pass_time(host.clock, timedelta(seconds=149))
        assert host.count == 2


async def test_what_cannot_be_replaced_is_left_and_told_of_once_until_it_can(host: Host) -> None:
    async with kept(host.file.keep_fresh):
        host.tokens.failure = KeyUnavailable("the key is locked away", hint="unlock it")
        await pass_time(host.clock, timedelta(minutes=20))
        assert host.path.read_text() == CANARY_TOKEN
        (stuck,) = host.reported.of(FileStuck)
        assert (stuck.error.what, stuck.role) == ("the key is locked away", "backup")
        assert stuck.good_until == host.tokens.minted.minted_at[0] + timedelta(minutes=5)
        assert host.file.trouble is not None
        host.tokens.failure = None
        host.file.retry_now()
        await quiet()
        assert host.path.read_text() == f"{CANARY_TOKEN}-2"
        assert host.reported.of(FileWritten)[-1].failures > 3
        assert host.file.trouble is None


async def test_what_passes_by_itself_is_tried_again_soon_when_nothing_good_is_left(host: Host) -> None:
    host.tokens.failure = TokenUnavailable("the token is away")
    async with kept(host.file.keep_fresh):
        assert not host.path.exists()
        host.tokens.failure = None
        await pass_time(host.clock, timedelta(seconds=10))
        assert host.path.read_text() == CANARY_TOKEN


async def test_a_source_that_hangs_is_told_of(host: Host) -> None:
    host.tokens.hangs = True
    async with kept(host.file.keep_fresh):
        await pass_time(host.clock, timedelta(seconds=STUCK))
        (stuck,) = host.reported.of(FileStuck)
        assert "came to nothing in 120 s" in stuck.error.what


@pytest.mark.parametrize("wrong", [Path.unlink, lambda path: path.write_text(f"{CANARY_TOKEN}-of-somebody-else")])
async def test_a_token_that_somebody_takes_away_is_put_back_without_another(
    host: Host, wrong: Callable[[Path], object]
) -> None:
    async with kept(host.file.keep_fresh):
        wrong(host.path)
        await pass_time(host.clock, timedelta(seconds=10))
        assert host.path.read_text() == CANARY_TOKEN
        assert host.count == 1


@pytest.mark.parametrize("precious", ["-----BEGIN PRIVATE KEY-----", "a.b.c", "é", "secret\n"])
async def test_a_file_that_holds_something_else_is_not_replaced(host: Host, precious: str) -> None:
    host.path.write_text(precious)
    host.path.chmod(0o600)
    async with kept(host.file.keep_fresh):
        await pass_time(host.clock, timedelta(minutes=3))
        assert host.path.read_text() == precious
        (stuck,) = host.reported.of(FileStuck)
        assert "something else than a token" in stuck.error.what
        assert precious not in stuck.error.what + stuck.error.hint


async def test_another_writers_token_or_an_empty_file_is_replaced(host: Host) -> None:
    for content in (f"{CANARY_TOKEN}\n", ""):
        host.path.write_text(content)
        async with kept(Host(host.path).file.keep_fresh):
            assert host.path.read_text() == CANARY_TOKEN


async def test_tokens_that_end_as_soon_as_they_come_are_not_asked_for_without_end(host: Host) -> None:
    minted = host.tokens.minted

    async def dying() -> Token:
        token = await minted.token()
        return Token(token.value, host.clock.now())

    host.tokens.token = dying  # type: ignore[method-assign]  # a fake of this test
    async with kept(host.file.keep_fresh):
        await pass_time(host.clock, timedelta(minutes=1))
    assert host.count <= 7
