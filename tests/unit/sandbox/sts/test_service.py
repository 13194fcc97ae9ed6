"""Do the credentials that were handed out work, and no others?"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials
from yarl import URL

from agent.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.unit.sandbox.scene import Answer, Scene, scene
from tests.unit.sandbox.signing import sign

ASK = b"Action=GetCallerIdentity&Version=2011-06-15"
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
UNKNOWN = "The security token included in the request is invalid."
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


def now() -> FakeClock:
    """A clock that stands at the present: botocore signs by the machine's own."""
    return FakeClock(SystemClock().now().replace(microsecond=0))


async def credentials(here: Scene, **parameters: Any) -> Credentials:
    answer = await here.assume(**parameters)
    return Credentials(*(answer.text(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")))


async def who(here: Scene, given: Credentials, *, body: bytes | None = None, **options: Any) -> Answer:
    """Ask who we are; what is sent may have another body than what was signed."""
    request = sign("POST", f"{here.sandbox.endpoint_url}/", body=ASK, headers=FORM, credentials=given, **options)
    async with here.http.post(request.url, data=body or ASK, headers=request.headers) as answer:
        return Answer(answer.status, answer.headers, await answer.read())


async def test_they_say_who_they_are(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        answer = await who(here, await credentials(here))
        assert answer.status == 200
        assert answer.text("Arn") == "arn:aws:sts::123456789012:assumed-role/demo/tester"
        assert answer.text("UserId") == f"{here.sandbox.world.roles[0].unique_id}:tester"
        assert answer.text("Account") == "123456789012"


async def test_a_presigned_url_says_who_made_it(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        url = f"{here.sandbox.endpoint_url}/?{ASK.decode()}"
        request = sign("GET", url, credentials=await credentials(here), presigned_for=60)
        answer = await here.get(URL(request.url, encoded=True))
        assert answer.text("Arn") == "arn:aws:sts::123456789012:assumed-role/demo/tester"
        assert isinstance(here.clock, FakeClock)
        here.clock.step(timedelta(minutes=14))  # whatever X-Amz-Expires says
        assert (await here.get(URL(request.url, encoded=True))).status == 200
        here.clock.step(timedelta(minutes=2))
        late = await here.get(URL(request.url, encoded=True))
        assert late.refusal[:2] == (403, "SignatureDoesNotMatch")
        assert late.refusal[2].startswith("Signature expired: ")


async def test_a_stranger_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        assert (await who(here, Credentials("AKIAIOSFODNN7EXAMPLE", "secret"))).refusal == (
            403,
            "InvalidClientTokenId",
            UNKNOWN,
        )


@pytest.mark.parametrize("token", [None, "", "another"])
async def test_a_session_token_is_half_of_the_credentials(token: str | None, tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        given = await credentials(here)
        without = Credentials(given.access_key, given.secret_key, token)
        assert (await who(here, without)).refusal == (403, "InvalidClientTokenId", UNKNOWN)


async def test_a_wrong_secret_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        given = await credentials(here)
        wrong = Credentials(given.access_key, "A" * 40, given.token)
        assert (await who(here, wrong)).refusal == (403, "SignatureDoesNotMatch", MISMATCH)


async def test_a_changed_body_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        answer = await who(here, await credentials(here), body=ASK + b"&More=1")
        assert answer.refusal == (403, "SignatureDoesNotMatch", MISMATCH)


async def test_a_signature_for_another_service_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        answer = await who(here, await credentials(here), service="s3")
        assert answer.refusal == (
            403,
            "SignatureDoesNotMatch",
            "Credential should be scoped to correct service: 'sts'. ",
        )


async def test_credentials_end_when_they_said_they_would(tmp_path: Path) -> None:
    clock = now()
    async with scene(tmp_path, clock=clock) as here:
        clock.step(timedelta(minutes=-10))  # so that a signature made now is still young when they end
        given = await credentials(here, DurationSeconds="900")
        clock.step(timedelta(seconds=899))
        assert (await who(here, given)).status == 200
        clock.step(timedelta(seconds=1))
        assert (await who(here, given)).refusal == (
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        )


@pytest.mark.parametrize(("minutes", "beginning"), [(16, "Signature expired: "), (-16, "Signature not yet current: ")])
async def test_a_clock_that_is_wrong_by_a_quarter_of_an_hour_is_refused(
    minutes: int, beginning: str, tmp_path: Path
) -> None:
    clock = now()
    async with scene(tmp_path, clock=clock) as here:
        given = await credentials(here)
        clock.step(timedelta(minutes=minutes))
        status, code, message = (await who(here, given)).refusal
        assert (status, code) == (403, "SignatureDoesNotMatch")
        assert message.startswith(beginning)
        assert "15 min.)" in message
        clock.step(timedelta(minutes=-minutes))
        assert (await who(here, given)).status == 200


async def test_credentials_of_a_role_that_is_gone_are_refused(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=now()) as here:
        given = await credentials(here)
        here.sandbox.world = replace(here.sandbox.world, roles=())
        assert (await who(here, given)).refusal == (403, "InvalidClientTokenId", UNKNOWN)


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({}, (403, "MissingAuthenticationToken", "Request is missing Authentication Token")),
        (
            {"Authorization": "Bearer x"},
            (
                400,
                "IncompleteSignature",
                "Authorization header requires Credential, SignedHeaders and Signature parameters",
            ),
        ),
    ],
)
async def test_an_unsigned_call_is_refused(
    headers: Mapping[str, str], refusal: tuple[int, str, str], tmp_path: Path
) -> None:
    async with scene(tmp_path) as here:
        form = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
        assert (await here.post(form, headers)).refusal == refusal
