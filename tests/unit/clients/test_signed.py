"""Clients for KMS and S3: the right host and region, the right way to write a bucket, and nothing that lies around."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from agent.clients.signed import SignedEndpoint, kms_client, s3_client
from agent.errors import ConfigurationError
from agent.sandbox.sigv4 import is_signed_by, read_signature
from agent.sandbox.wire import Wire
from agent.secret import Secret
from tests.fakes.aws_behind_proxy import REGION, Aws, aws_behind_proxy, signer
from tests.fakes.moto import held
from tests.fakes.sts_server import Request, StsServer, http

#: What would win over what is configured, if it were looked at.
POISON = {
    "AWS_PROFILE": "gone",
    "AWS_ACCESS_KEY_ID": "AKIACANARYCANARY1234",
    "AWS_SECRET_ACCESS_KEY": "x" * 40,
    "AWS_SESSION_TOKEN": "canary-ambient",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_REGION": "ap-south-1",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_CA_BUNDLE": "/gone.pem",
    "AWS_DEFAULTS_MODE": "nonsense",
    "AWS_MAX_ATTEMPTS": "many",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "nonsense",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "nonsense",
    "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS": "nonsense",
    "AWS_LAMBDA_FUNCTION_NAME": "canary-ambient",
    "_X_AMZN_TRACE_ID": "canary-ambient",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "NO_PROXY": "*",
}


@pytest.fixture
async def aws(tmp_path: Path) -> AsyncIterator[Aws]:
    async with aws_behind_proxy(tmp_path) as served:
        yield served


def through(aws: Aws) -> SignedEndpoint:
    return SignedEndpoint(REGION, held, proxy=aws.proxy, ca_bundle=aws.ca)


async def test_nothing_that_lies_around_is_used_or_does_harm(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = ap-south-1\nendpoint_url = http://127.0.0.1:9\n")
    for name, value in POISON.items():
        monkeypatch.setenv(name, value)
    async with kms_client(through(aws)) as kms, s3_client(through(aws)) as s3:
        await kms.describe_key(KeyId="alias/rolecall")
        await s3.put_object(Bucket="oidc-example-com", Key="a/b", Body=b"{}", ContentType="application/json")
    ours = (await held()).access_key_id
    for request in aws.server.requests:
        assert signer(request) == ours
        assert f"/{REGION}/" in request.headers["authorization"]
        assert "canary-ambient" not in str(request)
        assert request.headers["user-agent"].startswith("rolecall/")


async def test_a_bucket_is_part_of_the_host_and_what_is_sent_is_signed(aws: Aws) -> None:
    async with s3_client(through(aws)) as s3:
        await s3.put_object(Bucket="oidc-example-com", Key="a/b", Body=b"{}", IfMatch='"1"')
    (request,) = aws.server.requests
    assert request.headers["host"] == f"oidc-example-com.s3.{REGION}.amazonaws.com"
    assert request.line == "PUT /a/b HTTP/1.1"
    assert request.headers["if-match"] == '"1"'
    assert "if-match" in request.headers["authorization"]
    assert request.headers["x-amz-content-sha256"] == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def as_it_came(request: Request) -> Wire:
    method, target, _ = request.line.split()
    path, _, query = target.partition("?")
    return Wire(method, path, query, request.headers, request.body.encode())


async def test_an_independent_judge_finds_every_signature_right(aws: Aws) -> None:
    """The sandbox verifies signatures as AWS does, with code of its own."""
    async with kms_client(through(aws)) as kms, s3_client(through(aws)) as s3:
        await kms.sign(KeyId="alias/a b", Message=b"x.y", MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256")
        await s3.get_object(Bucket="oidc-example-com", Key="site-a/.well-known/jwks.json")
        await s3.put_object(Bucket="oidc-example-com", Key="~a b/ü+", Body=b"{}", CacheControl="public, max-age=300")
    ours = await held()
    assert len(aws.server.requests) == 3
    for wire in map(as_it_came, aws.server.requests):
        signature = read_signature(wire)
        assert signature is not None
        assert is_signed_by(ours.secret_access_key, signature, wire, hashlib.sha256(wire.body).hexdigest())
        assert not is_signed_by(Secret("another"), signature, wire, hashlib.sha256(wire.body).hexdigest())


async def test_with_another_endpoint_the_bucket_is_part_of_the_path() -> None:
    async with StsServer([http("")]) as server:
        async with s3_client(SignedEndpoint(REGION, held, endpoint_url=server.url)) as s3:
            await s3.put_object(Bucket="oidc-example-com", Key="a/b", Body=b"{}")
        assert server.requests[0].line == "PUT /oidc-example-com/a/b HTTP/1.1"


async def test_one_try_is_one_request() -> None:
    async with StsServer([http("<Error><Code>SlowDown</Code></Error>", 503)]) as server:
        async with s3_client(SignedEndpoint(REGION, held, endpoint_url=server.url)) as s3:
            with pytest.raises(ClientError, match="SlowDown"):
                await s3.get_object(Bucket="oidc-example-com", Key="a")
        assert len(server.requests) == 1


@pytest.mark.parametrize(("opened", "section"), [(kms_client, "key"), (s3_client, "publishing")])
@pytest.mark.parametrize(
    ("endpoint", "setting"),
    [
        (SignedEndpoint("no region!", held), "region"),
        (SignedEndpoint(REGION, held, endpoint_url="not a url"), "endpoint_url"),
        (SignedEndpoint(REGION, held, ca_bundle=Path("/gone.pem")), "ca_bundle"),
        (SignedEndpoint(REGION, held, proxy="ftp://proxy"), "proxy"),
    ],
)
async def test_what_cannot_be_is_a_mistake_in_its_section(
    opened: type, section: str, endpoint: SignedEndpoint, setting: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with opened(endpoint):
            pass
    assert f"{section}.{setting}" in caught.value.hint


async def test_an_endpoint_does_not_show_whose_credentials_it_has() -> None:
    assert "canary" not in repr(SignedEndpoint(REGION, "profile:canary"))


async def test_nothing_is_logged_at_debug(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    async with kms_client(through(aws)) as kms:
        with caplog.at_level(logging.DEBUG):
            await kms.describe_key(KeyId="x")
    assert [record for record in caplog.records if record.name.split(".")[0] in {"botocore", "aiobotocore"}] == []


LOADED = """
import json, sys
import agent.clients.aws
print(json.dumps(sorted(sys.modules)))
"""


def test_whoever_only_speaks_to_sts_loads_nothing_of_this() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", LOADED],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[3],
        env={"PATH": os.environ["PATH"]},
    ).stdout
    ours = {name for name in json.loads(printed) if name.startswith("agent.clients.")}
    assert ours == {"agent.clients.aws", "agent.clients.sealed"}
