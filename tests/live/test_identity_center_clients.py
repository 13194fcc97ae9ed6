"""Unmodified AWS clients sign in at the sandbox's Identity Center, and use and renew what they are given."""

import asyncio
import hashlib
import json
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agent.clock import SystemClock
from agent.sandbox import Sandbox, practice_world
from agent.sandbox.proxy import Proxy
from tests.live.browser import chromium
from tests.unit.sandbox.identity_center.visit import START_URL, center, visit

pytestmark = pytest.mark.long

REGION = "eu-central-1"
HOSTS = tuple(f"{name}.{REGION}.amazonaws.com" for name in ("oidc", "portal.sso", "sts"))
ARN = re.compile(r"arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Developer_[0-9a-f]{16}/ada")
CONFIG = f"""
[profile practice]
sso_session = practice
sso_account_id = 123456789012
sso_role_name = Developer
region = {REGION}
[sso-session practice]
sso_start_url = {START_URL}
sso_region = {REGION}
sso_registration_scopes = sso:account:access
"""
#: What any program does that has a profile.
WHO_AM_I = "import boto3; print(boto3.Session(profile_name='practice').client('sts').get_caller_identity()['Arn'])"


def environment(home: Path, **more: str) -> dict[str, str]:
    """A person's environment, with a profile and nothing else of AWS."""
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / "config").write_text(CONFIG)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "HOME": str(home), "NO_PROXY": "", "no_proxy": "", "PYTHONWARNINGS": "ignore", **more}


def cached(home: Path) -> Path:
    """Where the AWS clients keep the tokens of the sso-session."""
    return home / ".aws" / "sso" / "cache" / f"{hashlib.sha1(b'practice').hexdigest()}.json"


async def output(command: list[str], variables: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(*command, env=variables, stdout=PIPE, stderr=STDOUT)
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    return said.strip()


async def test_boto3_renews_what_a_browser_was_used_to_get_and_becomes_the_role(tmp_path: Path) -> None:
    """The AWS CLI's cache file, of a token that has five minutes left: botocore renews it before it uses it."""
    with visit() as v:
        client = v.register()
        tokens = v.tokens(client=client)
        soon = (SystemClock().now() + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        cached(tmp_path).parent.mkdir(parents=True)
        written = {
            "startUrl": START_URL,
            "region": REGION,
            "accessToken": tokens["accessToken"],
            "expiresAt": soon,
            "clientId": client["clientId"],
            "clientSecret": client["clientSecret"],
            "registrationExpiresAt": "2099-01-01T00:00:00Z",
            "refreshToken": tokens["refreshToken"],
        }
        cached(tmp_path).write_text(json.dumps(written))
        names = ("AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_SSO_OIDC", "AWS_ENDPOINT_URL_STS")
        variables = environment(tmp_path, **dict.fromkeys(names, v.sandbox.endpoint_url))
        used = ["GetRoleCredentials", "GetCallerIdentity"]
        for expected in (["CreateToken", *used], used):
            v.sandbox.requests.clear()
            assert ARN.fullmatch(await output([sys.executable, "-c", WHO_AM_I], variables))
            assert [call.action for call in v.sandbox.requests] == expected
        kept = json.loads(cached(tmp_path).read_text())
        assert kept["refreshToken"] != tokens["refreshToken"]
        assert kept["accessToken"] != tokens["accessToken"]


@pytest.mark.long
async def test_the_aws_cli_signs_in_by_a_device_code_in_a_browser(tmp_path: Path) -> None:
    """At AWS's own addresses, which a proxy leads here: this CLI is older than AWS_ENDPOINT_URL."""
    cli = shutil.which("aws", path="/usr/local/bin:/usr/bin")
    if cli is None or not (await output([cli, "--version"], os.environ)).startswith("aws-cli/2."):
        pytest.skip("there is no AWS CLI of version 2 here: apt-get install awscli")
    sites = {f"https://{host}": tmp_path for host in HOSTS}
    world = replace(practice_world(), identity_center=center(interval=timedelta(seconds=1)))
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(world, sites=sites, tls=True))
        place = ("127.0.0.1", urlsplit(sandbox.endpoint_url).port or 0)
        proxy = await stack.enter_async_context(Proxy(dict.fromkeys(HOSTS, place)).listening("127.0.0.1"))
        variables = environment(tmp_path, HTTPS_PROXY=proxy, https_proxy=proxy, AWS_CA_BUNDLE=str(sandbox.ca_file))
        mapped = f"--host-resolver-rules=MAP {HOSTS[0]} 127.0.0.1:{place[1]} , MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        browser = await stack.enter_async_context(chromium(mapped, "--ignore-certificate-errors"))
        command = [cli, "sso", "login", "--profile", "practice", "--no-browser"]
        login = await asyncio.create_subprocess_exec(
            *command, env={**variables, "PYTHONUNBUFFERED": "1"}, stdout=PIPE, stderr=STDOUT
        )
        assert login.stdout
        complete = await asyncio.wait_for(login.stdout.readuntil(b"user_code="), 20)
        complete += await login.stdout.readline()
        await browser.open(complete.decode().split()[-1])
        assert "botocore-client-practice wants to list your accounts" in await browser.text()
        await browser.click("Allow")
        await browser.shows("Request approved")
        said = (await login.communicate())[0].decode()
        assert login.returncode == 0, said
        assert "Successfully logged into Start URL" in said
        told = [call.code for call in sandbox.requests if call.action == "CreateToken"]
        assert told[:2] == ["AuthorizationPendingException", "SlowDownException"]
        assert json.loads(cached(tmp_path).read_text())["refreshToken"].startswith("aor")
        who = [cli, "sts", "get-caller-identity", "--profile", "practice", "--query", "Arn", "--output", "text"]
        assert ARN.fullmatch(await output(who, variables))
        await output([cli, "sso", "logout", "--profile", "practice"], variables)
        assert sandbox.identity_center.state()["sessions"] == []
        assert not cached(tmp_path).exists()
