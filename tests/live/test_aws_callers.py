"""Does a workload inside AWS get a token from a whole agent, by the command and by plain code, and nobody else?"""

import asyncio
import base64
import json
import re
import shutil
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from agent.clients.signed import kms_client
from agent.sandbox.faults import Fault
from tests.fakes.moto import REGION, endpoint, moto
from tests.live.aws_callers import AUDIENCE, GRANTS, ROLE, TokenServer, presigned_with, token_server
from tests.live.host import fetch, run_to_end

pytestmark = pytest.mark.long

ORGANIZATION = (
    GRANTS
    + """
[[grants]]
aws_organization = "o-a1b2c3d4e5"
audiences = ["https://org.example.com"]
claims = { organization = "${AWS_ORGANIZATION}", session = "${AWS_PRINCIPAL}" }
"""
)


async def test_a_workload_gets_tokens_by_the_command(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        code, out, err = await server.exchange()
        assert (code, err) == (0, "")
        claims = server.verified(out.strip())
        assert claims["sub"] == claims["aws_principal"] == ROLE
        assert claims["aws_account"] == "123456789012"
        assert "aws_organization" not in claims
        assert claims["scope"] == "read write"
        code, out, err = await server.exchange("--json", "--scope", "read", "--proof", "web-identity")
        assert (code, err) == (0, "")
        document = json.loads(out)
        assert document["audience"] == AUDIENCE
        claims = server.verified(document["token"])
        assert claims["scope"] == "read"
        assert claims["aws_organization"] == "o-a1b2c3d4e5"
        assert claims["sub"] == ROLE


async def test_who_is_granted_nothing_or_proves_nothing_gets_nothing_and_is_told_what_to_do(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        code, out, err = await server.exchange("--audience", "https://other.example.com")
        assert (code, out) == (1, "")
        assert "not granted" in err
        code, out, err = await server.exchange("--server-id", "https://other.example.com")
        assert (code, out) == (1, "")
        assert "--server-id" in err
        code, out, err = await server.exchange("--server-id", "https://other.example.com", "--proof", "web-identity")
        assert (code, out) == (1, "")
        assert "not bound to this server" in err
        code, out, err = await server.exchange(
            environ={"AWS_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true"}
        )
        assert (code, out) == (1, "")
        assert "no AWS credentials" in err
        code, out, err = await server.exchange(environ=await server.workload() | {"AWS_REGION": "eu-west-1"})
        assert (code, out) == (1, "")
        assert "endpoint that is not asked here" in err
        assert ROLE not in err


def blocks(language: str) -> list[str]:
    """The pieces of code of that language in the page that tells how it is done."""
    page = (Path(__file__).parents[2] / "docs" / "aws-callers.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


async def test_the_ten_lines_of_python_on_the_page_do_the_same(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        (code,) = blocks("python")
        assert "https://tokens.example.com:8443" in code
        script = code.replace("https://tokens.example.com:8443", server.url)
        around = server.host.environment() | await server.workload() | {"SSL_CERT_FILE": str(server.ca)}
        status, out, err = await run_to_end([sys.executable, "-c", script], around)
        assert (status, err) == (0, "")
        assert server.verified(out.strip())["aws_principal"] == ROLE


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_the_shell_on_the_page_does_the_same(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        (code,) = blocks("sh")
        script = code.replace("https://tokens.example.com:8443", server.url)
        # Where the AWS CLI is not at hand, boto3 stands in for that one command of it.
        given = (
            "import boto3, sys; print(boto3.client('sts').get_web_identity_token(Audience=[sys.argv[4]], "
            "SigningAlgorithm='RS256', DurationSeconds=60)['WebIdentityToken'])"
        )
        stand_in = tmp_path / "bin" / "aws"
        stand_in.parent.mkdir()
        stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{given}" "$@"\n')
        stand_in.chmod(0o755)
        around = server.host.environment() | await server.workload() | {"CURL_CA_BUNDLE": str(server.ca)}
        around["PATH"] = f"{stand_in.parent}:{around['PATH']}"
        status, out, err = await run_to_end(["/bin/sh", "-ec", script], around)
        assert (status, err) == (0, "")
        document = json.loads(out)
        assert {*document} == {"token", "token_type", "expires_at", "audience", "scope"}
        assert server.verified(document["token"])["aws_organization"] == "o-a1b2c3d4e5"


async def test_grants_to_an_organization_hold_for_whoever_shows_that_he_is_of_it(tmp_path: Path) -> None:
    async with token_server(tmp_path, grants=ORGANIZATION) as server:
        asked = ("--audience", "https://org.example.com")
        code, _, err = await server.exchange(*asked)
        assert code == 1
        assert "not granted" in err
        code, out, err = await server.exchange(*asked, "--proof", "web-identity")
        assert (code, err) == (0, "")
        claims = server.verified(out.strip(), "https://org.example.com")
        assert claims["organization"] == claims["aws_organization"] == "o-a1b2c3d4e5"


async def test_what_is_granted_to_callers_inside_aws_holds_nowhere_else(tmp_path: Path) -> None:
    both = GRANTS + '[[grants]]\nanyone = true\naudiences = ["https://local.example.com"]\n'
    async with token_server(tmp_path, grants=both) as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.host.url}/v1/token?aud={AUDIENCE}") as answer:
            assert answer.status in {401, 403}
        async with session.get(f"{server.host.url}/v1/token?aud=https://local.example.com") as answer:
            assert answer.status == 200
        code, _, err = await server.exchange("--audience", "https://local.example.com")
        assert (code, "not granted" in err) == (1, True)


async def ask(server: TokenServer, proof: str, whence: str = "127.0.0.1") -> tuple[int, dict[str, Any]]:
    """One request with a proof, from an address."""
    connector = aiohttp.TCPConnector(
        ssl=ssl.create_default_context(cafile=server.ca), local_addr=(whence, 0), force_close=True
    )
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"{server.url}/token?aud={AUDIENCE}", headers={"Authorization": proof}) as answer,
    ):
        return answer.status, await answer.json()


async def proof_of(server: TokenServer, **changes: Any) -> str:
    """What a workload shows, made in this process."""
    given = await server.workload()
    return await asyncio.to_thread(presigned_with, given, server.url, **changes)


async def test_a_proof_that_somebody_else_has_seen_is_worth_nothing_to_him(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        proof = await proof_of(server)
        assert (await ask(server, proof))[0] == 200
        for whence in ("127.0.0.1", "127.0.0.2"):
            status, said = await ask(server, proof, whence)
            assert (status, said["code"]) == (401, "ProofRejected")
        seen = [call for call in server.sandbox.requests if call.action == "GetCallerIdentity"]
        assert len(seen) == 1
        denied = server.agent.events("token_refused")
        assert denied
        log = "".join(server.agent.lines)
        assert proof.split()[1] not in log
        assert "X-Amz-Signature" not in log


#: What a true signer may have signed for somebody else, and what he is told here.
FOR_OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"header": "X-K8s-Aws-Id"}, "not bound to this server"),
    ({"header": None}, "not bound to this server"),
    ({"server_id": "https://other.example.com"}, "does not hold"),
    ({"method": "POST"}, "does not hold"),
    ({"endpoint": "https://sts.eu-central-1.amazonaws.com.example.com"}, "endpoint that is not asked"),
    ({"endpoint": "https://[::1]"}, "endpoint that is not asked"),
    ({"action": "get_session_token"}, "another request"),
    ({"expires": 3600}, "another request"),
]


async def test_what_a_true_signer_signs_for_another_purpose_is_no_proof(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        for changes, sentence in FOR_OTHERS:
            status, said = await ask(server, await proof_of(server, **changes))
            assert (status, said["code"]) == (401, "ProofRejected"), changes
            assert sentence in said["message"], changes
        assert (await ask(server, await proof_of(server)))[0] == 200


async def test_when_aws_is_away_a_proof_keeps_its_worth(tmp_path: Path) -> None:
    async with token_server(tmp_path) as server:
        proof = await proof_of(server)
        server.sandbox.faults.add(Fault("throttled", times=1))
        status, said = await ask(server, proof)
        assert (status, said["code"]) == (503, "ProofUnchecked")
        assert (await ask(server, proof))[0] == 200


async def test_a_workload_whose_clock_is_wrong_is_told_so(tmp_path: Path) -> None:
    """By the time that AWS goes by, as it told the agent; whoever signs goes by his own."""
    async with token_server(tmp_path) as server:
        given = await server.workload()
        server.sandbox.faults.add(Fault("clock", seconds=3600))
        async with aiohttp.ClientSession() as session:
            await session.get(f"{server.host.admin}/livez")
        code, _, err = await server.exchange(environ=given)
        assert code == 1
        assert "clocks" in err


@pytest.mark.long
async def test_a_flood_of_forged_proofs_hurts_neither_other_addresses_nor_those_who_fetch_credentials(
    tmp_path: Path,
) -> None:
    async with token_server(tmp_path) as server:
        genuine = [await proof_of(server) for _ in range(3)]
        encoded, _, nonce = genuine[0].removeprefix("AWS-Presigned ").partition(".")
        url = base64.urlsafe_b64decode(encoded + "==").decode()
        begun = len(server.sandbox.requests)

        async def flood() -> None:
            trust = ssl.create_default_context(cafile=server.ca)
            connector = aiohttp.TCPConnector(ssl=trust, limit=50)
            async with aiohttp.ClientSession(connector=connector) as session:

                async def one(number: int) -> int:
                    forged = re.sub("X-Amz-Signature=[0-9a-f]{64}", f"X-Amz-Signature={number:064x}", url)
                    proof = base64.urlsafe_b64encode(forged.encode()).rstrip(b"=").decode()
                    headers = {"Authorization": f"AWS-Presigned {proof}.{nonce}"}
                    async with session.get(f"{server.url}/token?aud={AUDIENCE}", headers=headers) as answer:
                        return answer.status

                await asyncio.gather(*(one(number) for number in range(400)), return_exceptions=True)

        flooding = asyncio.ensure_future(flood())
        for proof in genuine:
            await asyncio.sleep(0.3)
            async with asyncio.timeout(20):  # they are answered while it lasts
                assert (await fetch(server.host))[0] == 200
                assert (await ask(server, proof, "127.0.0.2"))[0] == 200
        await flooding
        asked = [call for call in server.sandbox.requests[begun:] if call.action == "GetCallerIdentity"]
        assert len(asked) < 100
        assert not server.agent.events("bug")


@pytest.mark.long
async def test_with_its_key_in_kms_nothing_of_it_is_on_the_machine_and_it_can_be_replaced(tmp_path: Path) -> None:
    """The whole of what else is a function with a role and a key of its own."""
    with moto() as url:
        async with kms_client(endpoint(url)) as client:
            first = await client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")
            await client.create_alias(AliasName="alias/rolecall", TargetKeyId=first["KeyMetadata"]["KeyId"])
        profile = tmp_path / "credentials"
        profile.write_text("[kms]\naws_access_key_id = AKIAEXAMPLEEXAMPLE12\naws_secret_access_key = canary\n")
        profile.chmod(0o600)
        key = (
            f'custodian = "aws_kms"\nkey_id = "alias/rolecall"\nregion = "{REGION}"\nendpoint_url = "{url}"\n'
            'credentials = "profile:kms"\nmake_keys = true'
        )
        around = {"AWS_SHARED_CREDENTIALS_FILE": str(profile)}
        rotation = f'[rotation]\nstate = "{tmp_path}/keys"'
        async with token_server(tmp_path, key=key, rotation=rotation, environ=around) as server:
            code, out, err = await server.exchange()
            assert (code, err) == (0, "")
            before = jwt.get_unverified_header(out.strip())
            assert before["alg"] == "RS256"
            assert server.verified(out.strip())["aws_principal"] == ROLE
            assert not [*(tmp_path / "keys").glob("*.pem")]
            for words in ((), ("--emergency", "--yes")):  # the first only announces one
                rotated = await server.host.rolecall("keys", "rotate", *words, "-c", str(server.host.config), **around)
                assert rotated[0] == 0, rotated
            async with asyncio.timeout(40):
                while jwt.get_unverified_header(out.strip())["kid"] == before["kid"]:
                    code, out, err = await server.exchange()
                    assert (code, err) == (0, "")
            assert server.verified(out.strip())["aws_principal"] == ROLE


async def test_a_flood_of_connections_from_one_address_keeps_nobody_else_out(tmp_path: Path) -> None:
    """They only begin a handshake, or talk nonsense, and come again and again."""
    async with token_server(tmp_path) as server:
        proofs = [await proof_of(server) for _ in range(3)]
        over = asyncio.Event()

        async def nuisance(opening: bytes) -> None:
            while not over.is_set():
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    writer.write(opening)
                    await asyncio.sleep(0.05)
                    writer.transport.abort()

        crowd = [
            asyncio.ensure_future(nuisance(opening))
            for opening in (
                b"\x16\x03\x01",
                b"GET /token HTTP/1.1\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00" + bytes(512),
            )
            for _ in range(40)
        ]
        await asyncio.sleep(0.5)
        for proof in proofs:
            async with asyncio.timeout(20):  # they are answered while it lasts
                assert (await fetch(server.host))[0] == 200
                assert (await ask(server, proof, "127.0.0.2"))[0] == 200
        over.set()
        await asyncio.gather(*crowd)
        assert not server.agent.events("bug")
        served = server.agent.events("token_served")
        assert {one["audience"] for one in served} == {AUDIENCE}
        assert all(ROLE in one["caller"] for one in served)
