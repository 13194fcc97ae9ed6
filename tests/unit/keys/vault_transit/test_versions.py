import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from agent.errors import KeyUnavailable
from agent.keys import Kind
from agent.keys.vault_transit.versions import TYPES, TransitKey
from tests.fakes.vault import FakeVault

ORIGIN = "the key transit/keys/rolecall in Vault"


def spelt(public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> dict[str, str]:
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {"public_key": pem}


def read(**changed: object) -> TransitKey:
    return TransitKey.read(FakeVault().key(**changed), ORIGIN)


def rotated(latest: int, **floors: int) -> TransitKey:
    """A key in so many versions, with what Vault says of which of them may still be used."""
    halves = [spelt(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(latest)]
    keys = {str(number): half for number, half in enumerate(halves, start=1)}
    return read(latest_version=latest, keys=keys, **floors)


@pytest.mark.parametrize("kind", ["rsa-2048", "ec-p256"])
def test_a_key_that_can_sign_is_read_as_vault_describes_it(kind: Kind) -> None:
    told = FakeVault(kind).key()
    assert isinstance(told["keys"], dict)

    key = TransitKey.read(told, ORIGIN)

    assert (key.type, key.latest, key.floor) == (TYPES[kind], 1, 1)
    assert key.half(1) == load_pem_public_key(told["keys"]["1"]["public_key"].encode())


def test_each_version_has_a_half_of_its_own() -> None:
    key = rotated(3)

    assert len({key.half(version).public_numbers() for version in (1, 2, 3)}) == 3


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"type": "managed_key"}, "of type managed_key"),
        ({"type": "aes256-gcm96"}, "of type aes256-gcm96"),
        ({"type": "ed25519"}, "of type ed25519"),
        ({"type": "ml-dsa"}, "of type ml-dsa"),
        ({"type": None}, "of type None"),
        ({"derived": True}, "which AWS STS does not take"),
        ({"keys": None}, "does not list the versions"),
        ({"keys": ["1"]}, "does not list the versions"),
        ({"latest_version": "1"}, "latest_version is no number"),
        ({"min_available_version": None}, "min_available_version is no number"),
    ],
)
def test_a_key_that_cannot_be_ours_is_refused(changed: dict[str, object], named: str) -> None:
    with pytest.raises(KeyUnavailable) as caught:
        read(**changed)

    assert named in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize(
    ("floors", "floor"),
    [
        ({}, 1),
        ({"min_available_version": 2}, 2),
        ({"min_decryption_version": 3}, 3),
        ({"min_encryption_version": 3}, 3),
        ({"min_available_version": 2, "min_decryption_version": 3, "min_encryption_version": 0}, 3),
    ],
)
def test_no_version_below_any_of_vaults_floors_can_sign(floors: dict[str, int], floor: int) -> None:
    key = rotated(3, **floors)

    assert key.floor == floor
    assert key.half(floor)
    for version in range(1, floor):
        with pytest.raises(KeyUnavailable, match="has been destroyed, or is below the least version that may sign"):
            key.half(version)


def test_a_version_that_was_never_made_is_named_with_the_latest() -> None:
    with pytest.raises(KeyUnavailable, match="has no version 4, the latest is 3"):
        rotated(3).half(4)


@pytest.mark.parametrize(
    "keys",
    [{}, {"1": 1700000000}, {"1": {"public_key": ""}}, {"1": {"public_key": "no PEM"}}, {"1": {}}, {"one": {}}],
)
def test_a_version_without_a_public_half_is_not_understood(keys: dict[str, object]) -> None:
    with pytest.raises(KeyUnavailable, match="comes without a public half"):
        read(keys=keys).half(1)


@pytest.mark.parametrize(
    "public",
    [
        ed25519.Ed25519PrivateKey.generate().public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        rsa.generate_private_key(65537, 1024).public_key(),
    ],
    ids=["ed25519", "secp256k1", "rsa-1024"],
)
def test_a_half_that_is_not_of_the_type_that_vault_says_is_refused(
    public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey,
) -> None:
    with pytest.raises(KeyUnavailable, match="version 1 of the key transit/keys/rolecall"):
        read(keys={"1": spelt(public)}).half(1)
