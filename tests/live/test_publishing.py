"""A real agent that publishes elsewhere than in a directory: on its own HTTPS listener, and in a bucket."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from agent.clients.signed import s3_client
from agent.sandbox import Sandbox
from tests.fakes.certificates import DAY, authority, pem, put, root
from tests.fakes.clock import START
from tests.fakes.moto import REGION, endpoint, moto
from tests.fakes.ports import own_port
from tests.live.host import Agent, Host, agent_on, fetch, sandboxed
from tests.live.walking import metric, status, until

pytestmark = pytest.mark.long

JWKS, DISCOVERY = ".well-known/jwks.json", ".well-known/openid-configuration"


async def _served(host: Host) -> bool:
    return (await fetch(host))[0] == 200


# --- our own listener


@asynccontextmanager
async def showing_itself(home: Path) -> AsyncIterator[tuple[Agent, Sandbox, int]]:
    """An agent whose issuer's site is its own; AWS knows the authority of its certificate by a thumbprint."""
    put(home, authority().issue("oidc.example.com", since=START - 999 * DAY, until=START + 999 * DAY))
    (home / "root.pem").write_bytes(pem(root().certificate))
    port = own_port()
    publishing = f'to = "https"\nlisten = "127.0.0.1:{port}"\ncertificate = "{home}/fullchain.pem"\n'
    publishing += f'private_key = "{home}/privkey.pem"'
    where = f"https://127.0.0.1:{port}"
    async with sandboxed(home, site=where, publishing=publishing) as (host, sandbox):
        assert host.public is not None
        words = host.config.read_text().replace(str(host.public[1]), f"{home}/root.pem")
        host.config.write_text(words)
        # As IAM has it: SHA-1, of the top certificate that the site shows.
        shown = hashlib.sha1(authority().certificate.public_bytes(Encoding.DER), usedforsecurity=False)
        [provider] = sandbox.world.providers
        sandbox.world = replace(sandbox.world, providers=(replace(provider, thumbprints=(shown.hexdigest(),)),))
        async with agent_on(host) as agent:
            await agent.ready()
            yield agent, sandbox, port


async def test_aws_verifies_tokens_by_what_the_agent_itself_shows(tmp_path: Path) -> None:
    async with showing_itself(tmp_path) as (agent, sandbox, port):
        host = agent.host
        await until(lambda: _served(host))
        assert sandbox.requests[-1].code == "Success"
        [key] = (await status(host))["keys"]
        await until(lambda: _seen(host, key["kid"]))
        told = {one["name"]: one["address"] for one in (await status(host))["listeners"]}
        assert told["issuer"] == f"https://127.0.0.1:{port}"
        code, out, errors = await host.rolecall("publish", "--check", "--json", "-c", str(host.config))
        assert code == 0, out + errors
        assert json.loads(out)["good"] is True
        code, _, errors = await host.rolecall("publish", "-c", str(host.config))
        assert code == 1
        assert "the agent itself shows the documents" in errors


async def _seen(host: Host, kid: str) -> bool:
    return await metric(host, "rolecall_issuer_published", kid=kid) == 1


async def test_without_its_certificate_it_does_not_start(tmp_path: Path) -> None:
    publishing = f'to = "https"\nlisten = "127.0.0.1:{own_port()}"\ncertificate = "{tmp_path}/none.pem"\n'
    host = Host(tmp_path, "http://127.0.0.1:9", publishing=f'{publishing}private_key = "{tmp_path}/none.key"')
    await host.furnish()
    code, _, errors = await host.rolecall("run", "-c", str(host.config))
    assert code in {1, 2}
    assert "none." in errors
    assert "hint: " in errors
    assert "Traceback" not in errors


# --- a bucket


@pytest.fixture
def aws() -> Iterator[str]:
    with moto() as url:
        yield url


async def test_a_bucket_is_written_with_the_credentials_of_a_profile(tmp_path: Path, aws: str) -> None:
    (tmp_path / "credentials").write_text(
        "[publisher]\naws_access_key_id = AKIAEXAMPLEEXAMPLE12\naws_secret_access_key = canary-secret-of-a-profile\n"
    )
    async with s3_client(endpoint(aws)) as client:
        await client.create_bucket(Bucket="oidc-example-com", CreateBucketConfiguration={"LocationConstraint": REGION})
    publishing = f'to = "s3"\nbucket = "oidc-example-com"\nregion = "{REGION}"\nendpoint_url = "{aws}"\n'
    publishing += 'prefix = "site-a"\ncredentials = "profile:publisher"'
    async with (
        sandboxed(tmp_path, publishing=publishing) as (host, _),
        agent_on(host, AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials")) as agent,
    ):
        await agent.ready()
        assert (await fetch(host))[0] == 503  # the world sees nothing yet
        await until(lambda: _published(agent, 2))
        placed = {one["where"]: one["state"] for one in agent.events("document_published")}
        assert placed == {f"s3://oidc-example-com/site-a/{path}": "new" for path in (JWKS, DISCOVERY)}

        await show_the_bucket(aws, tmp_path / "site")

        [key] = (await status(host))["keys"]
        assert [one["kid"] for one in json.loads((tmp_path / "site" / JWKS).read_text())["keys"]] == [key["kid"]]
        await until(lambda: _served(host))
        assert "canary" not in "".join(agent.lines)


async def _published(agent: Agent, count: int) -> bool:
    return len(agent.events("document_published")) == count


async def show_the_bucket(aws: str, site: Path) -> None:
    """Be the CDN in front of the bucket, which itself lets nobody in."""
    (site / ".well-known").mkdir()
    async with s3_client(endpoint(aws)) as client:
        for path in (JWKS, DISCOVERY):
            answer = await client.get_object(Bucket="oidc-example-com", Key=f"site-a/{path}")
            assert (answer["CacheControl"], answer["ContentType"]) == ("public, max-age=300", "application/json")
            (site / path).write_bytes(await answer["Body"].read())


async def test_a_profile_that_is_not_there_keeps_nobody_from_starting_and_is_told(tmp_path: Path, aws: str) -> None:
    publishing = f'to = "s3"\nbucket = "oidc-example-com"\nregion = "{REGION}"\nendpoint_url = "{aws}"\n'
    publishing += 'credentials = "profile:nobody"'
    async with sandboxed(tmp_path, publishing=publishing) as (host, _), agent_on(host) as agent:
        await agent.ready()
        await until(lambda: _stuck(agent, "publishing"))
        [told] = [one for one in agent.events("rotation_stuck") if one["step"] == "publishing"]
        assert "profile nobody" in told["error"]
        assert told["hint"]
        assert (await fetch(host))[0] == 503


async def _stuck(agent: Agent, step: str) -> bool:
    return any(one["step"] == step for one in agent.events("rotation_stuck"))
