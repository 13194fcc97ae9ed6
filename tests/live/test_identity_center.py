"""A person signs in, by rolecall or by the AWS CLI, and the whole agent has the role that it takes a person to have."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from agent.clock import SystemClock, instant
from agent.sandbox import Sandbox, practice_world
from agent.sandbox.proxy import Proxy
from tests.live.browser import Browser
from tests.live.host import ROLECALL, Host, agent_on, fetch, run_to_end
from tests.unit.sandbox.identity_center.visit import START_URL, center

pytestmark = pytest.mark.long

REGION = "eu-central-1"
ROLE = "AWSReservedSSO_Developer_"
PROFILE = f"""
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


@dataclass
class Laptop(Host):
    """Somebody's own machine: no issuer, no key, everything by a sign-in."""

    ca_file: Path | None = None

    @property
    def settings(self) -> str:
        trusted = f'ca_bundle = "{self.ca_file}"' if self.ca_file else ""
        return f"""
[identity_center]
start_url = "{START_URL}"
region = "{REGION}"
session = "practice"
endpoint_url = "{self.endpoint}"
{trusted}
[sts]
region = "{REGION}"
endpoint_url = "{self.endpoint}"
{trusted}
[roles.dev]
source = "identity_center"
account = "123456789012"
permission_set = "Developer"
[[grants]]
roles = ["dev"]
anyone = true
[listen]
credentials = "127.0.0.1:{self.ports[0]}"
admin = "127.0.0.1:{self.ports[1]}"
[log]
level = "debug"
format = "json"
"""

    @property
    def user_home(self) -> Path:
        return Path(self.environment()["HOME"])

    @property
    def cached(self) -> Path:
        return self.user_home / ".aws" / "sso" / "cache" / f"{hashlib.sha1(b'practice').hexdigest()}.json"

    def aws_environment(self) -> dict[str, str]:
        """That of the same person, with the AWS CLI set up for the same sso-session."""
        (self.user_home / ".aws").mkdir(parents=True, exist_ok=True)
        (self.user_home / ".aws" / "config").write_text(PROFILE)
        names = ("AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_SSO_OIDC", "AWS_ENDPOINT_URL_STS")
        return self.environment() | dict.fromkeys(names, self.endpoint) | {"PYTHONWARNINGS": "ignore"}

    async def metric(self, name: str) -> float:
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))

    async def status(self) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/status.json") as answer:
            return await answer.json()


@asynccontextmanager
async def laptop(home: Path, hosts: Sequence[str] = ()) -> AsyncIterator[tuple[Laptop, Sandbox]]:
    """A machine, and the Identity Center that its person signs in at: over TLS, by these names, if there are any."""
    world = replace(practice_world(), identity_center=center(interval=timedelta(seconds=1)))
    sites = {f"https://{name}": home for name in hosts}
    async with Sandbox(world, sites=sites, tls=bool(hosts)) as sandbox:
        host = Laptop(home, sandbox.endpoint_url, ("dev",), ca_file=sandbox.ca_file if hosts else None)
        host.config.write_text(host.settings)
        yield host, sandbox


@asynccontextmanager
async def logging_in(host: Laptop, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`rolecall login`, with a browser that only notes where it is sent."""
    script = host.home / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {host.home}/url.new\nmv {host.home}/url.new {host.home}/url\n')
    script.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        *ROLECALL, "login", "-c", str(host.config), *words,
        env=host.environment() | {"BROWSER": str(script)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(there: Callable[[], object], seconds: float = 15.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if there():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it never came")


async def url_of(host: Laptop) -> str:
    """Where the browser was sent."""
    await until((host.home / "url").exists)
    return (host.home / "url").read_text()


async def signed_in(host: Laptop, sandbox: Sandbox) -> None:
    """Sign in by a device code, for which it takes no browser."""
    async with logging_in(host, "--device", "--json") as login:
        await until(lambda: sandbox.identity_center.state()["devices"])
        devices: Any = sandbox.identity_center.state()["devices"]
        sandbox.identity_center.decide(devices[0]["user_code"], "ada")
        out, err = await asyncio.wait_for(login.communicate(), 20)
        assert login.returncode == 0, err.decode()
        assert json.loads(out)["renewable"] is True
        assert devices[0]["user_code"] in err.decode()


async def test_a_person_signs_in_with_a_browser_and_the_agent_goes_on_at_once(tmp_path: Path, browser: Browser) -> None:
    async with laptop(tmp_path) as (host, sandbox), agent_on(host) as agent:
        await agent.ready()
        status, document, headers = await fetch(host, "dev", None)
        assert (status, document["code"]) == (503, "SignInNeeded")
        assert "rolecall login" in document["message"]
        assert headers["Retry-After"]
        assert agent.events("sign_in_over")
        assert await host.metric("rolecall_sign_in_ends_timestamp_seconds") == 0

        async with logging_in(host) as login:
            await browser.open(await url_of(host))
            await browser.click("ada")
            await browser.click("Allow")
            page = await browser.shows("You are signed in")
            assert "go back to the terminal" in page
            assert [one for one in browser.complaints if "favicon" not in one] == []
            out, err = await asyncio.wait_for(login.communicate(), 20)
        assert login.returncode == 0, err.decode()
        assert out.decode().startswith(f"Signed in at {START_URL}, renewed by itself")
        assert stat.S_IMODE(host.cached.stat().st_mode) == 0o600

        await until(lambda: agent.events("session_renewed"), 12)
        status, document, _ = await fetch(host, "dev", None)
        assert status == 200
        assert document["RoleArn"].startswith(
            f"arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/{REGION}/{ROLE}"
        )
        assert document["AccountId"] == "123456789012"
        assert agent.events("signed_in")
        assert await host.metric("rolecall_sign_in_ends_timestamp_seconds") > 0
        (told,) = (await host.status())["sign_ins"]
        assert (told["source"], told["state"]) == ("identity_center", "good")
        secrets = [
            json.loads(host.cached.read_text())[name] for name in ("accessToken", "refreshToken", "clientSecret")
        ]
        assert not [
            one for one in (*secrets, document["SecretAccessKey"], document["Token"]) if one in str(agent.lines)
        ]
        assert sandbox.identity_center.state()["sessions"]


async def test_who_denies_it_in_the_browser_is_not_signed_in(tmp_path: Path, browser: Browser) -> None:
    async with laptop(tmp_path) as (host, _), logging_in(host) as login:
        await browser.open(await url_of(host))
        await browser.click("Deny")
        await browser.shows("Nobody was signed in")
        _, err = await asyncio.wait_for(login.communicate(), 20)
    assert login.returncode == 1
    assert b"error: somebody denied it in the browser" in err
    assert not host.cached.exists()


async def test_a_device_code_a_list_a_doctor_and_a_sign_out(tmp_path: Path) -> None:
    async with laptop(tmp_path) as (host, sandbox):
        for words in (("login", "--list"), ("doctor",)):
            code, out, err = await host.rolecall(*words, "-c", str(host.config))
            assert code == 1
            assert "nobody has signed in" in out + err
        await signed_in(host, sandbox)

        code, out, err = await host.rolecall("login", "--list", "--json", "-c", str(host.config))
        assert code == 0, err
        mine = {account["account"]: account["permission_sets"] for account in json.loads(out)}
        assert {"name": "Developer", "roles": ["dev"]} in mine["123456789012"]
        code, out, err = await host.rolecall("login", "--list", "-c", str(host.config))
        assert "the role dev" in out
        assert 'source = "identity_center"' in err

        _, out, _ = await host.rolecall("doctor", "--json", "-c", str(host.config))
        links = {link["link"]: link for link in json.loads(out)["links"]}
        assert links["sign-in"]["state"] == "good", out
        assert links["sts"]["state"] == "good", out
        assert {one["link"] for one in json.loads(out)["findings"] if one["severity"] == "error"} <= {"endpoint"}

        code, out, err = await host.rolecall("login", "--logout", "-c", str(host.config))
        assert (code, out) == (0, f"Signed out at {START_URL}.\n"), err
        assert sandbox.identity_center.state()["sessions"] == []
        assert [one.suffix for one in host.cached.parent.iterdir()] == [".lock"]


@pytest.mark.long
async def test_without_a_configuration_it_says_what_to_write_into_one(tmp_path: Path) -> None:
    async with laptop(tmp_path) as (host, sandbox):
        await signed_in(host, sandbox)
        words = ("--start-url", START_URL, "--region", REGION, "--session", "practice")
        code, _, err = await host.rolecall("login", "--list", *words, HTTPS_PROXY="", NO_PROXY="*")
        assert code == 1  # AWS's own addresses, which this machine does not reach; but it knows where to ask
        assert "IAM Identity Center" in err
        code, _, err = await host.rolecall("login", "--list", "--start-url", "http://x", "--region", "here")
        assert code == 2
        assert "--start-url" in err
        assert "--region" in err


async def test_a_screen_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    async with laptop(tmp_path) as (host, _):
        code, _, err = await host.rolecall("login", "-c", str(host.config))
        assert code == 2
        assert "no browser can be opened here" in err
        assert "hint: sign in with: rolecall login --device" in err


@pytest.mark.long
async def test_the_agent_serves_to_the_end_what_it_holds_when_the_sign_in_is_gone(tmp_path: Path) -> None:
    async with laptop(tmp_path) as (host, sandbox):
        await signed_in(host, sandbox)
        async with agent_on(host) as agent:
            await agent.ready()
            assert (await fetch(host, "dev", None))[0] == 200
            await host.rolecall("login", "--logout", "-c", str(host.config))
            await until(lambda: agent.events("sign_in_over"), 12)
            assert (await fetch(host, "dev", None))[0] == 200
            _, out, _ = await host.rolecall("status", "-c", str(host.config))
            assert "sign-in at identity_center over: run rolecall login" in out
            await signed_in(host, sandbox)
            await until(lambda: agent.events("signed_in"), 12)


@pytest.mark.long
async def test_the_aws_cli_lives_by_what_we_write_and_we_by_what_it_has_renewed(tmp_path: Path) -> None:
    cli = str(Path(sys.executable).with_name("aws"))
    async with laptop(tmp_path) as (host, sandbox):
        await signed_in(host, sandbox)
        who = [cli, "sts", "get-caller-identity", "--profile", "practice", "--output", "json"]
        variables = host.aws_environment()
        old = json.loads(host.cached.read_text())
        # five minutes are left, so the AWS CLI renews it, and uses up our refresh token
        soon = old | {"expiresAt": _in_five_minutes()}
        host.cached.write_text(json.dumps(soon))
        code, out, err = await run_to_end(who, variables)
        assert code == 0, err
        assert f"assumed-role/{ROLE}" in json.loads(out)["Arn"]
        new = json.loads(host.cached.read_text())
        assert new["accessToken"] != old["accessToken"]
        assert [*new] == [*old]
        async with agent_on(host) as agent:
            await agent.ready()
            assert (await fetch(host, "dev", None))[0] == 200
        assert json.loads(host.cached.read_text()) == new
        # and now we renew it
        host.cached.write_text(json.dumps(new | {"expiresAt": _in_five_minutes()}))
        async with agent_on(host) as agent:
            await agent.ready()
            assert (await fetch(host, "dev", None))[0] == 200
        newest = json.loads(host.cached.read_text())
        assert newest["refreshToken"] != new["refreshToken"]
        code, out, err = await run_to_end(who, variables)
        assert code == 0, err


def _in_five_minutes() -> str:
    return instant(SystemClock().now() + timedelta(minutes=5))


@pytest.mark.long
async def test_whoever_signs_in_by_the_aws_cli_has_signed_in_for_us_and_the_other_way_round(tmp_path: Path) -> None:
    """Version 2, which alone has "aws sso login"; at AWS's own addresses, which a proxy leads to the sandbox."""
    cli = shutil.which("aws", path="/usr/local/bin:/usr/bin")
    if cli is None or "aws-cli/2." not in (await run_to_end([cli, "--version"], os.environ))[1]:
        pytest.skip("there is no AWS CLI of version 2 here: apt-get install awscli")
    hosts = tuple(f"{name}.{REGION}.amazonaws.com" for name in ("oidc", "portal.sso", "sts"))
    async with laptop(tmp_path, hosts=hosts) as (host, sandbox):
        place = ("127.0.0.1", urlsplit(host.endpoint).port or 0)
        async with Proxy(dict.fromkeys(hosts, place)).listening("127.0.0.1") as proxy:
            variables = host.aws_environment() | {"HTTPS_PROXY": proxy, "AWS_CA_BUNDLE": str(sandbox.ca_file)}
            who = [cli, "sts", "get-caller-identity", "--profile", "practice", "--output", "json"]
            await signed_in(host, sandbox)
            code, out, err = await run_to_end(who, variables)
            assert code == 0, err
            assert f"assumed-role/{ROLE}" in json.loads(out)["Arn"]
            code, _, err = await run_to_end([cli, "sso", "logout", "--profile", "practice"], variables)
            assert code == 0, err
            assert not host.cached.exists()
            async with agent_on(host) as agent:
                await agent.ready()
                assert (await fetch(host, "dev", None))[0] == 503
                login = asyncio.ensure_future(
                    run_to_end([cli, "sso", "login", "--profile", "practice", "--no-browser"], variables)
                )
                await until(lambda: sandbox.identity_center.state()["devices"])
                devices: Any = sandbox.identity_center.state()["devices"]
                sandbox.identity_center.decide(devices[0]["user_code"], "ada")
                code, _, err = await login
                assert code == 0, err
                await until(lambda: agent.events("session_renewed"), 15)
                assert agent.events("signed_in")
                assert (await fetch(host, "dev", None))[0] == 200


@pytest.mark.long
async def test_an_agent_that_is_stopped_while_it_renews_loses_nothing(tmp_path: Path) -> None:
    """The refresh token is good for one use: what comes back for it has to be on the disk, whoever stops us."""
    async with laptop(tmp_path) as (host, sandbox):
        await signed_in(host, sandbox)
        old = json.loads(host.cached.read_text())
        host.cached.write_text(json.dumps(old | {"expiresAt": _in_five_minutes()}))
        async with agent_on(host) as agent:
            await until(
                lambda: [one for one in sandbox.requests if one.action == "CreateToken" and one.code == "Success"]
            )
            await agent.stop(signal.SIGTERM)
        new = json.loads(host.cached.read_text())
        async with agent_on(host) as agent:
            await agent.ready()
            assert (await fetch(host, "dev", None))[0] == 200
        assert new["startUrl"] == START_URL


@pytest.mark.long
@pytest.mark.parametrize("fault", ["garbled", "open"])
async def test_a_cache_file_that_cannot_be_used_is_told_of_and_mended_by_signing_in(tmp_path: Path, fault: str) -> None:
    async with laptop(tmp_path) as (host, sandbox):
        await signed_in(host, sandbox)
        if fault == "garbled":
            host.cached.write_text('{"accessToken": "aoacanary')
        else:
            host.cached.chmod(0o666)
        async with agent_on(host) as agent:
            await agent.ready()
            status, document, _ = await fetch(host, "dev", None)
            assert (status, document["code"]) == (503, "SignInNeeded")
            assert "canary" not in str(agent.lines)
            host.cached.unlink()
            await signed_in(host, sandbox)
            await until(lambda: agent.events("session_renewed"), 15)
            assert (await fetch(host, "dev", None))[0] == 200
