"""Unmodified AWS clients fetch a role from the agent and make signed calls with it."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.sandbox import Sandbox
from tests.live.host import BUCKET, Agent, run_to_end, running_host

JAVASCRIPT = Path(__file__).parent / "javascript"
ARN = "arn:aws:sts::123456789012:assumed-role/backup/"

BOTO3 = f"""
import boto3, json
arn = boto3.client("sts").get_caller_identity()["Arn"]
body = boto3.client("s3").get_object(Bucket="{BUCKET}", Key="hello.txt")["Body"].read().decode()
print(json.dumps({{"arn": arn, "body": body}}))
"""

AIOBOTOCORE = f"""
import asyncio, json
from aiobotocore.session import get_session

async def main():
    async with get_session().create_client("sts") as sts, get_session().create_client("s3") as s3:
        arn = (await sts.get_caller_identity())["Arn"]
        answer = await s3.get_object(Bucket="{BUCKET}", Key="hello.txt")
        print(json.dumps({{"arn": arn, "body": (await answer["Body"].read()).decode()}}))

asyncio.run(main())
"""


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[tuple[Agent, Sandbox]]:
    async with running_host(tmp_path) as running:
        yield running


async def test_boto3_gets_its_role(agent: tuple[Agent, Sandbox]) -> None:
    await _succeeds(agent[0], sys.executable, "-c", BOTO3)


async def test_aiobotocore_gets_its_role(agent: tuple[Agent, Sandbox]) -> None:
    await _succeeds(agent[0], sys.executable, "-c", AIOBOTOCORE)


async def test_the_javascript_sdk_gets_its_role(agent: tuple[Agent, Sandbox]) -> None:
    if shutil.which("node") is None or not (JAVASCRIPT / "node_modules").is_dir():
        pytest.skip("the JavaScript SDK is not installed: cd tests/live/javascript && npm ci")
    await _succeeds(agent[0], "node", "--no-warnings", str(JAVASCRIPT / "client.mjs"), BUCKET, "hello.txt")


async def test_the_aws_cli_gets_its_role(agent: tuple[Agent, Sandbox]) -> None:
    environ = agent[0].host.environment("backup")
    aws = [sys.executable, "-m", "awscli"]
    (code, out, err), (copied, body, _) = await asyncio.gather(
        run_to_end([*aws, "sts", "get-caller-identity"], environ),
        run_to_end([*aws, "s3", "cp", f"s3://{BUCKET}/hello.txt", "-"], environ),
    )
    assert (code, copied) == (0, 0), err
    assert json.loads(out)["Arn"].startswith(ARN)
    assert body == "hello"


async def test_all_that_a_fleet_of_clients_costs_sts_is_one_call(agent: tuple[Agent, Sandbox]) -> None:
    environ = agent[0].host.environment("backup")
    await asyncio.gather(*(run_to_end([sys.executable, "-c", BOTO3], environ) for _ in range(3)))
    exchanges = [call for call in agent[1].requests if call.action == "AssumeRoleWithWebIdentity"]
    assert len(exchanges) == 1


async def _succeeds(agent: Agent, *words: str) -> None:
    code, out, err = await run_to_end(words, agent.host.environment("backup"))
    assert code == 0, err
    said = json.loads(out)
    assert said["arn"].startswith(ARN)
    assert said["body"] == "hello"
