"""Does `rolecall token exchange` show its proof to the server that it names alone, and say what is wrong?"""

import argparse
import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.callers.aws import SENTENCES
from agent.cli.token import configure, run
from agent.errors import (
    AgentError,
    AgentUnreachable,
    CallerDenied,
    ConfigurationError,
    ProofUnchecked,
    TokenRejected,
)
from agent.outputs.token import Wanted
from agent.web.problems import Problem, Refusal
from tests.fakes.ports import own_port
from tests.fakes.token_exchange import Desk, certify

pytestmark = pytest.mark.long

AUDIENCE = "https://api.example.com/a b"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLEEXAMPLEEX",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    here = Desk(tmp_path)
    certify(tmp_path)
    here.proofs.takes = b"AWS-Presigned "
    return here


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    configure(parser)
    parser.set_defaults(json=False, config=None)
    return parser.parse_args(["exchange", *words])


async def exchange(desk: Desk, *words: str, trusted: bool = True) -> int:
    async with desk.listening() as (_, port):
        bundle = ("--ca-bundle", str(desk.folder / "ca.pem")) if trusted else ()
        arguments = parsed(f"https://localhost:{port}", "--audience", AUDIENCE, *bundle, *words)
        return await asyncio.to_thread(run, arguments)


async def failure(desk: Desk, *words: str, trusted: bool = True) -> AgentError:
    with pytest.raises(AgentError) as error:
        await exchange(desk, *words, trusted=trusted)
    assert error.value.hint
    return error.value


async def test_the_token_and_nothing_else_is_printed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert await exchange(desk) == 0
    assert capsys.readouterr() == ("a.b.c\n", "")
    assert desk.wanted[0][1] == Wanted(AUDIENCE, None)


async def test_all_that_is_answered_can_be_had(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert await exchange(desk, "--json", "--scope", "read", "--scope", "write") == 0
    assert json.loads(capsys.readouterr().out) == {"token": "a.b.c"}
    assert desk.wanted[0][1] == Wanted(AUDIENCE, ("read", "write"))


async def test_a_proof_that_is_refused_may_be_for_another_server(desk: Desk) -> None:
    desk.proofs.takes = b"nothing"
    error = await failure(desk)
    assert isinstance(error, TokenRejected)
    assert "does not hold" in error.what
    assert "--server-id" in error.hint


async def test_a_proof_by_the_sts_of_another_region_is_a_matter_of_the_region_alone(desk: Desk) -> None:
    desk.refusal = Refusal(Problem(401, "ProofRejected", SENTENCES["wrong_endpoint"]))
    error = await failure(desk)
    assert isinstance(error, TokenRejected)
    assert "--region" in error.hint
    assert "--server-id" not in error.hint


async def test_who_is_not_granted_is_told_where_that_would_be(desk: Desk) -> None:
    desk.refusal = Refusal(Problem(403, "CallerDenied", "This caller is not granted this token."))
    error = await failure(desk)
    assert isinstance(error, CallerDenied)
    assert "[[grants]]" in error.hint


async def test_a_server_that_cannot_tell_now_may_be_asked_again(desk: Desk) -> None:
    desk.proofs.error = ProofUnchecked("away")
    error = await failure(desk, "--timeout", "0s")
    assert isinstance(error, AgentUnreachable)
    assert error.retryable


async def test_where_there_is_no_token_yet_it_asks_again_with_another_proof(desk: Desk) -> None:
    desk.proofs.error = ProofUnchecked("away")

    async def come_back() -> None:
        while not desk.proofs.seen:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        desk.proofs.error = None

    back = asyncio.ensure_future(come_back())
    assert await exchange(desk) == 0
    await back
    shown = [presented for presented, _ in desk.proofs.seen]
    assert len(shown) == len({*shown}) == 2


async def test_what_does_not_pass_is_not_tried_again(desk: Desk) -> None:
    assert not (await failure(desk, trusted=False)).retryable
    desk.proofs.takes = b"nothing"
    await failure(desk)
    assert len(desk.proofs.seen) == 1


async def test_a_certificate_of_an_authority_that_nobody_knows_is_told_of(desk: Desk) -> None:
    error = await failure(desk, trusted=False)
    assert "--ca-bundle" in error.hint
    assert desk.proofs.seen == []


async def test_a_server_that_is_not_there_is_told_of(desk: Desk) -> None:
    port = own_port()
    with pytest.raises(AgentUnreachable, match="does not answer"):
        run(parsed(f"https://localhost:{port}", "--audience", AUDIENCE, "--ca-bundle", str(desk.folder / "ca.pem")))


@pytest.mark.usefixtures("desk")
def test_a_host_that_nobody_knows_is_told_of() -> None:
    with pytest.raises(AgentUnreachable, match="there is no host"):
        run(parsed("https://tokens.invalid", "--audience", AUDIENCE))


@pytest.mark.parametrize(
    "url",
    [
        "tokens.example.com",
        "http://tokens.example.com",
        "https://",
        "https://tokens.example.com/path",
        "https://tokens.example.com?a=b",
        "https://tokens.example.com#a",
        "https://somebody@tokens.example.com",
        "https://tokens.example.com:99999",
        "https://tokens.example.com:x",
    ],
)
@pytest.mark.usefixtures("desk")
def test_what_is_no_server_is_told_of_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not where a token server is"):
        run(parsed(url, "--audience", AUDIENCE))


def test_a_bundle_that_is_none_is_told_of(desk: Desk) -> None:
    empty = desk.folder / "empty.pem"
    empty.write_text("")
    with pytest.raises(ConfigurationError, match="CA bundle"):
        run(parsed("https://localhost", "--audience", AUDIENCE, "--ca-bundle", str(empty)))


Said = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def against(desk: Desk, said: bytes) -> AgentError:
    """What comes of an answer that no agent gives."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(desk.folder / "fullchain.pem", desk.folder / "privkey.pem")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context, family=socket.AF_INET)
    async with server:
        port = server.sockets[0].getsockname()[1]
        bundle = str(desk.folder / "ca.pem")
        arguments = parsed(f"https://localhost:{port}", "--audience", AUDIENCE, "--ca-bundle", bundle)
        with pytest.raises(AgentError) as error:
            await asyncio.to_thread(run, arguments)
    return error.value


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + b"[" * 14,
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example.com/\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
    ],
)
async def test_whatever_else_may_answer_there_is_told_of_and_no_redirect_followed(desk: Desk, said: bytes) -> None:
    assert isinstance(await against(desk, said), AgentUnreachable)


async def test_a_message_that_moves_the_cursor_about_is_not_shown(desk: Desk) -> None:
    body = json.dumps({"message": "\x1b[2Jgone", "code": "X"}).encode()
    said = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    error = await against(desk, said)
    assert "\x1b" not in error.what
    assert "status 400" in error.what
