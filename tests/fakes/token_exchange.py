"""The listener for AWS callers, over real TLS, with proofs and tokens that are made up."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.callers import Facts, Peer
from agent.callers.aws import SENTENCES, rejected
from agent.errors import AgentError
from agent.outputs.token import Wanted
from agent.outputs.token_exchange import Exchange, serving_tokens
from agent.sandbox.tls import new_authority, new_leaf
from agent.web import Answered
from agent.web.guests import Limits
from agent.web.problems import Refusal
from agent.web.sockets import Address
from agent.web.stats import RequestStats
from agent.web.tls import Files, ShownCertificate
from tests.fakes.certificates import DAY, authority, put
from tests.fakes.clock import START, FakeClock
from tests.fakes.report import Reported

WHO: Facts = frozenset({("aws.principal", "arn:aws:iam::123456789012:role/deploy"), ("aws.account", "123456789012")})
BODY = json.dumps({"token": "a.b.c"}).encode()


@dataclass
class Proof:
    """A proof that holds, and how often it was given back."""

    facts: Facts = WHO
    given_back: int = 0

    def give_back(self) -> None:
        self.given_back += 1


@dataclass
class Proofs:
    """Whoever shows what begins as `takes` is somebody; `go` holds back the verdict on "Proof slow"."""

    proof: Proof = field(default_factory=Proof)
    error: Exception | None = None
    seen: list[tuple[bytes | None, str]] = field(default_factory=list)
    takes: bytes = b"Proof good"
    go: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def prove(self, presented: bytes | None, address: str) -> Proof:
        self.seen.append((presented, address))
        if self.error is not None:
            raise self.error
        if presented == b"Proof slow":
            self.waiting += 1
            try:
                await self.go.wait()
            finally:
                self.waiting -= 1
        elif presented is None or not presented.startswith(self.takes):
            raise rejected("a secret reason", "refused" if presented else "missing")
        return self.proof


def certify(home: Path) -> None:
    """Put a certificate for localhost there, its key, and the authority to trust."""
    authority = new_authority("an authority of the tests")
    leaf = new_leaf(authority, ["localhost", "127.0.0.1"])
    (home / "ca.pem").write_bytes(authority.pem)
    (home / "fullchain.pem").write_bytes(leaf.certificate.public_bytes(Encoding.PEM))
    key = home / "privkey.pem"
    key.touch(mode=0o600)
    key.write_bytes(leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


class Desk:
    """What lies behind the listener."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.proofs = Proofs()
        self.stats = RequestStats()
        self.bugs: list[BaseException] = []
        self.told = Reported()
        self.wanted: list[tuple[Peer, Wanted]] = []
        self.refusal: AgentError | Refusal | None = None
        put(folder, authority().issue("oidc.example.com", since=START - 999 * DAY, until=START + 999 * DAY))

    async def give(self, peer: Peer, wanted: Wanted) -> Answered:
        self.wanted.append((peer, wanted))
        if self.refusal is not None:
            raise self.refusal
        return Answered("", BODY)

    @asynccontextmanager
    async def listening(
        self, limits: Limits | None = None, where: Address = ("127.0.0.1", 0)
    ) -> AsyncIterator[Address]:
        exchange = Exchange(
            proofs=self.proofs,
            give=self.give,
            sentences=lambda reason: SENTENCES[reason],
            clock=self.clock,
            stats=self.stats,
            on_bug=self.bugs.append,
            report=self.told,
        )
        files = Files(self.folder / "fullchain.pem", self.folder / "privkey.pem")
        shown = ShownCertificate(files, self.clock, self.told)
        async with serving_tokens(exchange, where, shown, limits or Limits()) as address:
            yield address
