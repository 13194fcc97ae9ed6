"""What comes over the wire that is no answer; and that nothing of what does come is ever printed."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from agent.clients.aws import StsEndpoint, sts_client
from agent.credentials.sts import AwsSts
from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable
from agent.events import StsAnswered
from agent.secret import Secret
from tests.fakes.minted import CANARY_TOKEN
from tests.fakes.sts_server import CANARY_SECRET, CANARY_SESSION, Reply, error, granted, http, members
from tests.unit.credentials.conftest import ROLE, BenchFor

pytestmark = pytest.mark.long

WHOLE = members()
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\nx-amzn-requestid: x\r\n\r\n"
JSON = '{"AssumeRoleWithWebIdentityResponse":{"AssumeRoleWithWebIdentityResult":{"Credentials":{}}}}'

BROKEN: dict[str, tuple[Reply, str]] = {
    "not XML": (http("certainly not XML"), "no answer"),
    "nothing": (http(""), "no answer"),
    "a sign-in page": (http("<!DOCTYPE html><html><br>Sign in</html>", content_type="text/html"), "no answer"),
    "a well-formed page": (http("<html><body>Sign in</body></html>", content_type="text/html"), "no answer"),
    "JSON": (http(JSON, content_type="application/json"), "no answer"),
    "half the XML": (http(WHOLE[: len(WHOLE) // 2]), "no answer"),
    "another action's answer": (http(WHOLE.replace("AssumeRoleWithWebIdentityResult", "Other")), "no answer"),
    "binary": (http(bytes(range(256))), "no answer"),
    "an expiry in words": (granted(Expiration="half past nine"), "no answer"),
    "an expiry without a zone": (granted(Expiration="2026-11-20T13:00:00"), "time zone"),
    "an expiry out of range": (granted(Expiration="99999-11-20T13:00:00Z"), "no answer"),
    "an expiry in the past": (granted(Expiration="2026-11-20T11:00:00Z"), "in the past"),
    "an expiry far away": (granted(Expiration="2036-11-20T11:00:00Z"), "more than was asked"),
    "no access key": (granted(AccessKeyId=None), "AccessKeyId is missing"),
    "no secret": (granted(SecretAccessKey=None), "SecretAccessKey is missing"),
    "an empty secret": (granted(SecretAccessKey=""), "SecretAccessKey is missing or empty"),
    "no session token": (granted(SessionToken=None), "SessionToken is missing"),
    "an empty session token": (granted(SessionToken=""), "SessionToken is missing or empty"),
    "no expiry": (granted(Expiration=None), "Expiration is missing"),
    "no user": (granted(Arn=None), "Arn is missing"),
    "another role": (granted(Arn="arn:aws:sts::123456789012:assumed-role/admin/host-1"), "role and session"),
    "two of a member": (
        http(WHOLE.replace("</SessionToken>", "</SessionToken><SessionToken>b</SessionToken>")),
        "SessionToken is missing",
    ),
    "a body cut off": (Reply(granted().data[:-200]), "broke off"),
    "a chunk cut off": (Reply(CHUNKED + b"fff\r\n" + WHOLE.encode()[:100]), "broke off"),
    "a bad chunk": (Reply(CHUNKED + b"zz\r\n" + WHOLE.encode()[:100]), "STS"),
    "no answer at all": (Reply(b""), "broke off"),
    "a reset": (Reply(b"", "reset"), "STS"),
    "a reset in the body": (Reply(granted().data[:-200], "reset"), "STS"),
    "no HTTP": (Reply(b"SSH-2.0-OpenSSH_9.9\r\n"), "STS"),
    "an error that is no XML": (http("no", 400), "no answer"),
    "an error page": (http("<html><body>Forbidden</body></html>", 403, content_type="text/html"), "HTTP 403"),
    "not modified": (http("", 304), "STS"),
}


@pytest.mark.parametrize(("reply", "words"), BROKEN.values(), ids=BROKEN)
async def test_what_is_no_answer_never_becomes_credentials(bench_for: BenchFor, reply: Reply, words: str) -> None:
    bench = await bench_for(reply)
    with pytest.raises(AgentError) as caught:
        await bench.source.fetch()
    assert words in caught.value.what
    assert caught.value.hint
    expected = CredentialsRefused if "HTTP 403" in words else CredentialsUnavailable
    assert type(caught.value) is expected
    assert expected is CredentialsUnavailable or "firewall answers instead" in caught.value.hint
    assert isinstance(bench.events[0], StsAnswered)


async def test_a_redirect_does_not_carry_the_token_elsewhere(bench_for: BenchFor) -> None:
    elsewhere = await bench_for(granted())
    to = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere.server.url}/\r\nContent-Length: 0\r\n\r\n"
    bench = await bench_for(Reply(to.encode()))
    with pytest.raises(AgentError):
        await bench.source.fetch()
    assert elsewhere.server.requests == []


async def test_sts_alone_judges_a_token_that_is_too_short(bench_for: BenchFor) -> None:
    bench = await bench_for(granted())
    await bench.source._sts.assume_role_with_web_identity(ROLE, Secret("abc"))
    assert bench.server.requests[0].form["WebIdentityToken"] == "abc"


async def test_nobody_listening_is_said(bench_for: BenchFor) -> None:
    bench = await bench_for(granted())
    bench.server._server.close()
    with pytest.raises(CredentialsUnavailable, match=r"cannot be reached: .*refused|Connect call failed"):
        await bench.source.fetch()
    assert bench.events == [StsAnswered("Unreachable")]


async def test_a_name_that_does_not_resolve_is_said() -> None:
    async with sts_client(StsEndpoint("eu-central-1", endpoint_url="http://sts.invalid")) as client:
        with pytest.raises(CredentialsUnavailable, match="name does not resolve"):
            await AwsSts(client).assume_role_with_web_identity(ROLE, Secret("token"))


TOKEN_PARTS = (CANARY_TOKEN, *CANARY_TOKEN.split("."))
ANOTHER_TOKEN = "eyJhbm90aGVyIjoiY2FuYXJ5In0.eyJhbm90aGVyIjoxfQ.YW5vdGhlcg"
SECRETS = (CANARY_SECRET, CANARY_SESSION, *TOKEN_PARTS, *ANOTHER_TOKEN.split("."))
ECHOES = {
    "the whole token": f"Value '{CANARY_TOKEN}' at 'webIdentityToken' failed to satisfy constraint",
    "another token": f"Value '{ANOTHER_TOKEN}' was shown before",
    "its parts": f"Value '{CANARY_TOKEN.split('.')[1]}' is not a claim set",
    "its signature": f"Signature {CANARY_TOKEN.split('.')[2]} is wrong",
    "a part of it": f"no: \n{CANARY_TOKEN[:30]}",
}


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Turn every logger there is to DEBUG, and collect what they print, tracebacks included."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    collector = Collector(1)
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in [*logging.root.manager.loggerDict])]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(1)
        logger.propagate = True
    logging.getLogger().addHandler(collector)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(collector)
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate


def shown(problem: BaseException) -> str:
    return "".join([*traceback.format_exception(problem), str(problem), repr(problem), getattr(problem, "hint", "")])


@pytest.mark.parametrize(
    "reply",
    [
        granted(),
        *(reply for reply, _ in BROKEN.values()),
        *(error("ValidationError", text) for text in ECHOES.values()),
        error(f"{CANARY_TOKEN}", "a code that quotes"),
    ],
)
async def test_no_secret_is_in_any_error_log_or_repr(bench_for: BenchFor, reply: Reply) -> None:
    bench = await bench_for(reply)
    printed: list[str] = []
    with everything_logged() as lines:
        logging.getLogger("canary").debug("collecting")
        try:
            printed.append(repr(await bench.source.fetch()))
        except AgentError as problem:
            printed.append(shown(problem))
            while problem.__context__ is not None and not problem.__suppress_context__:
                printed.append(shown(problem.__context__))
                break
    assert lines  # the collector does collect
    everything = "\n".join([*lines, *printed, repr(bench.source), repr(bench.events)])
    for secret in SECRETS:
        assert secret not in everything


async def test_the_canary_would_be_seen_without_the_muffler(bench_for: BenchFor) -> None:
    bench = await bench_for(granted())
    loggers = [logging.getLogger(name) for name in [*logging.root.manager.loggerDict] if "botocore" in name]
    filters = [(logger, logger.filters[:]) for logger in loggers]
    for logger in loggers:
        logger.filters.clear()
    try:
        with everything_logged() as lines, suppress(AgentError):
            await bench.source.fetch()
    finally:
        for logger, before in filters:
            logger.filters[:] = before
    assert any(CANARY_SECRET in line for line in lines)
