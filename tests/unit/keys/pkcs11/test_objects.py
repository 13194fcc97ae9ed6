from typing import NoReturn, cast

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType

from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.keys import Kind
from agent.keys.pem import PemKey
from agent.keys.pkcs11.objects import public_half
from agent.secret import Secret
from tests.fakes.clock import START
from tests.fakes.key_files import private, rsa_key
from tests.fakes.memory_key import pem
from tests.fakes.softhsm import LACKING, SoftHsm, opened

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"needs {LACKING}")

FITTING = "use RSA of 2048 to 4096 bits, or EC on P-256, P-384 or P-521: rolecall keys new"


def certificate(hsm: SoftHsm, kind: Kind, identity: str) -> None:
    key = private(kind)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rolecall")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, START, START.replace(year=2040))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    path = hsm.where / "certificate.der"
    path.write_bytes(made)
    hsm.as_user(f"--write-object {path} --type cert --label rolecall --id {identity}")


def public_key(hsm: SoftHsm, kind: Kind, identity: str) -> None:
    path = hsm.where / "public.der"
    path.write_bytes(private(kind).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    hsm.as_user(f"--write-object {path} --type pubkey --label rolecall --id {identity}")


async def refused() -> AgentError:
    with pytest.raises((KeyUnavailable, ConfigurationError)) as caught:
        custodian = opened()
        for name in await custodian.names():
            await custodian.open(name)
    return caught.value


# What lies behind the label


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"AES"}, "a secret key such as AES"),
        ({"certificate"}, "a certificate"),
        ({"public key"}, "a public key"),
        ({"certificate", "public key"}, "a public key and a certificate"),
    ],
)
async def test_what_is_no_private_key_is_named(what: set[str], said: str, hsm: SoftHsm) -> None:
    if "AES" in what:
        hsm.as_user("--keygen --key-type AES:32 --label rolecall --id 01")
    if "certificate" in what:
        certificate(hsm, "ec-p256", "01")
    if "public key" in what:
        public_key(hsm, "ec-p256", "01")

    error = await refused()

    assert error.what == f"pkcs11:object=rolecall in the token hsm is no private key, but {said}"
    assert error.hint == "correct key.label or key.uri, or make a key: rolecall keys new"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("EC:secp256k1", "holds an EC key on secp256k1, a curve that AWS STS does not take"),
        ("EC:secp224r1", "holds an EC key on secp224r1, a curve that AWS STS does not take"),
        ("EC:edwards25519", "is a key of type EC_EDWARDS, which AWS STS does not take"),
    ],
)
async def test_a_key_that_aws_does_not_take_has_its_sentence(kind: str, said: str, hsm: SoftHsm) -> None:
    hsm.as_user(f"--keypairgen --key-type {kind} --label rolecall --id 01 --usage-sign")

    error = await refused()

    assert error.what == f"pkcs11:object=rolecall;id=%01 in the token hsm {said}"
    assert error.hint == FITTING


@pytest.mark.parametrize("bits", [1024, 2047])
async def test_an_rsa_key_that_is_too_short_has_its_sentence(bits: int, hsm: SoftHsm) -> None:
    hsm.put(rsa_key(bits)(), "rolecall")

    assert (await refused()).what == (
        f"pkcs11:object=rolecall;id=%01 in the token hsm holds an RSA key of {bits} bits, not 2048 to 4096"
    )


@pytest.mark.parametrize("kind", ["rsa-2048", "ec-p256"])
async def test_a_key_that_may_not_sign_says_so(kind: Kind, hsm: SoftHsm) -> None:
    hsm.put(pem(kind), "rolecall")
    hsm.change("rolecall", "SIGN", "False")

    assert (await refused()).what == (
        "the key pkcs11:object=rolecall in the token hsm is not allowed to sign (CKA_SIGN is false)"
    )


async def test_two_keys_with_one_label_are_told_by_their_ids(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall", "0a")
    hsm.put(pem("ec-p384"), "rolecall", "0b01")

    error = await refused()

    assert isinstance(error, ConfigurationError)
    assert error.what == (
        "2 private keys in the token hsm fit pkcs11:object=rolecall: "
        "pkcs11:object=rolecall;id=%0a, pkcs11:object=rolecall;id=%0b%01"
    )
    assert 'key.uri = "pkcs11:token=…;id=…"' in error.hint
    named = opened("pkcs11:token=hsm;id=%0b%01")
    assert (await named.open((await named.names())[0])).public.algorithm == "ES384"


async def test_no_such_label_lists_what_there_is(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecal", "0a")
    hsm.put(pem("ec-p384"), "rolecall2", "0b")

    error = await refused()

    assert isinstance(error, KeyUnavailable)
    assert error.what == (
        "there is no key pkcs11:object=rolecall in the token hsm, which holds "
        "pkcs11:object=rolecal;id=%0a, pkcs11:object=rolecall2;id=%0b"
    )


async def test_a_long_list_is_cut(hsm: SoftHsm) -> None:
    for number in range(10):
        hsm.put(pem("ec-p256"), f"other-{number}", f"{number:02x}")

    assert (await refused()).what.endswith("pkcs11:object=other-7;id=%07 and 2 more")


# Where the public half is


@pytest.mark.parametrize("kind", ["rsa-2048", "ec-p256", "ec-p384", "ec-p521"])
async def test_the_public_half_is_that_of_the_key(kind: Kind, hsm: SoftHsm) -> None:
    hsm.put(pem(kind), "rolecall")

    key = await opened().open("pkcs11:object=rolecall")

    assert key.public == PemKey.parse(Secret(pem(kind).decode()), origin="a test").public


async def test_an_rsa_key_shows_it_itself(hsm: SoftHsm) -> None:
    hsm.put(pem("rsa-2048"), "rolecall")
    hsm.as_user("--delete-object --type pubkey --label rolecall")

    assert await (await opened().open("pkcs11:object=rolecall")).sign(b"message")


async def test_a_certificate_beside_an_elliptic_key_shows_it(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall", "0a")
    hsm.as_user("--delete-object --type pubkey --label rolecall")
    assert (await refused()).what == "the token shows no public half of pkcs11:object=rolecall;id=%0a in the token hsm"
    certificate(hsm, "ec-p384", "0b")
    assert "shows no public half" in (await refused()).what

    certificate(hsm, "ec-p256", "0a")

    assert await (await opened().open("pkcs11:object=rolecall")).sign(b"message")


async def test_the_public_half_of_another_key_is_found_out(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall", "0a")
    hsm.as_user("--delete-object --type pubkey --label rolecall")
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    path = hsm.where / "public.der"
    path.write_bytes(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    hsm.as_user(f"--write-object {path} --type pubkey --label rolecall --id 0a")

    assert (await refused()).what.startswith(
        "what the key pkcs11:object=rolecall;id=%0a in the token hsm signs does not"
    )


async def test_a_key_without_an_id_is_told_by_its_label(hsm: SoftHsm) -> None:
    hsm.as_user("--keypairgen --key-type EC:prime256v1 --label rolecall --usage-sign")
    custodian = opened()

    names = await custodian.names()

    assert [await (await custodian.open(name)).sign(b"message") for name in names]


class Shown(dict[Attribute, object]):
    """An object of a token that shows these attributes and no others."""

    def __missing__(self, attribute: Attribute) -> NoReturn:
        raise pkcs11.AttributeTypeInvalid


class Empty:
    """A session with a token that holds no other object."""

    def get_objects(self, _: object) -> list[object]:
        return []


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "ec-p521"])
def test_a_point_is_read_with_and_without_der_around_it(kind: Kind, wrapped: bool) -> None:  # noqa: FBT001 - a parameter
    """SoftHSM writes CKA_EC_POINT as the standard wants it since v2.20; others give the bare point, as before."""
    public = private(kind).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    # Of DER: tag 4 and the length, which takes a byte of its own from 128 on.
    header = bytes([4, len(point)]) if len(point) < 128 else bytes([4, 0x81, len(point)])
    parameters = {"ec-p256": "06082a8648ce3d030107", "ec-p384": "06052b81040022", "ec-p521": "06052b81040023"}
    shown = Shown(
        {
            Attribute.KEY_TYPE: KeyType.EC,
            Attribute.LABEL: "rolecall",
            Attribute.EC_PARAMS: bytes.fromhex(parameters[kind]),
            Attribute.EC_POINT: header + point if wrapped else point,
        }
    )

    assert public_half(cast("pkcs11.Session", Empty()), cast("pkcs11.Object", shown), "a test") == public


@pytest.mark.parametrize(
    "shown",
    [
        {Attribute.KEY_TYPE: KeyType.RSA, Attribute.MODULUS: b"\x01\x01", Attribute.PUBLIC_EXPONENT: b"\x03"},
        {Attribute.KEY_TYPE: KeyType.RSA, Attribute.MODULUS: b"\xff" * 256, Attribute.PUBLIC_EXPONENT: b"\x02"},
        {Attribute.KEY_TYPE: KeyType.EC, Attribute.EC_PARAMS: b"\x13\x05P-256", Attribute.EC_POINT: b"\x04\x01\x00"},
        {Attribute.KEY_TYPE: KeyType.EC, Attribute.EC_PARAMS: b"\x30", Attribute.EC_POINT: b"\x04"},
        {Attribute.KEY_TYPE: KeyType.EC, Attribute.EC_PARAMS: b"\x30", Attribute.EC_POINT: bytes(70_000)},
        {Attribute.KEY_TYPE: KeyType.RSA},
        {},
    ],
    ids=["two bytes", "even exponent", "a name for a curve", "cut off", "endless", "nothing", "no type"],
)
def test_nonsense_has_a_sentence(shown: dict[Attribute, object]) -> None:
    token = cast("pkcs11.Session", Empty())
    with pytest.raises(KeyUnavailable) as caught:
        public_half(token, cast("pkcs11.Object", Shown({Attribute.LABEL: "rolecall", **shown})), "a test")

    assert caught.value.hint
