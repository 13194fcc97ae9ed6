import asyncio
import base64
import os
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import pytest
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import Algorithm
from agent.secret import Secret
from tests.fakes.clock import FakeClock
from tests.fakes.memory_key import pem
from tests.fakes.swtpm import MISSING, Swtpm, running

if MISSING and not os.environ.get("SKIP_NOTHING"):
    pytest.skip(f"needs {MISSING}", allow_module_level=True)

from tpm2_pytss.constants import TPM2_ALG
from tpm2_pytss.types import (
    TPM2B_ECC_PARAMETER,
    TPMS_SIGNATURE_ECC,
    TPMT_SIGNATURE,
    TPMU_SIGNATURE,
)

from agent.keys.tpm2.custodian import KeyDirectory, KeyFile, Tpm2
from agent.keys.tpm2.shapes import Wrapped, auth_value, read_wrapped, sensitive, signature_of, to_pem

SIGNS = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"


@asn1.sequence
class Loadable:
    """A key file of other people, in the fields of draft-bottomley-tpm2-keys; emptyAuth may be left out."""

    object_type: ObjectIdentifier
    empty_auth: Annotated[bool | None, asn1.Explicit(0)]
    parent: int
    public: bytes
    private: bytes


def has_provider() -> bool:
    if shutil.which("openssl") is None:
        return False
    told = subprocess.run(["openssl", "version", "-m"], check=False, capture_output=True, text=True).stdout
    return (Path(told.partition('"')[2].rstrip('"\n')) / "tpm2.so").exists()


needs_provider = pytest.mark.skipif(not has_provider(), reason="needs openssl and tpm2-openssl")


def openssl(tpm: Swtpm, verb: str, *words: str) -> bytes:
    environment = {**os.environ, "TPM2OPENSSL_TCTI": tpm.tcti}
    command = ["openssl", verb, "-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2", *words]
    return subprocess.run(command, env=environment, check=True, capture_output=True).stdout


async def made(tpm: Swtpm) -> Path:
    directory = tpm.state / "keys"
    directory.mkdir(exist_ok=True)
    return directory / await Tpm2(KeyDirectory(directory), tcti=tpm.tcti, clock=FakeClock()).make("ec-p256")


async def opens(tpm: Swtpm, path: Path) -> bool:
    return bool(await Tpm2(KeyFile(path), tcti=tpm.tcti, clock=FakeClock()).open(str(path)))


@needs_provider
def test_openssl_signs_with_a_key_that_is_made_here(tmp_path: Path) -> None:
    message, signature, half = tmp_path / "message", tmp_path / "signature", tmp_path / "half.pem"
    message.write_bytes(b"message")
    with running() as tpm:
        key = asyncio.run(made(tpm))
        openssl(tpm, "pkey", "-in", str(key), "-pubout", "-out", str(half))
        openssl(tpm, "dgst", "-sha256", "-sign", str(key), "-out", str(signature), str(message))

    checked = ["openssl", "dgst", "-sha256", "-verify", str(half), "-signature", str(signature), str(message)]
    assert subprocess.run(checked, check=True, capture_output=True).stdout == b"Verified OK\n"


@needs_provider
@pytest.mark.parametrize("algorithm", [("EC", "group:P-256"), ("RSA", "bits:2048")], ids=["ec", "rsa"])
async def test_a_key_that_openssl_made_signs_here(algorithm: tuple[str, str], tmp_path: Path) -> None:
    name, option = algorithm
    with running() as tpm:
        openssl(tpm, "genpkey", "-algorithm", name, "-pkeyopt", option, "-out", str(tmp_path / "key.tss"))

        assert await opens(tpm, tmp_path / "key.tss")


@pytest.mark.parametrize("flag", ["", "-p"], ids=["said one way", "said the other way"])
async def test_a_key_that_the_tools_encoded_signs_here_whatever_it_says_of_auth(flag: str, tmp_path: Path) -> None:
    with running() as tpm:
        tpm.tool("createprimary -C o -G ecc256 -c root.ctx")
        tpm.tool("evictcontrol -C o -c root.ctx 0x81000001")
        tpm.tool("flushcontext -t")
        tpm.tool(f"create -C 0x81000001 -G ecc256 -a '{SIGNS}' -u new.pub -r new.priv")
        tpm.tool(f"encodeobject -C 0x81000001 -u new.pub -r new.priv {flag} -o {tmp_path / 'key.tss'}")

        assert await opens(tpm, tmp_path / "key.tss")


async def test_a_key_that_says_nothing_of_auth_signs_too(tmp_path: Path) -> None:
    with running() as tpm:
        ours = read_wrapped((await made(tpm)).read_bytes(), "ours")
        (tmp_path / "key.tss").write_bytes(written_elsewhere(ours, empty_auth=None))

        assert await opens(tpm, tmp_path / "key.tss")


def armoured(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN TSS2 PRIVATE KEY-----\n" + body + b"-----END TSS2 PRIVATE KEY-----\n"


def written_elsewhere(key: Wrapped, *, empty_auth: bool | None = True, kind: str = "2.23.133.10.1.3") -> bytes:
    fields = Loadable(
        object_type=ObjectIdentifier(kind),
        empty_auth=empty_auth,
        parent=key.parent,
        public=key.public,
        private=key.private,
    )
    return armoured(asn1.encode_der(fields))


async def test_what_is_written_reads_the_same() -> None:
    with running() as tpm:
        key = read_wrapped((await made(tpm)).read_bytes(), "ours")

    for wants_auth in (False, True):
        one = Wrapped(0x81000001, key.public, key.private, wants_auth=wants_auth)
        assert read_wrapped(to_pem(one), "a test") == one
        assert read_wrapped(b"# a comment\r\n" + to_pem(one).replace(b"\n", b"\r\n"), "a test") == one


async def test_a_file_that_is_no_key_of_a_tpm_has_its_sentence() -> None:
    with running() as tpm:
        good = (await made(tpm)).read_bytes()
    key = read_wrapped(good, "good")
    cut = Wrapped(key.parent, key.public[:-9], key.private, wants_auth=False)

    for content, sentence in [
        (b"", "is no key file"),
        (b"\x00" * 100, "is no key file"),
        (good[:200], "is cut off"),
        (pem("ec-p256"), "holds a private key in the open"),
        (armoured(b""), "is damaged"),
        (armoured(b"no ASN.1"), "is damaged"),
        (written_elsewhere(key, kind="2.23.133.10.1.4"), "of a kind that needs a policy or an import"),
        (written_elsewhere(cut), "is damaged"),
        (good.replace(good[40:80], b"A" * 40), "is damaged"),
        (good.replace(b"M", b"=", 3), "is damaged"),
    ]:
        with pytest.raises(KeyUnavailable, match=sentence):
            read_wrapped(content, "key.tss")


@pytest.mark.parametrize(("algorithm", "size"), [("ES256", 32), ("ES384", 48), ("ES512", 66)])
@pytest.mark.parametrize("r", [b"\x01", b"\x00\x00\x01", b"\x01" * 31], ids=["short", "zeros", "a byte short"])
def test_a_number_with_zeros_in_front_is_written_in_full(r: bytes, algorithm: Algorithm, size: int) -> None:
    ecdsa = TPMS_SIGNATURE_ECC(
        hash=TPM2_ALG.SHA256, signatureR=TPM2B_ECC_PARAMETER(r), signatureS=TPM2B_ECC_PARAMETER(b"\x02")
    )
    signature = TPMT_SIGNATURE(sigAlg=TPM2_ALG.ECDSA, signature=TPMU_SIGNATURE(ecdsa=ecdsa))

    raw = signature_of(algorithm, signature)

    assert len(raw) == 2 * size
    assert int.from_bytes(raw[:size]) == int.from_bytes(r)
    assert int.from_bytes(raw[size:]) == 2


def test_an_auth_value_that_no_tpm_takes_is_not_given_to_one() -> None:
    with pytest.raises(ConfigurationError, match="longer than 32 bytes"):
        sensitive(Secret("x" * 33))
    with pytest.raises(KeyUnavailable, match="longer than 64 bytes"):
        auth_value(Secret("x" * 65))

    assert bytes(sensitive(Secret("x" * 32)).sensitive.userAuth) == b"x" * 32
    assert bytes(auth_value(Secret("ä"))) == "ä".encode()
