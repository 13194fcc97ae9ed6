"""How does another project's test suite get an AWS of its own?

In its conftest.py: `pytest_plugins = ["agent.sandbox.fixture"]`. A test that takes `aws_sandbox` then has an STS and
an S3 that answer on a thread of their own, and an issuer whose tokens they believe. The one module that needs pytest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.sandbox.practice import PracticeIssuer, practice_world
from agent.sandbox.server import Sandbox
from agent.sandbox.thread import in_thread
from agent.sandbox.world import World


@dataclass(frozen=True, slots=True)
class AwsSandbox:
    """What a test has at hand.

    Attributes:
        sandbox: the running sandbox: `endpoint_url`, `world`, `faults`, `requests`, `control_url`.
        issuer: what the account trusts; its documents are served by the sandbox.
        role_arn: the first role of the account.
        token_file: a token of the issuer that is good for an hour.
    """

    sandbox: Sandbox
    issuer: PracticeIssuer
    role_arn: str
    token_file: Path

    def token(self, **claims: object) -> str:
        """A token of the issuer, good for five minutes; `claims` add to what it says or replace it."""
        return self.issuer.sign({**self.issuer.claims(SystemClock().now()), **claims})

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which any AWS SDK becomes the role: for monkeypatch.setenv or a subprocess."""
        return {
            "AWS_ENDPOINT_URL": self.sandbox.endpoint_url,
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ROLE_ARN": self.role_arn,
            "AWS_ROLE_SESSION_NAME": "practice",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token_file),
        }


@pytest.fixture(scope="session")
def aws_sandbox_issuer() -> PracticeIssuer:
    """The issuer whose tokens are believed; override it to bring a key or a URL of one's own."""
    return PracticeIssuer()


@pytest.fixture
def aws_sandbox_world(aws_sandbox_issuer: PracticeIssuer) -> World:
    """The account that the sandbox is; override it to have other roles."""
    return practice_world(aws_sandbox_issuer.url)


@pytest.fixture
def aws_sandbox(
    aws_sandbox_issuer: PracticeIssuer, aws_sandbox_world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AwsSandbox]:
    """A running sandbox, its issuer and a token, fresh for every test."""
    home = tmp_path_factory.mktemp("aws-sandbox")
    aws_sandbox_issuer.publish(home / "site")
    token_file = home / "token"
    claims = aws_sandbox_issuer.claims(SystemClock().now(), timedelta(hours=1))
    token_file.touch(mode=0o600)
    token_file.write_text(aws_sandbox_issuer.sign(claims))
    sandbox = Sandbox(aws_sandbox_world, sites={aws_sandbox_issuer.url: home / "site"})
    role_arn = aws_sandbox_world.roles[0].arn if aws_sandbox_world.roles else ""
    with in_thread(sandbox) as running:
        yield AwsSandbox(running, aws_sandbox_issuer, role_arn, token_file)
