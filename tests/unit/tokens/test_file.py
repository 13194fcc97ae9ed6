import asyncio
import json
import os
import threading
import traceback
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import RemoteClock
from agent.errors import TokenUnavailable
from agent.jose import b64url, compact, signing_input
from agent.secret import Secret
from agent.tokens.file import TokenFile
from tests.fakes.clock import START, FakeClock

HOUR = timedelta(hours=1)
NOW = START.timestamp()


def a_token(**claims: object) -> str:
    return compact(signing_input({"alg": "RS256"}, {"sub": "canary", "exp": NOW + 3600, **claims}), b"canary")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token"


def heard(base: FakeClock) -> RemoteClock:
    """The clock of a host that STS has told the time, which is what the host believed anyway."""
    clock = RemoteClock(base)
    clock.learn(base.now())
    return clock


@pytest.fixture
def source(path: Path) -> TokenFile:
    return TokenFile(path, heard(FakeClock()))


async def refused(source: TokenFile) -> TokenUnavailable:
    with pytest.raises(TokenUnavailable) as caught:
        await source.token()
    assert caught.value.hint
    shown = "".join(traceback.format_exception(caught.value))
    assert a_token()[:40] not in shown
    assert "canary" not in shown
    return caught.value


async def test_the_token_in_the_file_is_given(source: TokenFile, path: Path) -> None:
    path.write_text(a_token())

    token = await source.token()

    assert token.value.reveal() == a_token()
    assert token.expires_at == START + HOUR


@pytest.mark.parametrize(("before", "after"), [("", "\n"), ("", "\r\n"), (" \n", "\n\n  "), ("", "\t\0"[:1])])
async def test_blanks_around_it_are_dropped(source: TokenFile, path: Path, before: str, after: str) -> None:
    path.write_text(before + a_token() + after)

    assert (await source.token()).value.reveal() == a_token()


async def test_the_file_is_read_anew_each_time(source: TokenFile, path: Path) -> None:
    path.write_text(a_token(n=1))
    await source.token()

    path.write_text(a_token(n=2))

    assert (await source.token()).value.reveal() == a_token(n=2)


async def test_a_file_that_is_replaced_as_a_kubelet_does_is_followed(tmp_path: Path) -> None:
    """The name leads through a link to a directory, and it is the link that is replaced."""
    for n in (1, 2):
        (tmp_path / f"..{n}").mkdir()
        (tmp_path / f"..{n}" / "token").write_text(a_token(n=n))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    source = TokenFile(tmp_path / "token", heard(FakeClock()))
    await source.token()

    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert (await source.token()).value.reveal() == a_token(n=2)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600])
async def test_others_may_read_it(source: TokenFile, path: Path, mode: int) -> None:
    path.write_text(a_token())
    path.chmod(mode)

    assert await source.token()


async def test_a_fraction_of_a_second_is_dropped(source: TokenFile, path: Path) -> None:
    path.write_text(a_token(exp=NOW + 60.9))

    assert (await source.token()).expires_at == START + timedelta(seconds=60)


@pytest.mark.parametrize("exp", [NOW, NOW - 1, NOW + 0.5, 0])
async def test_a_token_that_has_expired_is_not_given(source: TokenFile, path: Path, exp: float) -> None:
    path.write_text(a_token(exp=exp))

    assert "expired at " in (await refused(source)).what


async def test_the_expiry_is_told_as_a_date(source: TokenFile, path: Path) -> None:
    path.write_text(a_token(exp=NOW - 60))

    assert (await refused(source)).what == f"the identity token in {path} expired at 2026-11-20T11:59:00Z"


async def test_a_token_that_expires_while_nobody_replaces_it_is_given_no_more(path: Path) -> None:
    clock = FakeClock()
    source = TokenFile(path, heard(clock))
    path.write_text(a_token())
    await source.token()

    await clock.advance(HOUR)

    await refused(source)


async def test_before_sts_has_told_the_time_any_token_is_shown_to_it(path: Path) -> None:
    clock = RemoteClock(FakeClock())
    source = TokenFile(path, clock)
    path.write_text(a_token(exp=NOW - 60))

    assert (await source.token()).expires_at == START - timedelta(seconds=60)
    clock.learn(START)
    assert "expired at" in (await refused(source)).what
    clock.learn(START - HOUR)
    assert await source.token()


async def test_a_missing_file_may_come_later(source: TokenFile, path: Path) -> None:
    error = await refused(source)
    path.write_text(a_token())

    assert error.what == f"the identity token in {path} does not exist"
    assert error.retryable
    assert await source.token()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("canary", "is no signed JWT: not three parts of base64url joined by dots"),
        (a_token() + "\n" + a_token(), "is no signed JWT: not three parts of base64url joined by dots"),
        (a_token() + ".c2ln.c2ln", "is no signed JWT: not three parts of base64url joined by dots"),
        ('{"token": "canary"}', "is no signed JWT: not three parts of base64url joined by dots"),
        ("canary.canary.canary", "is no signed JWT: a part is not base64url of JSON"),
        ("e30.W10.c2ln", "is no signed JWT: a part is not a JSON object"),
        ("ä" * 30, "is no signed JWT: not three parts of base64url joined by dots"),
        (a_token(pad="x" * 15_000), "is longer than 20000 characters, which STS takes"),
        ("x" * 100_000, "is longer than 20000 characters, which STS takes"),
        (a_token(exp=None), "has no exp claim that is a date"),
        (a_token(exp=True), "has no exp claim that is a date"),
        (a_token(exp="2026-11-20"), "has no exp claim that is a date"),
        (a_token(exp=-1), "has no exp claim that is a date"),
        (a_token(exp=10**30), "has no exp claim that is a date"),
        ("e30." + b64url(json.dumps({"exp": float("nan")}).encode()) + ".c2ln", "has no exp claim that is a date"),
        ("e30.e30.c2ln", "has no exp claim that is a date"),
    ],
)
async def test_what_is_no_token_is_refused(source: TokenFile, path: Path, content: str, what: str) -> None:
    path.write_text(content)

    assert (await refused(source)).what == f"the identity token in {path} {what}"


async def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "is not an ordinary file" in (await refused(TokenFile(tmp_path, heard(FakeClock())))).what


async def test_a_pipe_is_refused_and_not_waited_for(source: TokenFile, path: Path) -> None:
    os.mkfifo(path)

    assert "is not an ordinary file" in (await refused(source)).what


async def test_a_file_that_cannot_be_read_says_why(source: TokenFile, path: Path) -> None:
    path.symlink_to(path.name)

    assert "cannot be read: Too many levels of symbolic links" in (await refused(source)).what


async def test_a_path_that_cannot_be_is_refused() -> None:
    assert "cannot be read" in (await refused(TokenFile(Path("/etc/token\0"), heard(FakeClock())))).what


async def test_where_a_look_hangs_one_thread_waits_however_often_it_is_asked(path: Path) -> None:
    hangs, looks = threading.Event(), []

    class Stuck(TokenFile):
        def _read(self) -> Secret:
            looks.append(1)
            hangs.wait(20)
            return Secret(a_token())

    source = Stuck(path, heard(FakeClock()))
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(source.token(), 0.02)
    assert len(looks) == 1
    asking = asyncio.ensure_future(source.token())
    hangs.set()
    assert (await asking).value.reveal() == a_token()
    assert (await source.token()).value.reveal() == a_token()
    assert len(looks) == 2


async def test_without_a_thread_to_be_had_it_says_so_and_lives(
    source: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    path.write_text(a_token())
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", none_left)
        assert "no thread to be had" in (await refused(source)).what
    assert (await source.token()).value.reveal() == a_token()
