"""Programs that know nothing of container credentials get their role: from an IMDS, a profile, a token file."""

import asyncio
import configparser
import json
import os
import pwd
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.sandbox import Sandbox
from tests.fakes.ports import own_port
from tests.live.host import BUCKET, Agent, agent_on, run_to_end, sandboxed
from tests.live.test_clients import AIOBOTOCORE, ARN, BOTO3, JAVASCRIPT

pytestmark = pytest.mark.long

AWS = (sys.executable, "-m", "awscli")
PERSONAL = "# mine\n[default]\naws_access_key_id = AKIAMINE\naws_secret_access_key = mine\n"

AWSCRT = """
import json, sys
from awscrt import auth, io
group = io.EventLoopGroup(1)
bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
provider = auth.AwsCredentialsProvider.new_default_chain(bootstrap)
found = provider.get_credentials().result(20)
print(json.dumps({"key_id": found.access_key_id, "token": bool(found.session_token)}))
"""

#: Two programs in one: the same provider before and after the agent's restart.
AWSCRT_TWICE = (
    AWSCRT
    + """
sys.stdout.flush()
sys.stdin.readline()
again = auth.AwsCredentialsProvider.new_default_chain(bootstrap).get_credentials().result(20)
print(json.dumps({"key_id": again.access_key_id}))
"""
)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Agent, Sandbox]]:
    """A host on which this very user is granted the role, with every output that there is."""
    port, me = own_port(), pwd.getpwuid(os.getuid()).pw_name
    aws = tmp_path / ".aws"
    aws.mkdir()
    (aws / "credentials").write_text(PERSONAL)
    how = {
        "grants": f'[[grants]]\nroles = ["backup"]\nuser = "{me}"',
        "listen": f'imds = "127.0.0.1:{port}"',
        "more": f"""
[[files]]
kind = "credentials"
path = "{aws}/credentials"
role = "backup"
profile = "rolecall"
[[files]]
kind = "web_identity_token"
path = "{tmp_path}/backup.jwt"
role = "backup"
[[files]]
kind = "credentials"
path = "{tmp_path}/later/credentials"
role = "backup"
profile = "rolecall"
""",
    }
    async with sandboxed(tmp_path, **how) as (host, sandbox), agent_on(host) as agent:
        await agent.ready()
        host.ports.append(port)
        yield agent, sandbox


def from_imds(agent: Agent) -> dict[str, str]:
    environ = agent.host.environment("backup")
    plain = {name: value for name, value in environ.items() if "_CONTAINER_" not in name and "METADATA" not in name}
    return plain | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{agent.host.ports[2]}"}


def from_files(agent: Agent, **more: str) -> dict[str, str]:
    environ = {name: value for name, value in from_imds(agent).items() if "METADATA" not in name}
    return environ | {"AWS_EC2_METADATA_DISABLED": "true"} | more


async def told(agent: Agent, event: str, path: Path) -> dict[str, Any]:
    """Wait until the agent says so of a file."""
    async with asyncio.timeout(20):
        while not (found := [one for one in agent.events(event) if one["path"] == str(path)]):  # noqa: ASYNC110 - a log
            await asyncio.sleep(0.05)
    return found[0]


async def everybody(environ: dict[str, str]) -> None:
    """Let all SDKs that are there do what they can with this environment."""
    programs = [[sys.executable, "-c", BOTO3], [sys.executable, "-c", AIOBOTOCORE]]
    javascript = shutil.which("node") is not None and (JAVASCRIPT / "node_modules").is_dir()
    if javascript:
        programs.append(["node", "--no-warnings", str(JAVASCRIPT / "client.mjs"), BUCKET, "hello.txt"])
    await asyncio.gather(*(succeeds(environ, *program) for program in programs), cli(environ))
    if not javascript:
        pytest.skip("all went well but the JavaScript SDK, which is not installed: cd tests/live/javascript && npm ci")


async def cli(environ: dict[str, str], *words: str) -> None:
    code, out, err = await run_to_end([*AWS, *words, "sts", "get-caller-identity"], environ)
    assert code == 0, err
    assert json.loads(out)["Arn"].startswith(ARN)


async def succeeds(environ: dict[str, str], *words: str) -> None:
    code, out, err = await run_to_end(words, environ)
    assert code == 0, err
    said = json.loads(out)
    assert said["arn"].startswith(ARN)
    assert said["body"] == "hello"


async def test_sdks_get_their_role_from_imds(running: tuple[Agent, Sandbox]) -> None:
    agent, _ = running
    await everybody(from_imds(agent))
    assert any(event["caller"].startswith("unix.user=") for event in agent.events("credentials_served"))


async def test_the_crt_gets_its_role_from_imds_before_and_after_a_restart(running: tuple[Agent, Sandbox]) -> None:
    pytest.importorskip("awscrt")
    agent = running[0]
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        AWSCRT_TWICE,
        env=from_imds(agent),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    first = json.loads(await program.stdout.readline())
    assert first["token"]
    await agent.stop(signal.SIGKILL)
    async with agent_on(agent.host) as restarted:
        await restarted.ready()
        out, err = await program.communicate(b"\n")
    assert program.returncode == 0, err
    assert json.loads(out)["key_id"] != first["key_id"]


async def test_imds_says_no_more_than_it_must(running: tuple[Agent, Sandbox]) -> None:
    base = f"http://127.0.0.1:{running[0].host.ports[2]}"
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    async with aiohttp.ClientSession(base) as session:

        async def asked(method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
            async with session.request(method, path, headers=headers) as answer:
                return answer.status, await answer.text()

        roles = "/latest/meta-data/iam/security-credentials/"
        assert (await asked("GET", roles, {}))[0] == 401
        assert (await asked("PUT", "/latest/api/token", ttl | {"X-Forwarded-For": "10.0.0.1"}))[0] == 403
        status, token = await asked("PUT", "/latest/api/token", ttl)
        assert status == 200
        shown = {"X-aws-ec2-metadata-token": token}
        assert await asked("GET", roles, shown) == (200, "backup")
        assert (await asked("GET", "/latest/dynamic/instance-identity/document", shown))[0] == 404
        assert "ASIA" in (await asked("GET", roles + "backup", shown))[1]
        assert (await asked("GET", roles + "backup", {"X-aws-ec2-metadata-token": token[:-4]}))[0] == 401


async def test_sdks_read_the_profile_in_a_file_that_is_also_a_persons(running: tuple[Agent, Sandbox]) -> None:
    agent, _ = running
    path = agent.host.home / ".aws" / "credentials"
    await told(agent, "file_written", path)
    await everybody(from_files(agent, AWS_SHARED_CREDENTIALS_FILE=str(path), AWS_PROFILE="rolecall"))
    assert path.read_text().startswith(PERSONAL)
    assert f"file:{path}" in {event["caller"] for event in agent.events("credentials_served")}


async def test_the_aws_cli_writes_its_own_profile_beside_ours_and_both_live_on(running: tuple[Agent, Sandbox]) -> None:
    agent, _ = running
    path = agent.host.home / ".aws" / "credentials"
    await told(agent, "file_written", path)
    environ = from_files(agent, AWS_SHARED_CREDENTIALS_FILE=str(path))
    words = ["configure", "set", "aws_access_key_id", "AKIANEW", "--profile", "work"]
    code, _, err = await run_to_end([*AWS, *words], environ)
    assert code == 0, err
    await cli(environ, "--profile", "rolecall")
    agent.process.send_signal(signal.SIGTERM)
    await agent.process.wait()
    assert "AKIANEW" in path.read_text()
    assert "ASIA" in path.read_text()


async def test_sdks_do_the_exchange_themselves_with_the_token_in_the_file(running: tuple[Agent, Sandbox]) -> None:
    agent, sandbox = running
    path = agent.host.home / "backup.jwt"
    await told(agent, "file_written", path)
    assert not path.read_bytes().endswith(b"\n")
    before = sum(call.action == "AssumeRoleWithWebIdentity" for call in sandbox.requests)
    environ = from_files(
        agent,
        AWS_WEB_IDENTITY_TOKEN_FILE=str(path),
        AWS_ROLE_ARN="arn:aws:iam::123456789012:role/backup",
        AWS_ROLE_SESSION_NAME="by-itself",
    )
    await succeeds(environ, sys.executable, "-c", BOTO3)
    assert sum(call.action == "AssumeRoleWithWebIdentity" for call in sandbox.requests) > before


async def test_a_directory_that_comes_later_is_told_of_and_filled_when_the_agent_is_told_to_look(
    running: tuple[Agent, Sandbox],
) -> None:
    agent, _ = running
    path = agent.host.home / "later" / "credentials"
    stuck = await told(agent, "file_stuck", path)
    assert "make the directory" in stuck["hint"]
    path.parent.mkdir()
    agent.process.send_signal(signal.SIGHUP)
    await told(agent, "file_written", path)
    parser = configparser.RawConfigParser()
    parser.read(path)
    for name in ("aws_secret_access_key", "aws_session_token"):
        secret = parser.get("rolecall", name)
        assert not any(secret in line for line in agent.lines)
