from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agent.assembly.credentials import OpenedSts
from agent.assembly.doctor_exchange import Exchanges
from agent.clock import RemoteClock, instant
from agent.doctor.roles import SHORTEST, Wanted
from agent.errors import CredentialsUnavailable, KeyUnavailable
from agent.settings import load
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_key import MemoryKey
from tests.fakes.sts_server import ROLE_ARN, Reply, StsServer, error, granted, http

NO_JWT = error("InvalidIdentityToken", "The ID Token provided is not a valid JWT.")
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
SOON = instant(START + SHORTEST)
WANTED = Wanted("backup", ROLE_ARN, "host-1", SHORTEST)


class Impatient(FakeClock):
    """A clock whose short sleeps are over at once."""

    async def sleep(self, seconds: float) -> None:
        if seconds > 1:
            await super().sleep(seconds)


@asynccontextmanager
async def speaking(home: Path, *replies: Reply) -> AsyncIterator[tuple[Exchanges, StsServer, RemoteClock]]:
    async with StsServer([*replies]) as server:
        path = home / "rolecall.toml"
        path.write_text(f"""
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
file = "{home}/key.pem"
[identity]
subject = "host:web-1"
[sts]
region = "eu-central-1"
endpoint_url = "{server.url}"
[roles.backup]
arn = "{ROLE_ARN}"
policy = '{POLICY}'
policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
""")
        settings, clock = load(path, environ={}, host="web-1"), Impatient()
        aws_time = RemoteClock(clock)
        async with OpenedSts(settings.sts) as opened:
            exchanges = Exchanges(settings, opened, clock, aws_time)
            exchanges.signing = MemoryKey()
            yield exchanges, server, aws_time


async def test_sts_is_asked_the_time_with_nothing_that_it_could_grant(tmp_path: Path) -> None:
    ahead = timedelta(minutes=7)
    async with speaking(
        tmp_path, error("InvalidIdentityToken", "The ID Token provided is not a valid JWT.", date=START + ahead)
    ) as (exchanges, server, aws_time):
        probe = await exchanges.probe()
    assert probe.ahead is not None
    assert abs(probe.ahead - ahead) < timedelta(seconds=1)
    assert probe.what == ""
    assert aws_time.offset == probe.ahead
    assert server.requests[0].form["WebIdentityToken"] == "rolecall.doctor.asks-what-time-it-is"
    assert server.requests[0].form["DurationSeconds"] == "900"


async def test_sts_that_stumbles_once_is_asked_again(tmp_path: Path) -> None:
    async with speaking(tmp_path, error("ServiceUnavailable", status=503), NO_JWT) as (exchanges, server, _):
        assert (await exchanges.probe()).what == ""
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("reply", "what", "passes"),
    [
        (error("ServiceUnavailable", "", 503), "STS is in trouble: ServiceUnavailable", True),
        (error("RegionDisabledException", "STS is off", 403), "STS refuses whoever asks: RegionDisabled", False),
        (error("MissingAuthenticationToken", "x", 403), "STS refuses whoever asks: MissingAuth", False),
    ],
)
async def test_what_sts_says_of_itself_is_told(reply: Reply, what: str, *, passes: bool, tmp_path: Path) -> None:
    async with speaking(tmp_path, reply) as (exchanges, _, _):
        probe = await exchanges.probe()
    assert probe.what.startswith(what)
    assert probe.hint
    assert probe.passes is passes


async def test_who_does_not_sign_its_answers_as_sts_does_tells_us_no_time(tmp_path: Path) -> None:
    said = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
    async with speaking(tmp_path, http(said, 403, request_id=None)) as (exchanges, _, aws_time):
        probe = await exchanges.probe()
    assert (probe.code, probe.ahead, probe.what) == ("AccessDenied", None, "")
    assert aws_time.offset is None


async def test_what_is_no_answer_of_sts_is_raised(tmp_path: Path) -> None:
    async with speaking(tmp_path, http("<html>")) as (exchanges, _, _):
        with pytest.raises(CredentialsUnavailable):
            await exchanges.probe()


async def test_a_role_is_asked_for_as_the_agent_would(tmp_path: Path) -> None:
    async with speaking(tmp_path, granted(Expiration=SOON)) as (exchanges, server, _):
        assert (await exchanges(WANTED)).granted
    form = server.requests[0].form
    assert (form["RoleArn"], form["RoleSessionName"], form["DurationSeconds"]) == (ROLE_ARN, "host-1", "900")
    assert form["Policy"] == POLICY
    assert form["PolicyArns.member.1.arn"] == "arn:aws:iam::aws:policy/ReadOnlyAccess"


async def test_what_nobody_will_use_is_good_for_nothing(tmp_path: Path) -> None:
    async with speaking(tmp_path, granted(Expiration=SOON)) as (exchanges, server, _):
        assert (await exchanges(WANTED, powerless=True)).granted
    form = server.requests[0].form
    assert '"Effect":"Deny","Action":"*"' in form["Policy"]
    assert not any(name.startswith("PolicyArns") for name in form)


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (error("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403), "trust"),
        (error("InvalidIdentityToken", "Couldn't retrieve verification key"), "key set"),
        (error("Throttling", "Rate exceeded"), "sts"),
        (error("ValidationError", "exceeds the MaxSessionDuration set for this role."), "other"),
        (granted(AccessKeyId="AKIAEXAMPLEEXAMPLE12"), "sts"),
        (granted(SecretAccessKey=None), "sts"),
        (http("<html>"), "sts"),
    ],
)
async def test_whatever_comes_is_an_outcome_and_shows_nothing(reply: Reply, cause: str, tmp_path: Path) -> None:
    async with speaking(tmp_path, reply) as (exchanges, server, _):
        outcome = await exchanges(WANTED)
    assert (outcome.granted, outcome.cause) == (False, cause)
    assert outcome.what
    assert outcome.hint
    assert "canary" not in repr(outcome)
    assert server.requests[0].form["WebIdentityToken"].split(".")[1] not in repr(outcome)


async def test_a_key_that_does_not_sign_is_an_outcome(tmp_path: Path) -> None:
    async with speaking(tmp_path, granted()) as (exchanges, server, _):
        key = MemoryKey()
        key.failure = KeyUnavailable("the TPM is away", hint="plug it in")
        exchanges.signing = key
        outcome = await exchanges(WANTED)
    assert (outcome.granted, outcome.what, outcome.hint) == (False, "the TPM is away", "plug it in")
    assert server.requests == []
