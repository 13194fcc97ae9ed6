"""Does boto3 get a token for others, and does STS say no where AWS does?"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import jwt
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from agent.sandbox import World
from agent.sandbox.federation import Outbound
from agent.sandbox.outbound.service import NAMESPACE
from tests.unit.sandbox.desk import Desk, desk, may, permitted
from tests.unit.sandbox.scene import ROLE

OUTBOUND = Outbound(organization="o-a1b2c3d4e5", ou_path="o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/")
MAY = may("sts:GetWebIdentityToken", "*")
AUDIENCE = "https://tokens.example.com"


@contextmanager
def counter(home: Path, world: World) -> Iterator[tuple[Desk, Any]]:
    with desk(home, world) as here:
        given = here.credentials()
        yield (
            here,
            boto3.client(
                "sts",
                endpoint_url=here.sandbox.endpoint_url,
                region_name="eu-central-1",
                aws_access_key_id=given["AccessKeyId"],
                aws_secret_access_key=given["SecretAccessKey"],
                aws_session_token=given["SessionToken"],
                config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
            ),
        )


def refused(sts: Any, **parameters: Any) -> tuple[str, int]:
    asked = {"Audience": [AUDIENCE], "SigningAlgorithm": "RS256", **parameters}
    with pytest.raises(ClientError) as error:
        sts.get_web_identity_token(**{name: value for name, value in asked.items() if value is not None})
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES384"])
def test_a_token_says_who_its_bearer_is_as_aws_documents_it(tmp_path: Path, algorithm: str) -> None:
    with counter(tmp_path, permitted(MAY, outbound=OUTBOUND)) as (here, sts):
        tags = [{"Key": "job", "Value": "42"}]
        given = sts.get_web_identity_token(Audience=[AUDIENCE], SigningAlgorithm=algorithm, Tags=tags)
        token = given["WebIdentityToken"]
        shown = jwt.PyJWKClient(f"{here.sandbox.site_urls[OUTBOUND.issuer]}/.well-known/jwks.json")
        claims = jwt.decode(
            token,
            shown.get_signing_key_from_jwt(token),
            algorithms=[algorithm],
            audience=AUDIENCE,
            issuer=OUTBOUND.issuer,
        )
    now = int(here.clock.now().timestamp())
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "iss": OUTBOUND.issuer,
        "sub": ROLE,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 300,
        NAMESPACE: {
            "aws_account": "123456789012",
            "source_region": "eu-central-1",
            "org_id": "o-a1b2c3d4e5",
            "ou_path": OUTBOUND.ou_path,
            "request_tags": {"job": "42"},
        },
    }
    assert int(given["Expiration"].timestamp()) == now + 300
    assert [call.code for call in here.sandbox.requests if call.action == "GetWebIdentityToken"] == ["Success"]


def test_no_two_tokens_are_the_same(tmp_path: Path) -> None:
    with counter(tmp_path, permitted(MAY, outbound=OUTBOUND)) as (_, sts):
        both = [sts.get_web_identity_token(Audience=[AUDIENCE, "b"], SigningAlgorithm="RS256") for _ in range(2)]
    said = [jwt.decode(one["WebIdentityToken"], options={"verify_signature": False}) for one in both]
    assert said[0]["aud"] == [AUDIENCE, "b"]
    assert said[0]["jti"] != said[1]["jti"]


def test_who_may_not_is_refused(tmp_path: Path) -> None:
    with counter(tmp_path, permitted(may("s3:*", "*"), outbound=OUTBOUND)) as (_, sts):
        assert refused(sts) == ("AccessDenied", 403)


def test_a_policy_can_name_the_audience(tmp_path: Path) -> None:
    ours = {"ForAllValues:StringEquals": {"sts:IdentityTokenAudience": AUDIENCE}}
    world = permitted(may("sts:GetWebIdentityToken", "*", Condition=ours), outbound=OUTBOUND)
    with counter(tmp_path, world) as (_, sts):
        assert sts.get_web_identity_token(Audience=[AUDIENCE], SigningAlgorithm="RS256")
        assert refused(sts, Audience=["https://elsewhere.example.com"]) == ("AccessDenied", 403)


def test_an_account_that_has_not_switched_it_on_gives_none(tmp_path: Path) -> None:
    with counter(tmp_path, permitted(MAY)) as (_, sts):
        assert refused(sts) == ("OutboundWebIdentityFederationDisabledException", 403)


def test_a_token_does_not_outlive_the_session_that_it_is_of(tmp_path: Path) -> None:
    with counter(tmp_path, permitted(MAY, outbound=OUTBOUND)) as (here, sts):
        here.clock.step(timedelta(minutes=10))
        assert refused(sts, DurationSeconds=3600) == ("SessionDurationEscalationException", 403)


def test_more_than_fits_into_a_token_is_refused(tmp_path: Path) -> None:
    with counter(tmp_path, permitted(MAY, outbound=OUTBOUND)) as (_, sts):
        tags = [{"Key": f"k{number}", "Value": "x" * 256} for number in range(50)]
        assert refused(sts, Tags=tags) == ("JWTPayloadSizeExceededException", 400)


@pytest.mark.parametrize(
    "parameters",
    [
        {"Audience": []},
        {"Audience": ["a"] * 11},
        {"Audience": ["a" * 1001]},
        {"SigningAlgorithm": "HS256"},
        {"SigningAlgorithm": None},
        {"DurationSeconds": 59},
        {"DurationSeconds": 3601},
        {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]},
        {"Tags": [{"Key": "a#", "Value": "1"}]},
    ],
)
def test_what_the_model_does_not_allow_is_refused(tmp_path: Path, parameters: dict[str, Any]) -> None:
    with counter(tmp_path, permitted(MAY, outbound=OUTBOUND)) as (_, sts):
        assert refused(sts, **parameters) == ("ValidationError", 400)
