"""The whole agent with a user of Cognito, in a sandbox; and the sandbox's Cognito before judges of others."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import jwt
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from agent.clock import SystemClock
from agent.sandbox import Fault, Role, Sandbox, in_thread
from agent.sandbox.cognito.totp import STEP, code_at
from tests.fakes.cognito import (
    ALL_FLOWS,
    CLIENT,
    IDENTITY_POOL,
    ISSUER,
    PASSWORD,
    POOL_ID,
    POOLED_ARN,
    ROLE_ARN,
    TOTP_SECRET,
    USER,
    a_pool,
    a_world,
    asked_of,
    pool_keys,
    trust_in_pool,
    with_client,
    with_user,
)
from tests.live.cognito_terminal import typed
from tests.live.host import ALL_OF_S3, ROLECALL, TOKEN, Agent, Host, agent_on, fetch

pytestmark = pytest.mark.long

JAVASCRIPT = Path(__file__).parent / "javascript"
SRP = ["InitiateAuth", "RespondToAuthChallenge"]
RENEWAL = "GetTokensFromRefreshToken"


@dataclass
class Stage:
    host: Host
    sandbox: Sandbox

    @property
    def asked(self) -> list[str]:
        return asked_of(self.sandbox)

    async def served(self, role: str = "backup", *, within: float = 20) -> dict[str, Any]:
        """The role's credentials, as soon as the agent has them."""
        async with asyncio.timeout(within):
            while True:
                status, document, _ = await fetch(self.host, role)
                if status == 200:
                    return document
                await asyncio.sleep(0.2)

    def write(self, *identity: str, endpoint: str | None = None) -> None:
        """The configuration."""
        endpoint = endpoint or self.sandbox.endpoint_url
        self.host.config.write_text(f"""
[identity]
source = "cognito"
region = "eu-central-1"
user_pool = "{POOL_ID}"
client_id = "{CLIENT}"
user = "{USER}"
state = "{self.host.home}/state/cognito.json"
endpoint_url = "{endpoint}"
{chr(10).join(identity)}
[sts]
region = "eu-central-1"
endpoint_url = "{endpoint}"
[roles.backup]
arn = "{ROLE_ARN}"
[roles.pooled]
source = "identity_pool"
arn = "{POOLED_ARN}"
identity_pool = "{IDENTITY_POOL}"
[[grants]]
roles = ["backup", "pooled"]
token_file = "{self.host.home}/token"
[listen]
credentials = "127.0.0.1:{self.host.ports[0]}"
admin = "127.0.0.1:{self.host.ports[1]}"
[log]
level = "debug"
format = "json"
""")


def secret_file(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@asynccontextmanager
async def staged(home: Path, *, password: bool = True, public: bool = False, **user: Any) -> AsyncIterator[Stage]:
    world = with_user(with_client(a_world(), flows=("ALLOW_USER_SRP_AUTH",), rotation=True), **user)
    world = replace(world, roles=tuple(replace(one, policies=(ALL_OF_S3,)) for one in world.roles))
    sandbox = Sandbox(world, public=public)
    sandbox._cognito.users._keys[POOL_ID] = pool_keys()
    async with sandbox:
        stage = Stage(Host(home, sandbox.endpoint_url), sandbox)
        (home / "state").mkdir(mode=0o700)
        secret_file(home / "token", TOKEN)
        words = [f'password_file = "{secret_file(home / "password", PASSWORD)}"'] if password else []
        stage.write(*words)
        yield stage


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Agent]:
    async with agent_on(stage.host) as agent:
        await agent.ready()
        yield agent


async def test_one_sign_in_serves_roles_of_sts_and_of_an_identity_pool(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, running(stage) as agent:
        by_sts, by_pool = await stage.served("backup"), await stage.served("pooled")

        for document, arn in ((by_sts, ROLE_ARN), (by_pool, POOLED_ARN)):
            issued = stage.sandbox.issued(document["AccessKeyId"])
            assert issued is not None
            assert issued.role_arn == document["RoleArn"] == arn
            s3 = boto3.client(
                "s3",
                endpoint_url=stage.sandbox.endpoint_url,
                region_name="eu-central-1",
                aws_access_key_id=document["AccessKeyId"],
                aws_secret_access_key=document["SecretAccessKey"],
                aws_session_token=document["Token"],
            )
            assert await asyncio.to_thread(s3.list_buckets)
        assert [one for one in stage.asked if one in (*SRP, RENEWAL)] == SRP
        assert await agent.stop() == 0
        logged = "".join(agent.lines)
    for secret in (PASSWORD, "eyJ", by_sts["SecretAccessKey"], by_pool["Token"]):
        assert secret not in logged


async def test_the_next_start_goes_on_with_what_was_kept(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        async with running(stage):
            await stage.served()
        kept = json.loads((tmp_path / "state/cognito.json").read_text())
        (tmp_path / "password").unlink()
        stage.write()
        stage.sandbox.requests.clear()
        async with running(stage):
            await stage.served()
        assert [one for one in stage.asked if "Token" in one] == [RENEWAL]
        assert json.loads((tmp_path / "state/cognito.json").read_text())["refresh_token"] != kept["refresh_token"]


async def test_a_person_signs_in_at_a_terminal_and_the_agent_goes_on_at_once(tmp_path: Path) -> None:
    """With a temporary password, and an authenticator; a wrong code is asked for again."""
    factor: dict[str, Any] = {"mfa": "SOFTWARE_TOKEN_MFA", "totp_secret": TOTP_SECRET}
    async with (
        staged(tmp_path, password=False, state="FORCE_CHANGE_PASSWORD", **factor) as stage,
        running(stage) as agent,
    ):
        status, document, _ = await fetch(stage.host)
        assert status == 503
        assert "anary" not in str(document)
        code = code_at(TOTP_SECRET, int(SystemClock().now().timestamp()) // STEP)

        done, shown = await typed(
            [*ROLECALL, "login", "-c", str(stage.host.config)],
            stage.host.environment(),
            [
                ("Password of machine: ", PASSWORD),
                ("New password: ", "Another-Pass-1"),
                ("The same again: ", "Another-Pass-2"),
                ("New password: ", "Another-Pass-1"),
                ("The same again: ", "Another-Pass-1"),
                ("authenticator: ", code),
            ],
        )

        assert done == 0, shown
        assert "signed in as machine" in shown
        for secret in (PASSWORD, "Another-Pass", code):
            assert secret not in shown
        assert await stage.served(within=10)
        assert await stage.served("pooled", within=10)
        assert len(agent.events("sign_in_over")) == 1
        assert agent.events("signed_in")


async def test_who_types_the_wrong_password_may_try_again(tmp_path: Path) -> None:
    async with staged(tmp_path, password=False) as stage:
        done, shown = await typed(
            [*ROLECALL, "login", "-c", str(stage.host.config)],
            stage.host.environment(),
            [("Password of machine: ", "wrong"), ("Password of machine: ", PASSWORD)],
        )
        assert done == 0, shown
        assert "Incorrect username or password" in shown
        assert (tmp_path / "state/cognito.json").exists()


async def test_without_a_terminal_nobody_is_asked(tmp_path: Path) -> None:
    async with staged(tmp_path, password=False) as stage:
        process = await asyncio.create_subprocess_exec(
            *ROLECALL,
            "login",
            "-c",
            str(stage.host.config),
            env=stage.host.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        _, told = await process.communicate()
        assert process.returncode == 2
        assert b"there is no terminal to ask at" in told


async def test_a_role_that_the_identity_pool_does_not_give_is_not_served(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        other = "arn:aws:iam::123456789012:role/other"
        world = stage.sandbox.world
        pools = (replace(world.identity_pools[0], authenticated_role=other),)
        stage.sandbox.world = replace(world, roles=(*world.roles, Role(other, trust_in_pool())), identity_pools=pools)
        async with running(stage) as agent:
            assert await stage.served("backup")
            status, _, _ = await fetch(stage.host, "pooled")
            assert status in (502, 503)
            assert any("gives arn:aws:sts::123456789012:assumed-role/other" in line for line in agent.lines)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_with_a_clock_that_is_an_hour_off_all_is_served(tmp_path: Path, hours: int) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.faults.add(Fault("clock", seconds=hours * 3600))
        async with running(stage):
            assert await stage.served("backup")
            assert await stage.served("pooled")


async def test_a_jwks_that_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    async with staged(tmp_path, public=True) as stage:
        stage.sandbox.faults.add(Fault("site", site="status", status=404))
        async with running(stage) as agent:
            assert (await fetch(stage.host))[0] == 503
            assert any("verification key" in line for line in agent.lines)
            stage.sandbox.faults.clear()
            assert await stage.served()
        assert [one for one in stage.asked if one in SRP] == SRP


async def test_two_agents_share_one_sign_in(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        second = Host(tmp_path, stage.sandbox.endpoint_url)
        text = stage.host.config.read_text()
        for ours, theirs in zip(stage.host.ports, second.ports, strict=True):
            text = text.replace(f"127.0.0.1:{ours}", f"127.0.0.1:{theirs}")
        other = secret_file(tmp_path / "second.toml", text)
        async with running(stage), agent_on(second, (*ROLECALL, "run", "-c", str(other))) as agent:
            await agent.ready()
            assert await stage.served()
            assert await Stage(second, stage.sandbox).served()
        assert not [one for one in stage.asked if "Reuse" in one]


async def test_token_mint_gives_the_id_token(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        done, token, told = await stage.host.rolecall("token", "mint", "-c", str(stage.host.config))
        assert done == 0, told
        assert jwt.decode(token.strip(), options={"verify_signature": False})["iss"] == ISSUER


async def test_the_doctor_looks_at_the_pool_and_finds_all_in_order(tmp_path: Path) -> None:
    async with staged(tmp_path, public=True) as stage:
        issuer = (
            f'[issuer]\nurl = "{ISSUER}"\nproxy = "{stage.sandbox.proxy_url}"\nca_bundle = "{stage.sandbox.ca_file}"\n'
        )
        stage.host.config.write_text(issuer + stage.host.config.read_text())
        done, out, told = await stage.host.rolecall("doctor", "-c", str(stage.host.config), "--json")
        links = {one["link"]: one for one in json.loads(out)["links"]}
        for link in ("key", "sts", "clock", "issuer", "token", "roles"):
            assert links[link]["good"], (link, links[link], told)
        assert done == 0, out


async def test_the_sandbox_makes_what_the_configuration_calls_for(tmp_path: Path) -> None:
    """`rolecall sandbox` and an agent that is led there; nothing but what the page says."""
    async with staged(tmp_path) as stage:
        process = await asyncio.create_subprocess_exec(
            *ROLECALL,
            "sandbox",
            "--json",
            "-c",
            str(stage.host.config),
            env=stage.host.environment(),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            text = ""
            while not text.rstrip().endswith("}") or text.count("{") != text.count("}"):
                text += (await process.stdout.readline()).decode()
            facts = json.loads(text)
            assert "password" not in facts  # it is in a file
            assert facts["identity"]["endpoint_url"] == facts["sts"]["endpoint_url"]
            stage.write(f'password_file = "{tmp_path}/password"', endpoint=facts["sts"]["endpoint_url"])
            async with running(stage):
                assert (await stage.served("backup"))["RoleArn"] == ROLE_ARN
                assert (await stage.served("pooled"))["RoleArn"] == POOLED_ARN
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()
        assert stage.asked == []


# --- judges of the sandbox

_NODE = """
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/");
const cognito = require("amazon-cognito-identity-js");
const { POOL, CLIENT, ENDPOINT, NAME, PASSWORD, NEW } = process.env;
const pool = new cognito.CognitoUserPool({ UserPoolId: POOL, ClientId: CLIENT, endpoint: ENDPOINT });
const user = new cognito.CognitoUser({ Username: NAME, Pool: pool });
const told = {
  onSuccess: (session) => {
    user.refreshSession(session.getRefreshToken(), (error, fresh) =>
      console.log(error ? error.code : fresh.getIdToken().payload["cognito:username"]));
  },
  onFailure: (error) => console.log(error.code),
  newPasswordRequired: () => user.completeNewPasswordChallenge(NEW, {}, told),
};
user.authenticateUser(new cognito.AuthenticationDetails({ Username: NAME, Password: PASSWORD }), told);
"""


async def javascript(sandbox: Sandbox, name: str, password: str) -> str:
    if shutil.which("node") is None or not (JAVASCRIPT / "node_modules" / "amazon-cognito-identity-js").is_dir():
        pytest.skip("the JavaScript client of Cognito is not installed: cd tests/live/javascript && npm ci")
    process = await asyncio.create_subprocess_exec(
        "node",
        "--input-type=module",
        "-e",
        _NODE,
        cwd=JAVASCRIPT,
        stdout=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "POOL": POOL_ID,
            "CLIENT": CLIENT,
            "ENDPOINT": f"{sandbox.endpoint_url}/",
            "NAME": name,
            "PASSWORD": password,
            "NEW": "Another-Pass-1",
        },
    )
    out, _ = await process.communicate()
    return out.decode().strip()


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        (USER, PASSWORD, USER),
        ("m@example.com", PASSWORD, USER),
        (USER, "wrong", "NotAuthorizedException"),
        ("nobody", PASSWORD, "NotAuthorizedException"),
    ],
)
async def test_a_client_of_others_signs_in_by_srp_and_renews(name: str, password: str, said: str) -> None:
    """amazon-cognito-identity-js renews by REFRESH_TOKEN_AUTH alone."""
    world = with_user(with_client(a_world(), flows=ALL_FLOWS), attributes={"email": "m@example.com"})
    pool = replace(world.user_pools[0], aliases=("email",))
    async with Sandbox(replace(world, user_pools=(pool,))) as sandbox:
        assert await javascript(sandbox, name, password) == said


async def test_a_client_of_others_changes_a_temporary_password() -> None:
    world = with_user(with_client(a_world(), flows=ALL_FLOWS), state="FORCE_CHANGE_PASSWORD")
    async with Sandbox(world) as sandbox:
        assert await javascript(sandbox, USER, PASSWORD) == USER
        assert await javascript(sandbox, USER, PASSWORD) == "NotAuthorizedException"
        assert await javascript(sandbox, USER, "Another-Pass-1") == USER


def test_boto3_has_a_role_by_either_way() -> None:
    """Its own clients, with its own parameter checks, through both services and STS."""
    world = with_client(a_world(a_pool()), flows=ALL_FLOWS, secret=None, token_lifetime=timedelta(minutes=5))
    with in_thread(Sandbox(world)) as sandbox:
        where: dict[str, Any] = {
            "endpoint_url": sandbox.endpoint_url,
            "region_name": "eu-central-1",
            "config": Config(signature_version=UNSIGNED),
        }
        users, pools, sts = (boto3.client(one, **where) for one in ("cognito-idp", "cognito-identity", "sts"))
        shown = {"USERNAME": USER, "PASSWORD": PASSWORD}
        signed_in = users.initiate_auth(AuthFlow="USER_PASSWORD_AUTH", ClientId=CLIENT, AuthParameters=shown)
        tokens = signed_in["AuthenticationResult"]
        assert tokens["ExpiresIn"] == 300

        role = sts.assume_role_with_web_identity(
            RoleArn=ROLE_ARN, RoleSessionName="tester", WebIdentityToken=tokens["IdToken"]
        )
        assert role["Provider"].endswith(POOL_ID)
        with pytest.raises(sts.exceptions.InvalidIdentityTokenException):
            sts.assume_role_with_web_identity(
                RoleArn=ROLE_ARN, RoleSessionName="tester", WebIdentityToken=tokens["AccessToken"]
            )
        login = {ISSUER.removeprefix("https://"): tokens["IdToken"]}
        identity = pools.get_id(IdentityPoolId=IDENTITY_POOL, Logins=login)["IdentityId"]
        given = pools.get_credentials_for_identity(IdentityId=identity, Logins=login)["Credentials"]
        who = boto3.client(
            "sts",
            endpoint_url=sandbox.endpoint_url,
            region_name="eu-central-1",
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretKey"],
            aws_session_token=given["SessionToken"],
        ).get_caller_identity()
        assert who["Arn"] == "arn:aws:sts::123456789012:assumed-role/pool/CognitoIdentityCredentials"

        renewed = users.get_tokens_from_refresh_token(RefreshToken=tokens["RefreshToken"], ClientId=CLIENT)
        assert renewed["AuthenticationResult"]["IdToken"]
        users.revoke_token(Token=tokens["RefreshToken"], ClientId=CLIENT)
        with pytest.raises(users.exceptions.NotAuthorizedException, match="revoked"):
            users.get_tokens_from_refresh_token(RefreshToken=tokens["RefreshToken"], ClientId=CLIENT)
