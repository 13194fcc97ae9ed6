"""AWS as it is seen through a proxy: every host that is asked for is played by one server on this machine."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.certificate import certificate
from tests.fakes.sts_server import Reply, Request, StsServer, http, members

REGION = "eu-central-1"
HOSTS = (f"kms.{REGION}.amazonaws.com", f"*.s3.{REGION}.amazonaws.com", f"sts.{REGION}.amazonaws.com")
SSO_HOSTS = (f"portal.sso.{REGION}.amazonaws.com", f"oidc.{REGION}.amazonaws.com")
ASSUMED = "ASIAASSUMEDASSUMED12"
SIGNED_IN = "ASIASIGNEDINSIGNED12"


@dataclass(frozen=True, slots=True)
class Aws:
    """Where the proxy is, the CA to trust, and what AWS was asked."""

    proxy: str
    ca: Path
    server: StsServer

    def asked(self, service: str) -> list[Request]:
        """The requests to a service, in order."""
        return [request for request in self.server.requests if request.headers["host"].startswith(service)]

    def signers(self, service: str) -> list[str]:
        """The access key ids that those requests were signed with."""
        return [signer(request) for request in self.asked(service)]


def signer(request: Request) -> str:
    """The access key id that a request was signed with."""
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def _answer(request: Request) -> Reply:
    host = request.headers["host"]
    if host.startswith("sts."):
        body = members(AccessKeyId=ASSUMED, Expiration="2099-01-01T00:00:00Z")
        return http(body.replace("AssumeRoleWithWebIdentity", request.form["Action"]))
    if host.startswith("portal.sso."):
        role = {"accessKeyId": SIGNED_IN, "secretAccessKey": "s", "sessionToken": "t", "expiration": 4070908800000}
        return http(json.dumps({"roleCredentials": role}), content_type="application/json")
    return http("" if ".s3." in host else "{}", content_type="application/json")


@asynccontextmanager
async def aws_behind_proxy(folder: Path) -> AsyncIterator[Aws]:
    """Serve until the end of the context."""
    ca, tls = certificate(folder, *HOSTS, *SSO_HOSTS)
    async with StsServer([_answer], tls=tls) as server:
        tunnels = await asyncio.start_server(lambda r, w: _tunnel(r, w, server.port), "127.0.0.1", 0)
        async with tunnels:
            port = tunnels.sockets[0].getsockname()[1]
            yield Aws(f"http://127.0.0.1:{port}", ca, server)


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        pass  # one side has gone, or the test is over; Python 3.11's streams would log that as an error
    finally:
        writer.close()
        back.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
