"""A sandbox with an Identity Center, boto3 as its client, and somebody who signs in."""

import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from agent.clock import SystemClock
from agent.sandbox import Sandbox, in_thread, practice_world
from agent.sandbox.centers import IdentityCenter
from agent.sandbox.identity_center.authorization import s256
from agent.sandbox.identity_center.registration import DEVICE_CODE
from tests.fakes.clock import FakeClock
from tests.fakes.surfer import Page, Surfer

VERIFIER = "a-verifier.of_64~characters" + "0123456789" * 3 + "abcdefg"
REDIRECT = "http://127.0.0.1:41234/oauth/callback"
HERE = "123456789012"
ELSEWHERE = "210987654321"

Answer = Mapping[str, Any]


def center(**changed: Any) -> IdentityCenter:
    """The practice world's, with these fields changed."""
    found = practice_world().identity_center
    assert found
    return replace(found, **changed)


START_URL = center().start_url


@dataclass
class Visit:
    """What a test has at hand: `oidc` and `sso` are botocore's own clients, which try everything once."""

    sandbox: Sandbox
    clock: FakeClock
    oidc: Any
    sso: Any
    surfer: Surfer = field(default_factory=Surfer)

    def register(self, **changed: Any) -> Answer:
        """Register as the AWS CLI does; None leaves a member out."""
        whole = {
            "clientName": "botocore-client-practice",
            "clientType": "public",
            "grantTypes": ["authorization_code", "refresh_token"],
            "redirectUris": ["http://127.0.0.1/oauth/callback"],
            "issuerUrl": START_URL,
            "scopes": ["sso:account:access"],
            **changed,
        }
        given: Answer = self.oidc.register_client(**{name: one for name, one in whole.items() if one is not None})
        return given

    def register_device(self, **changed: Any) -> Answer:
        """Register as the AWS CLI does for a device."""
        return self.register(**{"grantTypes": None, "redirectUris": None, "issuerUrl": None, **changed})

    def authorize_url(self, client: Answer, **changed: str | None) -> str:
        """Where the AWS CLI sends the browser; None leaves a parameter out."""
        whole = {
            "response_type": "code",
            "client_id": client["clientId"],
            "redirect_uri": REDIRECT,
            "state": "a state & more",
            "code_challenge_method": "S256",
            "scopes": "sso:account:access",
            "code_challenge": s256(VERIFIER),
            **changed,
        }
        query = urlencode({name: one for name, one in whole.items() if one is not None})
        return f"{self.sandbox.endpoint_url}/authorize?{query}"

    def code(self, client: Answer, user: str = "ada", **changed: str | None) -> str:
        """Sign in, and come back with a code."""
        return self.surfer.sign_in(self.authorize_url(client, **changed), user).brought["code"]

    def redeem(self, client: Answer, code: str, **changed: Any) -> Answer:
        whole = {"grantType": "authorization_code", "code": code, "redirectUri": REDIRECT, "codeVerifier": VERIFIER}
        return self.create_token(client, **{**whole, **changed})

    def refresh(self, client: Answer, tokens: Answer, **changed: Any) -> Answer:
        return self.create_token(client, grantType="refresh_token", refreshToken=tokens["refreshToken"], **changed)

    def create_token(self, client: Answer, **asked: Any) -> Answer:
        whole = {"clientId": client["clientId"], "clientSecret": client["clientSecret"], **asked}
        given: Answer = self.oidc.create_token(**{name: one for name, one in whole.items() if one is not None})
        return given

    def tokens(self, user: str = "ada", client: Answer | None = None) -> Answer:
        """Sign in from beginning to end."""
        client = client or self.register()
        return self.redeem(client, self.code(client, user))

    def access_token(self, user: str = "ada") -> str:
        return str(self.tokens(user)["accessToken"])

    def device(self, client: Answer) -> Answer:
        given: Answer = self.oidc.start_device_authorization(
            clientId=client["clientId"], clientSecret=client["clientSecret"], startUrl=START_URL
        )
        return given

    def poll(self, client: Answer, device: Answer) -> Answer:
        return self.create_token(client, grantType=DEVICE_CODE, deviceCode=device["deviceCode"])

    def approve(self, device: Answer, user: str = "ada", decision: str = "allow") -> Page:
        return self.surfer.sign_in(device["verificationUriComplete"], user, decision)

    def client(self, service: str, given: Answer) -> Any:
        """A client of another service, with the portal's credentials."""
        return _client(
            service,
            self.sandbox,
            Config(retries={"total_max_attempts": 1}),
            aws_access_key_id=given["accessKeyId"],
            aws_secret_access_key=given["secretAccessKey"],
            aws_session_token=given["sessionToken"],
        )

    def wait(self, **span: float) -> None:
        self.clock.step(timedelta(**span))

    @property
    def whys(self) -> list[str]:
        """What was refused, and why: what AWS would not tell."""
        return [f"{call.code}: {call.why}" for call in self.sandbox.requests if call.code != "Success"]

    def tell(self, path: str, document: object = None) -> Any:
        """Use the control endpoint; GET without a document."""
        data = None if document is None else json.dumps(document).encode()
        with urllib.request.urlopen(self.sandbox.control_url + path, data, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def visit(at: IdentityCenter | None = None, **options: Any) -> Iterator[Visit]:
    clock = FakeClock(SystemClock().now().replace(microsecond=0))  # by which botocore signs
    world = replace(practice_world(), identity_center=at or center())
    with in_thread(Sandbox(world, clock=clock, rng=Random(5), **options)) as sandbox:
        once = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
        yield Visit(sandbox, clock, _client("sso-oidc", sandbox, once), _client("sso", sandbox, once))


def _client(service: str, sandbox: Sandbox, config: Config, **credentials: str) -> Any:
    trusted = {"verify": str(sandbox.ca_file)} if sandbox.ca_file else {}
    return boto3.client(
        service,
        endpoint_url=sandbox.endpoint_url,
        region_name="eu-central-1",
        config=config,
        **credentials,
        **trusted,
    )


def refused(call: Callable[[], object]) -> str:
    """The error code with which botocore says that this was refused."""
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"]).removesuffix("Exception")
