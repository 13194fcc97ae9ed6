"""The suite itself can fail: what it judges by tells what is wrong from what is right."""

import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from agent.sandbox import Sandbox, practice_world
from agent.sandbox.issued import Issued
from agent.secret import Secret
from tests.conformance.cast import ARN, Client
from tests.conformance.conversation import ENDED, HANGS, Answer, conversation
from tests.conformance.gate import Gate, gate_to
from tests.conformance.proxy import listening_proxy
from tests.conformance.stage import Took
from tests.conformance.words import WORKS, in_between, keeps_working, word
from tests.live.host import ISSUER

KEY, SECRET, TOKEN = "ASIAIOSFODNN7EXAMPLE", "a-secret-key-of-the-tests", "a-session-token-of-the-tests"
ROLE = "arn:aws:iam::123456789012:role/backup"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """An AWS in which one session has been handed out."""
    async with Sandbox(practice_world(ISSUER, ROLE)) as sandbox:
        hand_out(sandbox, timedelta(minutes=15))
        yield sandbox


@pytest.fixture
async def gate(sandbox: Sandbox) -> AsyncIterator[Gate]:
    async with gate_to(sandbox) as gate:
        yield gate


def hand_out(sandbox: Sandbox, left: timedelta) -> None:
    now = sandbox._cloud.now()
    arn, secret, token = f"{ARN}host", Secret(SECRET), Secret(TOKEN)
    sandbox._cloud.register.add(Issued(KEY, secret, token, now + left, ROLE, arn, "AROA:host", (), {}), now)


async def send(gate: Gate, credentials: Credentials | None) -> int:
    """Ask who we are, signed with these credentials."""
    form = "application/x-www-form-urlencoded"
    request = AWSRequest(
        "POST", f"{gate.url}/", headers={"Content-Type": form}, data="Action=GetCallerIdentity&Version=2011-06-15"
    )
    if credentials is not None:
        SigV4Auth(credentials, "sts", "eu-central-1").add_auth(request)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gate.url}/", data=request.data, headers=dict(request.headers)) as answer,
    ):
        return answer.status


async def test_the_gate_passes_on_what_is_signed_and_says_so(gate: Gate) -> None:
    assert await send(gate, Credentials(KEY, SECRET, TOKEN)) == 200
    assert gate.take() == ["signed"]
    assert gate.take() == []


async def test_the_gate_hears_what_is_not_signed(gate: Gate) -> None:
    assert await send(gate, None) == 403
    assert gate.take() == ["unsigned"]


async def test_the_gate_hears_a_wrong_signature(gate: Gate) -> None:
    assert await send(gate, Credentials(KEY, "another-key", TOKEN)) == 403
    assert gate.take() == ["wrongly signed"]


async def test_the_gate_hears_a_key_that_was_never_handed_out(gate: Gate) -> None:
    assert await send(gate, Credentials("AKIAIOSFODNN7EXAMPLE", SECRET)) == 403
    assert gate.take() == ["of no session"]


async def test_the_gate_hears_what_has_ended(gate: Gate, sandbox: Sandbox) -> None:
    hand_out(sandbox, timedelta(0))
    assert await send(gate, Credentials(KEY, SECRET, TOKEN)) >= 400
    assert gate.take() == ["expired"]


async def test_the_proxy_remembers_who_showed_it_a_token(gate: Gate) -> None:
    async with listening_proxy() as proxy, aiohttp.ClientSession() as session:
        async with session.get(f"{gate.url}/?Action=x", headers={"Authorization": "abc"}, proxy=proxy.url) as answer:
            assert answer.status >= 400
        assert proxy.requests == [f"GET {gate.url}/?Action=x"]
        assert proxy.tokens == ["abc"]
    assert gate.take() == ["of no session"]


async def asked(program: str, patience: float = 20) -> Answer:
    client = Client("one", "one", (sys.executable, "-c", program), patience, str, str)
    async with conversation(client, {"PATH": os.environ["PATH"]}) as talk:
        first = await talk.ask("call")
        assert (await talk.ask("fresh")).error == first.error
        return first


async def test_a_client_that_gives_no_answer_hangs() -> None:
    assert word(Took(await asked("import time; time.sleep(60)", patience=0.5), ())) == HANGS


async def test_a_client_that_ends_is_no_client_with_an_error() -> None:
    assert word(Took(await asked("raise SystemExit(1)"), ())) == ENDED


async def test_a_role_that_is_another_is_no_success() -> None:
    answer = '{"ok": true, "seconds": 0, "said": "arn:aws:sts::123456789012:assumed-role/another/host"}'
    with pytest.raises(AssertionError, match="another"):
        await asked(f"input(); print('{answer}'); input()")


def test_what_aws_has_heard_goes_before_what_the_client_says() -> None:
    fine, failed = Answer(ok=True, seconds=0.1), Answer(ok=False, seconds=0.1, error="its own")
    assert word(Took(fine, ("signed",))) == WORKS
    assert word(Took(fine, ("signed", "unsigned", "signed"))) == "unsigned"
    assert word(Took(failed, ("expired",))) == "expired"
    assert word(Took(failed, ())) == "own error"
    assert keeps_working([{"a": Took(fine, ())}, {"a": Took(failed, ())}]) == {"a": "own error"}
    assert in_between([{"a": Took(failed, ("unsigned",))}], {"a": "recovers"}) == {"a": "unsigned, recovers"}
