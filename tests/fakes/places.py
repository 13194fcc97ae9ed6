"""Where keys are kept, one place of each kind: made of the real thing where a machine can have it, and with its moods.

Each is a context, and skips the test that asks for it where this machine lacks what it takes.
"""

import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import pytest

from agent.clients.late import Late
from agent.clients.signed import kms_client
from agent.clock import SystemClock
from agent.keys import Custodian, Kind
from agent.keys.aws_kms.custodian import AwsKms, Held
from agent.keys.pem_store import PemStore
from agent.keys.vault_transit.custodian import Place as VaultPlace
from agent.keys.vault_transit.custodian import TokenFile, VaultTransit
from agent.secret import Secret
from tests.fakes import softhsm, swtpm
from tests.fakes.custodian import MemoryCustodian
from tests.fakes.line import line_to
from tests.fakes.memory_key import KINDS
from tests.fakes.moto import ACCOUNT, REGION, endpoint, moto
from tests.fakes.vault import TOKEN, fake_vault, holding
from tests.fakes.vault_versions import keep_versions
from tests.live.vault.running import BINARY, running_vault

#: Those that need no search for large primes.
QUICK: Final[tuple[Kind, ...]] = tuple(kind for kind in KINDS if kind not in {"rsa-3072", "rsa-4096"})


def _nothing() -> None:
    """Change nothing."""


@dataclass
class Place:
    """A place for keys; `custodian` opens it, each time by another instance, as another process would.

    `hold` keeps whoever speaks to it waiting until `release`; between `vanish` and `come_back` it is not there. Of
    `unknown`, it has never heard.
    """

    custodian: Callable[[], Custodian]
    unknown: str
    kinds: tuple[Kind, ...] = QUICK
    hold: Callable[[], None] = _nothing
    release: Callable[[], None] = _nothing
    vanish: Callable[[], object] = _nothing
    come_back: Callable[[], object] = _nothing


Opening = Callable[[Path], AbstractAsyncContextManager[Place]]


@asynccontextmanager
async def memory(_: Path) -> AsyncIterator[Place]:
    """The double that tests of rotations use: it must promise no more than what stands for it."""
    keys = MemoryCustodian()
    yield Place(lambda: MemoryCustodian(keys=keys.keys), "key-nobody", ("ec-p256",))


@asynccontextmanager
async def pem(home: Path) -> AsyncIterator[Place]:
    """Files in a directory; what may be slow is what gives the passphrase."""
    keys, gate = home / "keys", threading.Event()
    gate.set()
    keys.mkdir(mode=0o700)

    def passphrase() -> Secret:
        gate.wait()
        return Secret("a passphrase of the tests")

    yield Place(
        lambda: PemStore(directory=keys, passphrase=passphrase),
        "nobody.pem",
        hold=gate.clear,
        release=gate.set,
        vanish=lambda: keys.rename(home / "away"),
        come_back=lambda: (home / "away").rename(keys),
    )


@asynccontextmanager
async def pkcs11(home: Path) -> AsyncIterator[Place]:
    """A token of SoftHSM, behind a module that takes as long as it is told."""
    if softhsm.LACKING or shutil.which("cc") is None:
        pytest.skip(f"needs {softhsm.LACKING or 'cc'}")
    module = _moody_module()
    with softhsm.softhsm(home) as hsm, softhsm.moody(module, home) as moods:
        hsm.token()
        yield Place(
            lambda: softhsm.opened(module=module),
            "pkcs11:object=nobody;id=%99",
            hold=lambda: moods.set("C_Sign", seconds=3600),
            release=moods.clear,
            vanish=hsm.take_away,
            come_back=hsm.bring_back,
        )


@cache
def _moody_module() -> Path:
    return softhsm.compiled(Path(mkdtemp(prefix="moody-")))


@asynccontextmanager
async def tpm2(_: Path) -> AsyncIterator[Place]:
    """A TPM in software, with key files in a directory."""
    if swtpm.MISSING and not os.environ.get("SKIP_NOTHING"):
        pytest.skip(f"needs {swtpm.MISSING}")
    from agent.keys.tpm2.custodian import KeyDirectory, Tpm2  # noqa: PLC0415 - not there where tpm2_pytss is missing

    with swtpm.running() as tpm:
        keys = tpm.state / "keys"
        keys.mkdir(mode=0o700)
        yield Place(
            lambda: Tpm2(KeyDirectory(keys), tcti=tpm.tcti, clock=SystemClock()),
            "nobody.tss",
            ("rsa-2048", "ec-p256"),
            hold=tpm.freeze,
            release=tpm.thaw,
            vanish=tpm.kill,
            come_back=tpm.start,
        )


@contextmanager
def moto_on_demand() -> Iterator[Callable[[], str]]:
    """Where moto is, one for a whole file of tests: it comes up for the first who asks."""
    with ExitStack() as stack:
        yield cache(lambda: stack.enter_context(moto()))


def aws_kms(url: Callable[[], str]) -> Opening:
    """KMS as moto plays it, at the end of a line."""

    @asynccontextmanager
    async def opened(_: Path) -> AsyncIterator[Place]:
        async with line_to(url()) as line:

            def custodian() -> Custodian:
                client = Late(lambda: kms_client(endpoint(line.url)))
                held = Held("alias/rolecall", REGION, make_keys=True)
                return AwsKms(client, held, SystemClock(), closing=client.close)

            yield Place(
                custodian,
                f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                ("rsa-2048", "ec-p256", "ec-p384", "ec-p521"),
                hold=line.hold,
                release=line.release,
                vanish=line.cut,
                come_back=line.mend,
            )

    return opened


@asynccontextmanager
async def vault_transit(_: Path) -> AsyncIterator[Place]:
    """Transit in a real Vault where there is one to be had, else in a fake, at the end of a line."""
    with _vault() as (address, token):
        async with line_to(address) as line:
            yield Place(
                lambda: VaultTransit(VaultPlace(line.url), TokenFile(holding(token)), "rolecall", clock=SystemClock()),
                "rolecall:v99",
                hold=line.hold,
                release=line.release,
                vanish=line.cut,
                come_back=line.mend,
            )


@contextmanager
def _vault() -> Iterator[tuple[str, str]]:
    if BINARY is None:
        with fake_vault() as fake:
            keep_versions(fake)
            yield fake.address, TOKEN
    else:
        with running_vault() as vault:
            vault.initialise()
            yield vault.address, vault.root


def every(kms: Callable[[], str]) -> Mapping[str, Opening]:
    """All places, by what `key.custodian` calls them; `kms` is asked where moto is when it is needed."""
    return {
        "memory": memory,
        "pem": pem,
        "pkcs11": pkcs11,
        "tpm2": tpm2,
        "aws_kms": aws_kms(kms),
        "vault_transit": vault_transit,
    }
