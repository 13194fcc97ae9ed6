"""Everything is run and every error provoked, with secrets that are known: does a piece of one come out anywhere?"""

import asyncio
import logging
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import get_args

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from agent.assembly.daemon import assemble
from agent.clients.aws import StsEndpoint, sts_client
from agent.clients.systemd import ServiceManager
from agent.clock import RemoteClock, SystemClock
from agent.credentials.sts import AwsSts, Role, StsWebIdentity
from agent.errors import CredentialsUnavailable
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.discovery import published
from agent.sandbox import Fault, Sandbox
from agent.sandbox.faults import Garbage
from agent.sandbox.practice import practice_world
from agent.service import run
from agent.settings import load
from agent.tokens.self_signed import Identity, SelfSigned
from tests.fakes.memory_key import MemoryKey
from tests.live.canaries import PIECE, Canaries
from tests.live.host import ISSUER, ROLECALL, TOKEN, Agent, Host, agent_on, fetch, sandboxed

pytestmark = pytest.mark.long

ARN = "arn:aws:iam::123456789012:role/demo"
PASSPHRASE = "canary-passphrase-Vq3hZ8mWn2"
WRONG_TOKEN = "canary-of-a-stranger-Tt5kB1xJe7"
OTHER_TOKEN = "canary-of-a-caller-Yy4pD9gRs6"

#: Every role meets a fault of its own at first.
FAULTS = {
    "slow": Fault("slow", seconds=0.3),
    "status503": Fault("status", status=503),
    "status500": Fault("status", status=500),
    "status400": Fault("status", status=400),
    "throttled": Fault("throttled"),
    "drop": Fault("drop"),
    "idp": Fault("idp_communication"),
    "verification": Fault("verification_key"),
    "lifetime": Fault("lifetime", seconds=30),
    **{f"garbage_{sort}": Fault("garbage", garbage=sort) for sort in get_args(Garbage)},
}
ROLES = ("backup", "forgotten", *FAULTS)


@dataclass
class Scene:
    """A furnished host whose every secret is known, and all that it has said."""

    host: Host
    sandbox: Sandbox
    canaries: Canaries
    told: list[str] = field(default_factory=list)

    async def does(self, *words: str, secret: bool = False, given: str = "", **environ: str) -> str:
        """Run a command and keep what it says; `secret` if a secret is what it is asked for."""
        process = await asyncio.create_subprocess_exec(
            *ROLECALL,
            *words,
            "-c",
            str(self.host.config),
            env=self.host.environment() | environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(given.encode())
        self.told += [err.decode()] if secret else [out.decode(), err.decode()]
        return out.decode()

    async def asks(self, url: str, method: str = "GET", **headers: str) -> int:
        """Make a request and keep what is answered, unless it is a 200 of the credentials listener."""
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
            if answer.status != 200 or url.startswith(self.host.admin):
                self.told += [str(answer.headers), await answer.text()]
            return answer.status

    async def says(self, sent: bytes) -> None:
        """Send bytes that are no request, and keep what is answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.host.ports[0])
        writer.write(sent)
        self.told.append((await asyncio.wait_for(reader.read(), 10)).decode("latin-1"))
        writer.close()


def encrypt_key(host: Host, canaries: Canaries) -> None:
    """Protect the host's key with the passphrase; both become canaries, and so does what the key was before."""
    [path] = (host.home / "keys").iterdir()
    private = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(private, EllipticCurvePrivateKey)
    encrypted = private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())
    ).decode()
    canaries.secrets.add(private.private_numbers().private_value.to_bytes(32))
    canaries.secrets |= {line for line in encrypted.splitlines() if len(line) >= PIECE and "-----" not in line}
    path.write_text(encrypted)
    passphrase = host.home / "passphrase"
    passphrase.write_text(PASSPHRASE + "\n")
    passphrase.chmod(0o600)
    text = host.config.read_text()
    host.config.write_text(text.replace("[publishing]", f'passphrase_file = "{passphrase}"\n[publishing]'))


@asynccontextmanager
async def scene_at(home: Path, roles: Sequence[str] = ROLES) -> AsyncIterator[Scene]:
    canaries = Canaries()
    canaries.secrets |= {PASSPHRASE, TOKEN, WRONG_TOKEN, OTHER_TOKEN}
    async with (
        sandboxed(home, roles) as (host, sandbox),
        canaries.overhearing(host.endpoint) as relay,
    ):
        host.config.write_text(host.config.read_text().replace(host.endpoint, relay))
        encrypt_key(host, canaries)
        sandbox.world = type(sandbox.world)(
            account_id="123456789012",
            providers=sandbox.world.providers,
            roles=tuple(role for role in sandbox.world.roles if role.name != "forgotten"),
        )
        yield Scene(host, sandbox, canaries)


async def provoke_http(scene: Scene) -> None:
    """Be every wrong caller there is."""
    url = f"{scene.host.url}/v1/credentials"
    for token in (WRONG_TOKEN, f"Bearer {TOKEN}", TOKEN[:-1], f"{TOKEN} {TOKEN}", "é" * 20):
        assert await scene.asks(f"{url}/backup", Authorization=token) == 401
    asked = [
        (url, "GET", {}),
        (f"{url}/unknown", "GET", {}),
        (f"{url}/forgotten", "GET", {}),
        (f"{url}/backup", "POST", {}),
        (f"{url}/backup", "GET", {"Host": "evil.example.com"}),
        (f"{url}/backup", "GET", {"Origin": "https://evil.example.com"}),
        (f"{url}/{TOKEN}", "GET", {}),
        (f"{scene.host.url}/?token={TOKEN}", "GET", {}),
        (f"{scene.host.url}/v1/token?aud=x", "GET", {}),
    ]
    for where, method, headers in asked:
        assert await scene.asks(where, method, Authorization=TOKEN, **headers) >= 400
    head = f"GET /v1/credentials/backup HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {TOKEN}\r\n".encode()
    for sent in (
        head.replace(b"HTTP/1.1", b"HTTP/7.7") + b"\r\n",
        head + b"Content-Length: nonsense\r\n\r\n",
        head + b"X: " + TOKEN.encode() * 1000 + b"\r\n\r\n",
        head.replace(b"Host: 127.0.0.1", b"Host : \0") + b"\r\n",
        TOKEN.encode() + b"\r\n\r\n",
    ):
        await scene.says(sent)


async def look_everywhere(scene: Scene) -> None:
    """Read all that the admin listener shows."""
    for path in (
        "/",
        "/status.json",
        "/metrics",
        "/livez",
        "/readyz",
        "/readyz/backup",
        "/readyz/unknown",
        f"/{TOKEN}",
    ):
        await scene.asks(scene.host.admin + path, Authorization=TOKEN)
    await scene.asks(f"{scene.host.admin}/metrics", Accept="application/openmetrics-text; version=1.0.0")


#: What stands in token files that are no good, beside the good one.
SPOILT = {
    "two-words": f"{OTHER_TOKEN}\n{TOKEN} {TOKEN}\n",
    "not-ascii": f"{OTHER_TOKEN}\0\xff",
    "empty": "",
    "exposed": OTHER_TOKEN,
}


def spoil_files(host: Host) -> None:
    """Let the agent have token files of which each is no good in a way of its own."""
    folder = host.home / "spoilt"
    folder.mkdir()
    with host.config.open("a") as config:
        for name, content in SPOILT.items():
            (folder / name).write_text(content)
            (folder / name).chmod(0o644 if name == "exposed" else 0o600)
            config.write(f'[[grants]]\nroles = ["backup"]\ntoken_file = "{folder / name}"\n')


async def change_token(scene: Scene, agent: Agent) -> None:
    """Replace the callers' token with another; the old one is good for a while."""
    token = scene.host.home / "token"
    token.write_text(f"{OTHER_TOKEN}\n")
    agent.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(20):
        while not agent.events("caller_tokens_changed"):  # noqa: ASYNC110 - another process tells us nothing
            await asyncio.sleep(0.05)


async def say_every_verb(scene: Scene) -> None:
    """Run each command, as it is meant and as it is not."""
    home, jwt = scene.host.home, (await scene.does("token", "mint", secret=True)).strip()
    scene.canaries.secrets.add(jwt)
    show = "import os, sys; sys.stderr.write(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'])"
    await asyncio.gather(
        scene.does("check"),
        scene.does("status"),
        scene.does("status", "--json"),
        scene.does("wait", "forgotten", "--timeout", "1s"),
        scene.does("env", "backup", secret=True),
        scene.does("env", "backup", "--format", "docker", secret=True),
    )
    await asyncio.gather(
        scene.does("keys", "list"),
        scene.does("keys", "show"),
        scene.does("keys", "new"),
        scene.does("publish"),
        scene.does("credentials", "backup", secret=True),
        scene.does("credentials", "forgotten", "--timeout", "1s"),
    )
    await asyncio.gather(
        scene.does("token", "show", given=jwt[:-1] + "!"),
        scene.does("token", "show", given=jwt),
        scene.does("token", "verify", "--jwks", f"{home}/site/keys.json", given=jwt[:-9] + "AAAAAAAAA"),
        scene.does("token", "mint", "--lifetime", "9h"),
        scene.does("run"),  # a second one
    )
    process = await asyncio.create_subprocess_exec(
        *ROLECALL, "exec", "backup", "-c", str(scene.host.config), "--", sys.executable, "-c", show,
        env=scene.host.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    scene.told += [out.decode(), err.decode()]
    assert scene.host.url in err.decode()
    (home / "passphrase").write_text(PASSPHRASE + "x\n")
    await asyncio.gather(scene.does("run"), scene.does("token", "mint"), scene.does("check"))
    (home / "passphrase").write_text(PASSPHRASE + "\n")


def ask_the_kernel(scene: Scene, pid: int) -> None:
    """See what others could see of the process, and that its memory is not theirs to see."""
    proc = Path(f"/proc/{pid}")
    scene.told += [(proc / name).read_bytes().decode("latin-1") for name in ("environ", "cmdline", "status")]
    [core] = [line for line in (proc / "limits").read_text().splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]
    # The files of a process that may not be dumped belong to root (proc(5)), whoever it runs as.
    assert (proc / "mem").stat().st_uid == 0


async def fetched(host: Host, role: str) -> int:
    """The status, when who has provoked so much is heard again: that takes two seconds at most."""
    for _ in range(50):
        status, document, _ = await fetch(host, role)
        if document.get("code") != "TooManyRequests":
            break
        await asyncio.sleep(0.1)
    return status


async def test_no_piece_of_a_secret_comes_out_whatever_happens(tmp_path: Path) -> None:
    async with scene_at(tmp_path) as scene:
        for role, fault in FAULTS.items():
            meant = {name: getattr(fault, name) for name in ("seconds", "status", "garbage")}
            scene.sandbox.faults.add(
                Fault(fault.kind, **meant, role=f"arn:aws:iam::123456789012:role/{role}"),
            )
        spoil_files(scene.host)
        async with agent_on(scene.host) as agent:
            await agent.ready()
            failed = {fact["role"] for fact in agent.events("renewal_failed")}
            assert failed == {*FAULTS, "forgotten"} - {"slow"}
            ask_the_kernel(scene, agent.process.pid)
            await provoke_http(scene)
            await look_everywhere(scene)
            scene.sandbox.faults.replace([Fault("clock", seconds=-7200)])
            agent.process.send_signal(signal.SIGHUP)
            await say_every_verb(scene)
            scene.sandbox.faults.clear()
            await change_token(scene, agent)
            assert len(agent.events("caller_tokens_unreadable")) == len(SPOILT)
            for role in ("backup", "drop"):
                assert await fetched(scene.host, role) == 200
            await look_everywhere(scene)
            await agent.stop()
            scene.told += agent.lines
        written = [
            path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name not in {"keys", "spoilt"}
        ]
        scene.told += [path.read_text() for path in written if path.name not in {"token", "passphrase"}]
    told = "\n".join(scene.told)
    for provoked in (
        "renewal_failed",
        "caller_tokens_unreadable",
        "clock_off",
        "credentials_refused",
        "wrong passphrase",
    ):
        assert provoked in told
    tokens = [secret for secret in scene.canaries.secrets if isinstance(secret, str) and secret.startswith("eyJ")]
    assert len(tokens) > len(FAULTS)
    assert len(scene.canaries.secrets) > 2 * len(FAULTS)
    assert scene.canaries.found(["overheard: " + tokens[0][100:130]])  # the search itself can find
    assert scene.canaries.found(scene.told) == []


class Failing(random.Random):
    """Chance that runs out: a bug in the middle of a renewal, when credentials have just come."""

    draws = 0

    def random(self) -> float:
        self.draws += 1
        return 1 / (2 - self.draws)  # the first is for when to begin


def everything_told(error: BaseException) -> str:
    """What a crash reporter takes: the traceback with every local variable, causes and contexts included."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


async def test_a_crash_reporter_that_takes_every_local_variable_gets_no_secret(tmp_path: Path) -> None:
    async with scene_at(tmp_path, roles=("backup",)) as scene:
        settings = load(scene.host.config, environ={}, host=socket.gethostname())
        clock = SystemClock()
        service = await assemble(
            settings,
            clock=clock,
            chance=Failing(),
            logger=logging.getLogger("of-a-test"),
            manager=ServiceManager({}, os.getpid()),
            credentials_directory=None,
        )
        with pytest.raises(ExceptionGroup) as crash:
            await run(
                service,
                until=asyncio.Event().wait,
                ready=lambda _: None,
                stopping=lambda: None,
                clock=clock,
            )
        told = everything_told(crash.value)
    assert "ZeroDivisionError" in told
    assert "fresh = Credentials(" in told  # it happened with credentials in hand
    assert [secret for secret in scene.canaries.secrets if str(secret).startswith("eyJ")]
    assert scene.canaries.found([told, str(crash.value), repr(settings)]) == []


@pytest.mark.parametrize("garbage", ["expired", "missing_members", "truncated"])
async def test_the_error_about_an_unusable_answer_does_not_hold_the_answer(tmp_path: Path, garbage: Garbage) -> None:
    key = MemoryKey()
    site = tmp_path / "site"
    await DirectoryPublisher(site, ISSUER, max_age=timedelta(minutes=5)).publish([published(key.public)], [])
    canaries = Canaries()
    clock = RemoteClock(SystemClock())
    async with (
        Sandbox(practice_world(ISSUER, ARN), sites={ISSUER: site}) as sandbox,
        canaries.overhearing(sandbox.endpoint_url) as relay,
        sts_client(StsEndpoint("eu-central-1", endpoint_url=relay)) as client,
    ):
        sandbox.faults.add(Fault("garbage", garbage=garbage))
        identity = Identity(ISSUER, "host:web-1", "sts.amazonaws.com", timedelta(minutes=5), roles=(ARN,))
        tokens = SelfSigned(lambda: key, identity, clock, token_id=lambda: "1", report=lambda _: None)
        role = Role(ARN, "host-1", timedelta(hours=1))
        with pytest.raises(CredentialsUnavailable) as caught:
            await StsWebIdentity(
                AwsSts(client), role, tokens, clock, lambda _: None, patience=timedelta(seconds=20)
            ).fetch()
        told = everything_told(caught.value)
    assert canaries.secrets
    assert canaries.found([told]) == []
