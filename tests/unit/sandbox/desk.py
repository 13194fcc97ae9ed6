"""A sandbox on a thread of its own, and boto3 at the counter."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from agent.clock import SystemClock
from agent.sandbox import Role, Sandbox, World, in_thread, practice_world
from agent.sandbox.practice import PracticeIssuer
from tests.fakes.clock import FakeClock
from tests.unit.sandbox.scene import ISSUER, ROLE, allow, rsa_key, trust

BUCKET = "demo-bucket"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)
ONCE = Config(retries={"total_max_attempts": 1})


@dataclass
class Desk:
    """A sandbox on its own thread, and boto3 clients for it."""

    sandbox: Sandbox
    issuer: PracticeIssuer
    clock: FakeClock

    def credentials(self, **options: Any) -> Mapping[str, str]:
        token = self.issuer.sign(self.issuer.claims(self.clock.now()) | options.pop("claims", {}))
        sts = boto3.client("sts", **self._where(), aws_access_key_id="none", aws_secret_access_key="none")
        answer = sts.assume_role_with_web_identity(
            RoleArn=ROLE, RoleSessionName="tester", WebIdentityToken=token, **options
        )
        given: Mapping[str, str] = answer["Credentials"]
        return given

    def s3(self, given: Mapping[str, str] | None = None, config: Config = ONCE, **options: Any) -> Any:
        given = given or self.credentials(**options)
        return boto3.client(
            "s3",
            **self._where(),
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            config=config,
        )

    def _where(self) -> dict[str, Any]:
        ca = self.sandbox.ca_file
        where: dict[str, Any] = {"endpoint_url": self.sandbox.endpoint_url, "region_name": "eu-central-1"}
        return where | ({"verify": str(ca)} if ca else {})


@contextmanager
def desk(home: Path, world: World | None = None, *, tls: bool = False) -> Iterator[Desk]:
    issuer = PracticeIssuer(ISSUER, rsa_key())
    issuer.publish(home)
    clock = FakeClock(SystemClock().now().replace(microsecond=0))
    sandbox = Sandbox(world or practice_world(ISSUER), clock=clock, sites={ISSUER: home}, tls=tls)
    with in_thread(sandbox):
        yield Desk(sandbox, issuer, clock)


def permitted(*statements: Mapping[str, object], **world: Any) -> World:
    """The practice world, its role with these permissions."""
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    tagging = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]
    role = Role(ROLE, trust(allow(Action=tagging)), policies=(policy,))
    return replace(practice_world(ISSUER), roles=(role,), **world)


def may(action: str | list[str], resource: str | list[str], **more: object) -> dict[str, object]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def refused(call: Callable[[], object]) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"].get("Message", ""),
    )
