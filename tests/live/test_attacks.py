"""Does a running agent go on for those who mean well, whatever others do to it?"""

import asyncio
import json
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from agent.sandbox import Fault
from tests.live.host import ROLECALL, TOKEN, Agent, Host, agent_on, fetch, running_host, sandboxed

pytestmark = pytest.mark.long


@contextmanager
def many_files() -> Iterator[None]:
    """As many open files as this process may have, for a herd of clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def until(true: Callable[[], Awaitable[bool]], *, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 - another process tells us nothing
            await asyncio.sleep(0.05)


async def answers(host: Host, status: int = 200, token: str = TOKEN) -> bool:
    try:
        return (await fetch(host, token=token))[0] == status
    except OSError:
        return False


def cpu(process: asyncio.subprocess.Process) -> float:
    """Seconds of CPU that it has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def launched(host: Host, before: str, log: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent, begun by a shell that does something `before`; its stderr is `log`."""
    words = " ".join(ROLECALL)
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", f"{before.format(words=words)} run -c {host.config}", env=host.environment(), stderr=log
    )  # fmt: skip
    try:
        await until(lambda: answers(host))
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 10)


# --- those who read its log


def fill(pipe: int) -> None:
    """Write until it takes no more."""
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    os.set_blocking(pipe, True)


async def test_a_log_that_nobody_reads_holds_nobody_up_not_even_the_end(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        read_end, write_end = os.pipe()
        fill(write_end)
        async with launched(host, "exec {words}", write_end) as process:  # which is waited for until it answers
            told = b""
            while b'"event": "ready"' not in told:  # somebody reads now, and nothing has been lost
                told += await asyncio.wait_for(asyncio.to_thread(os.read, read_end, 65536), 20)
            fill(write_end)
            for _ in range(50):
                process.send_signal(signal.SIGHUP)
                assert await asyncio.wait_for(answers(host), 5)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 20) == 0
        os.close(read_end)
        os.close(write_end)


@pytest.mark.parametrize("before", ["exec 2>&-; exec {words}", "exec >&- 2>&- <&-; exec {words}"])
async def test_closed_standard_streams_are_no_reason_not_to_work(tmp_path: Path, before: str) -> None:
    async with sandboxed(tmp_path) as (host, _), launched(host, before, asyncio.subprocess.DEVNULL) as process:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_reader_of_the_log_who_goes_away_is_not_missed(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        read_end, write_end = os.pipe()
        os.close(read_end)
        async with launched(host, "exec {words}", write_end) as process:
            os.close(write_end)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0


# --- those who connect


@pytest.mark.parametrize(("door", "descriptors"), [("credentials", 300), ("credentials", 100), ("admin", 100)])
async def test_who_opens_more_connections_than_there_are_files_keeps_nobody_out(
    tmp_path: Path, door: str, descriptors: int
) -> None:
    with many_files():
        async with sandboxed(tmp_path) as (host, _):
            log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT, 0o600)
            async with launched(host, f"ulimit -n {descriptors}; exec {{words}}", log) as process:
                port = host.ports[door == "admin"]
                silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * descriptors)]
                try:
                    for _, writer in silent:
                        writer.write(b"GET /")
                    await until(lambda: answers(host))  # while all of them are being accepted, there may be a 503
                    used = cpu(process)
                    for _ in range(5):
                        assert (await asyncio.wait_for(fetch(host), 20))[0] == 200
                        async with aiohttp.ClientSession() as session, session.get(f"{host.admin}/livez") as answer:
                            assert answer.status == 200
                    await asyncio.sleep(0.5)
                    assert cpu(process) - used < 0.3
                finally:
                    for _, writer in silent:
                        writer.close()
            os.close(log)
            assert (tmp_path / "log").stat().st_size < 10_000


async def test_a_thousand_clients_at_once_on_a_cold_role_cost_one_call(tmp_path: Path) -> None:
    request = f"GET /v1/credentials/backup HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {TOKEN}\r\n\r\n".encode()

    async def client(host: Host) -> tuple[int, dict[str, str]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", host.ports[0])
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        [length] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        body = await reader.readexactly(int(length.split(b":")[1]))
        writer.close()
        return int(head.split(b" ")[1]), json.loads(body)

    with many_files():
        async with sandboxed(tmp_path) as (host, sandbox):
            sandbox.faults.add(Fault("slow", seconds=1.5, times=1))
            async with agent_on(host):
                await until(lambda: listens(host))
                told = await asyncio.wait_for(asyncio.gather(*(client(host) for _ in range(1000))), 20)
                assert {(status, document.get("code")) for status, document in told} <= {
                    (200, None),
                    (503, "CredentialsNotReady"),
                }
                await until(lambda: answers(host))
                assert {status for status, _ in await asyncio.gather(*(client(host) for _ in range(1000)))} == {200}
                assert [call.action for call in sandbox.requests] == ["AssumeRoleWithWebIdentity"]


async def listens(host: Host) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", host.ports[0])
    except OSError:
        return False
    writer.close()
    return True


async def test_guessing_tokens_is_hopeless_and_fills_no_disk(tmp_path: Path) -> None:
    async with running_host(tmp_path) as (agent, _):
        async with aiohttp.ClientSession() as session:
            for number in range(1500):
                headers = {"Authorization": f"guessed-token-{number:08d}"}
                async with session.get(f"{agent.host.url}/v1/credentials/backup", headers=headers) as answer:
                    assert answer.status == 401
        assert await answers(agent.host)
        await agent.stop()
        refused = agent.events("credentials_refused")
        assert len(refused) < 20
        assert sum(int(fact.get("again", 1)) for fact in refused) >= 1500 - len(refused)
        assert sum(len(line) for line in agent.lines) < 20_000


async def test_a_body_without_end_is_not_taken_in(tmp_path: Path) -> None:
    async with running_host(tmp_path) as (agent, _):
        before = resident(agent)
        head = f"POST /v1/credentials/backup HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {TOKEN}\r\n"
        for framing in ("Content-Length: 1000000000000", "Transfer-Encoding: chunked"):
            _, writer = await asyncio.open_connection("127.0.0.1", agent.host.ports[0])
            writer.write(f"{head}{framing}\r\n\r\n".encode())
            piece = b"x" * 65_536 if "Length" in framing else b"10000\r\n" + b"x" * 65_536 + b"\r\n"
            try:
                for _ in range(500):  # 32 MB
                    writer.write(piece)
                    await asyncio.wait_for(writer.drain(), 0.5)
            except (ConnectionError, TimeoutError):
                pass
            assert await answers(agent.host)
            writer.transport.abort()
        assert resident(agent) - before < 8_000_000


def resident(agent: Agent) -> int:
    """Bytes of memory that it uses."""
    pages = Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# --- those who have hands on its files and on itself


async def test_what_it_has_read_it_needs_no_more(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        sandbox.faults.add(Fault("status", status=403))
        async with agent_on(host) as agent:
            await agent.ready()
            host.config.unlink()
            for key in (tmp_path / "keys").iterdir():
                key.unlink(missing_ok=True)  # the ring may be being written there
            sandbox.faults.clear()
            agent.process.send_signal(signal.SIGHUP)
            await until(lambda: answers(host))


async def test_a_token_file_that_is_no_file_takes_nothing_but_its_callers(tmp_path: Path) -> None:
    def fifo(path: Path) -> None:
        os.mkfifo(path, 0o600)

    def loop(path: Path) -> None:
        path.symlink_to(path)

    def huge(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(1 << 30)
        path.chmod(0o600)

    def device(path: Path) -> None:
        path.symlink_to("/dev/zero")

    def listening(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))

    spoils: list[Callable[[Path], None]] = [fifo, loop, huge, device, listening, Path.mkdir]
    async with sandboxed(tmp_path) as (host, _):
        spoilt = [tmp_path / f"token-{number}" for number in range(len(spoils))]
        with host.config.open("a") as config:
            for token in spoilt:
                token.touch(0o600)
                token.write_text("some-callers-token")
                config.write(f'[[grants]]\nroles = ["backup"]\ntoken_file = "{token}"\n')
        async with agent_on(host) as agent:
            await agent.ready()
            used = cpu(agent.process)
            for spoil, token in zip(spoils, spoilt, strict=True):
                token.unlink()
                spoil(token)
            agent.process.send_signal(signal.SIGHUP)

            async def all_told() -> bool:
                assert await asyncio.wait_for(answers(host, 401, "some-strangers-token"), 2)
                assert await asyncio.wait_for(answers(host), 2)
                return len(agent.events("caller_tokens_unreadable")) >= len(spoils)

            await until(all_told)
            assert cpu(agent.process) - used < 1
            assert resident(agent) < 200_000_000
            assert len(agent.events("caller_tokens_unreadable")) == len(spoils)


async def test_after_a_pause_it_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    async with running_host(tmp_path) as (agent, sandbox):
        agent.process.send_signal(signal.SIGSTOP)
        waiting = [asyncio.ensure_future(fetch(agent.host)) for _ in range(50)]
        await asyncio.sleep(0.6)
        assert not [one for one in waiting if one.done()]
        agent.process.send_signal(signal.SIGCONT)
        started = time.monotonic()
        assert {status for status, _, _ in await asyncio.gather(*waiting)} == {200}
        assert time.monotonic() - started < 5
        assert len(sandbox.requests) == 1
