"""Unmodified AWS clients exchange a token at the sandbox themselves, and use its bucket, over TLS and without."""

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.sandbox import PracticeIssuer, Sandbox, in_thread, practice_world

pytestmark = pytest.mark.long

JAVASCRIPT = Path(__file__).parent / "javascript"
AWS = Path(sys.executable).with_name("aws")
ARN = "arn:aws:sts::123456789012:assumed-role/demo/practice"

_NODE = """
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { Readable } from "node:stream";
const s3 = new S3Client({ forcePathStyle: true }), Bucket = "demo-bucket";
const { Arn } = await new STSClient({}).send(new GetCallerIdentityCommand({}));
await s3.send(new PutObjectCommand({ Bucket, Key: "whole", Body: "w".repeat(100000) }));
const Body = Readable.from([Buffer.from("piece by "), Buffer.from("piece")]);
await s3.send(new PutObjectCommand({ Bucket, Key: "a b/streamed", Body, ContentLength: 14 }));
const listed = await s3.send(new ListObjectsV2Command({ Bucket }));
const read = await s3.send(new GetObjectCommand({ Bucket, Key: "a b/streamed" }));
console.log(JSON.stringify({
  arn: Arn, keys: listed.Contents.map(one => one.Key), body: await read.Body.transformToString()
}));
"""


@dataclass(frozen=True)
class Running:
    sandbox: Sandbox
    environment: Mapping[str, str]


@pytest.fixture(params=[False, True], ids=["http", "https"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    issuer = PracticeIssuer()
    issuer.publish(tmp_path / "site")
    token = tmp_path / "token"
    token.write_text(issuer.sign(issuer.claims(SystemClock().now(), timedelta(hours=1))))
    world = practice_world(issuer.url)
    with in_thread(Sandbox(world, sites={issuer.url: tmp_path / "site"}, tls=request.param)) as sandbox:
        trusted = str(sandbox.ca_file) if sandbox.ca_file else None
        variables = {
            "AWS_ENDPOINT_URL": sandbox.endpoint_url,
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ROLE_ARN": world.roles[0].arn,
            "AWS_ROLE_SESSION_NAME": "practice",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            **({"AWS_CA_BUNDLE": trusted, "NODE_EXTRA_CA_CERTS": trusted} if trusted else {}),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        yield Running(sandbox, {**kept, **variables})


async def output(running: Running, *command: str, cwd: Path | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, env=running.environment, cwd=cwd, stdout=PIPE, stderr=STDOUT
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    return said


async def test_the_aws_cli(running: Running, tmp_path: Path) -> None:
    if not AWS.exists():
        pytest.skip("the AWS CLI is not installed in this environment")
    assert json.loads(await output(running, str(AWS), "sts", "get-caller-identity"))["Arn"] == ARN
    (tmp_path / "up").write_bytes(b"x" * 1_000_000)
    await output(running, str(AWS), "s3", "cp", str(tmp_path / "up"), "s3://demo-bucket/dir/up")
    assert running.sandbox.world.objects["dir/up"] == b"x" * 1_000_000
    assert await output(running, str(AWS), "s3", "cp", "s3://demo-bucket/hello.txt", "-") == "Hello from the sandbox.\n"
    assert "PRE dir/" in await output(running, str(AWS), "s3", "ls", "s3://demo-bucket")


async def test_the_javascript_sdk(running: Running) -> None:
    if shutil.which("node") is None or not (JAVASCRIPT / "node_modules").is_dir():
        pytest.skip("the JavaScript SDK is not installed: cd tests/live/javascript && npm ci")
    said = await output(running, "node", "--no-warnings", "--input-type=module", "-e", _NODE, cwd=JAVASCRIPT)
    assert json.loads(said) == {"arn": ARN, "keys": ["a b/streamed", "hello.txt", "whole"], "body": "piece by piece"}
