"""A whole agent with its listener for callers inside AWS, and workloads that have a role of a sandbox AWS."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import jwt

from agent.cli.sandbox import world_of
from agent.sandbox import Sandbox, World
from agent.sandbox.federation import Outbound
from tests.fakes.ports import own_port
from tests.fakes.token_exchange import certify
from tests.live.host import BUCKET, ISSUER, Agent, Host, agent_on, fetch

AUDIENCE = "https://api.example.com"
ROLE = "arn:aws:iam::123456789012:role/backup"
OUTBOUND = Outbound(organization="o-a1b2c3d4e5", ou_path="o-a1b2c3d4e5/r-ab12/")
MAY_HAVE_TOKENS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:GetWebIdentityToken", "Resource": "*"}],
}
GRANTS = f"""
[[grants]]
aws_principal = "{ROLE}"
audiences = ["{AUDIENCE}"]
scopes = ["read", "write"]
"""


@dataclass
class TokenServer:
    """The agent, its AWS, and where callers inside AWS reach it."""

    host: Host
    sandbox: Sandbox
    port: int
    agent: Agent

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ca(self) -> Path:
        return self.host.home / "ca.pem"

    async def workload(self, role: str = "backup") -> dict[str, str]:
        """The environment of a function that has this role: its credentials, and nothing of ours."""
        status, given, _ = await fetch(self.host, role)
        assert status == 200
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["Token"],
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": self.sandbox.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    async def exchange(self, *words: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Run the command as such a workload: exit code, stdout, stderr."""
        asked = () if "--audience" in words else ("--audience", AUDIENCE)
        around = await self.workload() if environ is None else environ
        return await self.host.rolecall(
            "token", "exchange", self.url, "--ca-bundle", str(self.ca), *asked, *words, **around
        )

    def verified(self, token: str, audience: str = AUDIENCE) -> dict[str, Any]:
        """What a relying party reads in a token, by the issuer's published keys."""
        keys = jwt.PyJWKSet.from_dict(json.loads((self.host.home / "site" / ".well-known" / "jwks.json").read_text()))
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256", "RS256"], audience=audience, issuer=ISSUER)
        return claims


def presigned_with(
    given: Mapping[str, str],
    server: str,
    *,
    header: str | None = "X-Rolecall-Server-Id",
    endpoint: str = "",
    action: str = "get_caller_identity",
    method: str = "GET",
    expires: int = 60,
    server_id: str = "",
) -> str:
    """What a workload with these credentials shows; or shows instead."""
    sts = boto3.client(
        "sts",
        endpoint_url=endpoint or given["AWS_ENDPOINT_URL"],
        region_name="eu-central-1",
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=given["AWS_SESSION_TOKEN"],
    )

    nonce = secrets.token_urlsafe(16)

    def bind(request: Any, **_: object) -> None:
        request.headers.add_header("X-Rolecall-Nonce", nonce)
        if header is not None:
            request.headers.add_header(header, server_id or server)

    sts.meta.events.register("before-sign.sts", bind)
    url = sts.generate_presigned_url(action, ExpiresIn=expires, HttpMethod=method)
    return "AWS-Presigned " + base64.urlsafe_b64encode(url.encode()).rstrip(b"=").decode() + f".{nonce}"


@asynccontextmanager
async def token_server(
    home: Path, *, grants: str = GRANTS, environ: Mapping[str, str] | None = None, **how: Any
) -> AsyncIterator[TokenServer]:
    """All of it, up and ready."""
    await asyncio.to_thread(certify, home)
    port = own_port()
    world = World(account_id="123456789012", bucket=BUCKET, outbound=OUTBOUND)
    async with Sandbox(world, sites={ISSUER: home / "site"}, public=True) as sandbox:
        assert sandbox.ca_file is not None
        assert sandbox.proxy_url is not None
        host = Host(home, sandbox.endpoint_url, public=(sandbox.proxy_url, sandbox.ca_file), **how)
        host.more = f"""
[aws_callers]
listen = "127.0.0.1:{port}"
server_id = "https://localhost:{port}"
certificate = "{home}/fullchain.pem"
private_key = "{home}/privkey.pem"
issuers = ["{OUTBOUND.issuer}"]
ca_bundle = "{sandbox.ca_file}"
proxy = "{sandbox.proxy_url}"
{grants}
"""
        trusting = world_of(await host.furnish())
        roles = tuple(replace(role, policies=(MAY_HAVE_TOKENS,)) for role in trusting.roles)
        sandbox.world = replace(world, providers=trusting.providers, roles=roles)
        async with agent_on(host, **(environ or {})) as agent:
            await agent.ready()
            yield TokenServer(host, sandbox, port, agent)
