"""A certified OpenID provider as a process of its own, seen at https://login.example.com through a proxy."""

import asyncio
import hashlib
import json
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import RSAAlgorithm

from tests.fakes.certificate import certificate

FOLDER = Path(__file__).parent / "oidc_provider"
ISSUER = "https://login.example.com"
MUTUAL = "https://mtls.example.com"
RESOURCE = "https://sts.amazonaws.com"
AUDIENCE = "sts.amazonaws.com"


def needs_provider() -> None:
    """Skip where node or the package is missing."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (FOLDER / "node_modules" / "oidc-provider").exists():
        pytest.skip("the OpenID provider is not installed: cd tests/live/oidc_provider && npm ci")


@dataclass(frozen=True, slots=True)
class Judge:
    """Where it is: `url` for who knows its port, `proxy` for who asks for its name; `ca` is to be trusted."""

    url: str
    proxy: str
    ca: Path
    thumbprint: str


def client(name: str, method: str, **more: Any) -> dict[str, Any]:
    """A client as it is registered."""
    return {"client_id": name, "token_endpoint_auth_method": method, **more}


@asynccontextmanager
async def openid_provider(
    folder: Path,
    clients: Sequence[dict[str, Any]],
    *,
    authorities: Sequence[Path] = (),
    without: Sequence[str] = (),
    lifetime: int = 3600,
    sites: dict[str, str] | None = None,
) -> AsyncIterator[Judge]:
    """Run it until the end of the context; `sites` says where the clients' key sets really are, by origin."""
    needs_provider()
    ca, _ = certificate(folder, "login.example.com", "mtls.example.com")
    signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = {**RSAAlgorithm.to_jwk(signing, as_dict=True), "use": "sig", "alg": "RS256", "kid": "provider-1"}
    plan = {
        "issuer": ISSUER,
        "mutual": MUTUAL,
        "clients": list(clients),
        "jwks": {"keys": [{name: value for name, value in jwk.items() if name != "key_ops"}]},
        "without": list(without),
        "lifetime": lifetime,
        "certificate": str(ca),
        "key": str(folder / "server.pem"),
        "authorities": [str(path) for path in authorities],
        "sites": sites or {},
    }
    process = await asyncio.create_subprocess_exec(
        "node",
        "provider.mjs",
        cwd=FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=sys.stderr,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(plan).encode() + b"\n")
        port = int(await asyncio.wait_for(process.stdout.readline(), 30))
        async with tunnel(port) as proxy:
            der = load_pem_x509_certificate(ca.read_bytes()).public_bytes(Encoding.DER)
            yield Judge(f"https://127.0.0.1:{port}", proxy, ca, hashlib.sha1(der, usedforsecurity=False).hexdigest())
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def tunnel(port: int) -> AsyncIterator[str]:
    """A proxy that leads to this port, whatever host it is asked for: its URL."""
    calls: set[asyncio.Task[None] | None] = set()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
        for one in (writer, back):
            one.transport.abort()

    async with await asyncio.start_server(lead, "127.0.0.1", 0) as server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
        server.close()
        for call in filter(None, calls):
            call.cancel()
        await asyncio.gather(*filter(None, calls), return_exceptions=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()


def client_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate of a client and its key, in a folder of their own."""
    (folder / name).mkdir()
    path, _ = certificate(folder / name)
    key = folder / name / "key.pem"
    key.touch(mode=0o600)
    text = (folder / name / "server.pem").read_text()
    key.write_text(text[text.index("-----BEGIN PRIVATE KEY") :])
    return path, key
