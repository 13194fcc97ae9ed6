"""Vault as its API's documentation describes it, as far as a signer speaks to it, and wrong in whatever way is told.

For what no real server does on demand. What a real one can do is tried on one: see tests/live/vault.
"""

import base64
import json
import ssl
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from agent.clock import SystemClock
from agent.errors import KeyUnavailable
from agent.keys import Kind, SigningKey
from agent.keys.halves import raw_signature
from agent.keys.vault_transit.access import Reader
from agent.keys.vault_transit.custodian import AppRole, Login, Place, TokenFile, VaultTransit
from agent.keys.vault_transit.versions import TYPES
from agent.secret import Secret
from tests.fakes.memory_key import pem
from tests.live.vault.running import BINARY, running_vault

#: What a signer asks.
SIGN = "POST transit/sign/rolecall"
READ = "GET transit/keys/rolecall"
LOOK_UP = "GET auth/token/lookup-self"
RENEW = "POST auth/token/renew-self"

TOKEN = "hvs.canary-token-of-a-fake"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def token(self) -> str | None:
        return self.headers.get("X-Vault-Token")


@dataclass(frozen=True)
class Told:
    """An answer: `body` is JSON, or bytes as they are."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


def refused(status: int, *errors: str) -> Told:
    return Told(status, {"errors": list(errors)})


@dataclass
class FakeVault:
    """One key, `rolecall`, in one version. `instead` replaces the answers to "METHOD path"."""

    kind: Kind = "ec-p256"
    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    instead: dict[str, Callable[[Asked], Told]] = field(default_factory=dict)
    #: What auth/token/lookup-self says of the token.
    ttl: int = 0
    renewable: bool = False
    #: The tokens that are taken.
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    #: Logins so far; the n-th gives "hvs.login-n".
    logins: int = 0

    def paths(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def say(self, question: str, told: Told) -> None:
        """Answer so from now on."""
        self.instead[question] = lambda _: told

    def answer(self, asked: Asked) -> Told:
        self.asked.append(asked)
        question = f"{asked.method} {asked.path}"
        if question in self.instead:
            return self.instead[question](asked)
        if asked.path.endswith("/login"):
            self.logins += 1
            self.tokens = {f"hvs.login-{self.logins}"}
            return Told(200, {"auth": self._auth(f"hvs.login-{self.logins}")})
        if asked.token not in self.tokens:
            return refused(403, "permission denied", "invalid token")
        return self._answer(question, asked)

    def _answer(self, question: str, asked: Asked) -> Told:
        """What is told to those who show a token that is good."""
        match question:
            case "GET auth/token/lookup-self":
                return Told(200, {"data": {"id": asked.token, "ttl": self.ttl, "renewable": self.renewable}})
            case "POST auth/token/renew-self":
                return Told(200, {"auth": self._auth(str(asked.token))})
            case "GET transit/keys/rolecall":
                return Told(200, {"data": self.key()})
            case "POST transit/sign/rolecall":
                return Told(200, {"data": {"signature": f"vault:v1:{self.sign(asked.body)}", "key_version": 1}})
        return refused(404)

    def key(self, **changed: object) -> dict[str, object]:
        public = self._private().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        told = {"type": TYPES[self.kind], "derived": False, "latest_version": 1, "min_available_version": 0}
        versions = {"min_decryption_version": 1, "min_encryption_version": 0, "keys": {"1": {"public_key": public}}}
        return {**told, **versions, **changed}

    def sign(self, body: Mapping[str, str]) -> str:
        message, private = base64.b64decode(body["input"]), self._private()
        if isinstance(private, rsa.RSAPrivateKey):
            assert body["signature_algorithm"] == "pkcs1v15"
            return base64.b64encode(private.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
        assert body["marshaling_algorithm"] == "jws"
        raw = raw_signature(private.sign(message, ec.ECDSA(hashes.SHA256())), "ES256")
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    def _private(self) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
        private = load_pem_private_key(pem(self.kind), None)
        assert isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        return private

    def _auth(self, token: str) -> dict[str, object]:
        return {"client_token": token, "lease_duration": self.ttl, "renewable": self.renewable}


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of those who hang up: some do so because of what they are told."""


@contextmanager
def fake_vault(kind: Kind = "ec-p256", tls: ssl.SSLContext | None = None) -> Iterator[FakeVault]:
    """Serve on an ephemeral port while the context lasts, over TLS if told how."""
    fake = FakeVault(kind)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.removeprefix("/v1/")
            told = fake.answer(Asked(self.command, path, dict(self.headers), json.loads(body or b"{}")))
            raw = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
            self.send_response(told.status)
            for name, value in {"Content-Type": "application/json", **told.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = _serve  # noqa: N815 - named so by the library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by the library
            pass

    with _Quiet(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        fake.address = f"{scheme}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def opened(kind: Kind) -> AsyncIterator[SigningKey]:
    """A signing key in a real Vault where there is one to be had, else in the fake (rsa-2048 and ec-p256 alone)."""
    if BINARY is None:
        with fake_vault(kind) as fake:
            yield await custodian(fake).open("rolecall:v1")
        return
    with running_vault() as vault:
        vault.initialise()
        transit = VaultTransit(Place(vault.address), TokenFile(holding(vault.root)), "rolecall", clock=SystemClock())
        yield await transit.open(await transit.make(kind))
        await transit.close()


def holding(secret: str) -> Reader:
    return lambda: Secret(secret)


A_TOKEN = TokenFile(holding(TOKEN))
AN_APP_ROLE = AppRole(holding("role-id-canary"), holding("secret-id-canary"))


def custodian(vault: FakeVault, login: Login = A_TOKEN, **settings: Any) -> VaultTransit:
    """One of the key in the fake, by the machine's own clock if nothing else is said."""
    arguments = {"clock": SystemClock(), **settings}
    return VaultTransit(Place(vault.address), login, "rolecall", **arguments)


async def unavailable(work: Awaitable[object]) -> KeyUnavailable:
    """What is said, which holds no secret however it is shown."""
    with pytest.raises(KeyUnavailable) as caught:
        await work
    assert caught.value.hint
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caught.value.hint
    assert "canary" not in shown
    assert "hvs." not in shown
    return caught.value
