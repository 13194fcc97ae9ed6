"""Public halves: which AWS takes, how the world sees them, and whether a signature is theirs."""

import base64

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as some
from jwt.algorithms import get_default_algorithms

from agent.errors import ConfigurationError, KeyUnavailable
from agent.jose import thumbprint
from agent.keys import Algorithm, Kind, PublicKey
from agent.keys.halves import (
    CHALLENGE,
    Public,
    coordinate_bytes,
    described,
    digest,
    fit,
    made_by,
    prove,
    raw_signature,
    read_spki,
)
from tests.fakes.key_files import Private, private
from tests.fakes.memory_key import KINDS, MemoryKey

EC: dict[Algorithm, tuple[Kind, int]] = {"ES256": ("ec-p256", 32), "ES384": ("ec-p384", 48), "ES512": ("ec-p521", 66)}
RSA: tuple[Algorithm, ...] = ("RS256", "RS384", "RS512")


def der(public: Public) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed_by(key: Private, algorithm: Algorithm, message: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), digest(algorithm))
    return raw_signature(key.sign(message, ec.ECDSA(digest(algorithm))), algorithm)


class Signer:
    """A device that signs with one key and shows the public half of another, or cannot sign."""

    def __init__(self, key: Private, public: PublicKey, failure: KeyUnavailable | None = None) -> None:
        self._key = key
        self.public = public
        self._failure = failure

    async def sign(self, message: bytes) -> bytes:
        if self._failure is not None:
            raise self._failure
        return signed_by(self._key, self.public.algorithm, message)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_can_be_made_is_read_and_described_as_another_library_does(kind: Kind) -> None:
    public = read_spki(der(private(kind).public_key()), "the token")
    key = described(public, None, "the token")
    theirs = get_default_algorithms()[key.algorithm].to_jwk(public, as_dict=True)
    assert dict(key.jwk) == {name: theirs[name] for name in key.jwk}
    assert set(key.jwk) == ({"kty", "n", "e"} if kind.startswith("rsa") else {"kty", "crv", "x", "y"})
    assert key.kid == thumbprint(key.jwk)


@pytest.mark.parametrize(
    ("public", "words"),
    [
        (rsa.generate_private_key(65537, 1024).public_key(), "an RSA key of 1024 bits, not 2048 to 4096"),
        (ec.generate_private_key(ec.SECP256K1()).public_key(), "an EC key on secp256k1, a curve that AWS STS"),
        (ed25519.Ed25519PrivateKey.generate().public_key(), "an Ed25519 key, which AWS STS does not take"),
        (ed448.Ed448PrivateKey.generate().public_key(), "an Ed448 key"),
        (x25519.X25519PrivateKey.generate().public_key(), "an X25519 key"),
        (x448.X448PrivateKey.generate().public_key(), "an X448 key"),
        (dsa.generate_private_key(1024).public_key(), "a DSA key"),
        (object(), "another kind of key"),
    ],
    ids=["RSA 1024", "secp256k1", "Ed25519", "Ed448", "X25519", "X448", "DSA", "none"],
)
def test_what_aws_does_not_take_is_called_by_its_name(public: object, words: str) -> None:
    with pytest.raises(KeyUnavailable, match=f"the token holds {words}") as raised:
        fit(public, "the token")
    assert "rolecall keys new" in raised.value.hint


@given(some.binary(max_size=200))
def test_what_is_no_public_key_is_said_to_be_none(garbage: bytes) -> None:
    with pytest.raises(KeyUnavailable, match="the public half that the token gave is none"):
        read_spki(garbage, "the token")


def test_a_public_key_that_is_cut_off_anywhere_is_none() -> None:
    whole = der(private("ec-p256").public_key())
    for length in range(len(whole)):
        with pytest.raises(KeyUnavailable):
            read_spki(whole[:length], "the token")


@pytest.mark.parametrize("algorithm", RSA)
def test_rsa_has_a_choice_of_algorithms(algorithm: Algorithm) -> None:
    public = fit(private("rsa-2048").public_key(), "the token")
    assert described(public, algorithm, "the token").algorithm == algorithm
    assert described(public, None, "the token").algorithm == "RS256"


@pytest.mark.parametrize(
    ("kind", "algorithm", "hint"),
    [
        ("rsa-2048", "ES256", "it can sign with RS256, RS384, RS512"),
        ("ec-p256", "ES384", "it can sign with ES256"),
        ("ec-p384", "RS256", "it can sign with ES384"),
        ("ec-p521", "ES256", "it can sign with ES512"),
    ],
)
def test_an_algorithm_that_does_not_fit_is_the_operators_turn(kind: Kind, algorithm: Algorithm, hint: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"the private key in the token cannot sign with {algorithm}"
    ) as raised:
        described(fit(private(kind).public_key(), "the token"), algorithm, "the token")
    assert raised.value.hint == hint


def test_the_number_of_an_algorithm_is_that_of_its_hash() -> None:
    expected = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
    for algorithm in (*EC, *RSA):
        assert isinstance(digest(algorithm), expected[algorithm[2:]])


@pytest.mark.parametrize("algorithm", EC)
def test_ecdsa_signatures_are_of_full_length_and_verify_with_another_library(algorithm: Algorithm) -> None:
    kind, size = EC[algorithm]
    assert coordinate_bytes(algorithm) == size
    key = private(kind)
    judge = get_default_algorithms()[algorithm]
    for count in range(40):  # one in 128 has a number that begins with a zero byte
        message = b"message %d" % count
        signature = signed_by(key, algorithm, message)
        assert len(signature) == 2 * size
        assert judge.verify(message, key.public_key(), signature)
        assert made_by(fit(key.public_key(), ""), algorithm, message, signature)


@given(some.sampled_from(sorted(EC)), some.data())
def test_small_numbers_are_filled_up_and_large_ones_refused(algorithm: Algorithm, data: some.DataObject) -> None:
    size = EC[algorithm][1]
    r, s = (data.draw(some.integers(0, 256**size - 1)) for _ in range(2))
    raw = raw_signature(encode_dss_signature(r, s), algorithm)
    assert (int.from_bytes(raw[:size]), int.from_bytes(raw[size:]), len(raw)) == (r, s, 2 * size)
    for pair in ((256**size, s), (r, 256**size)):
        with pytest.raises(ValueError, match="too large"):
            raw_signature(encode_dss_signature(*pair), algorithm)


@pytest.mark.parametrize(
    "garbage", [b"", b"\x30\x00", bytes(64), b"\x30\x06\x02\x01\x01\x02\x01", b"\x30\x06\x02\x01\xff\x02\x01\x01"]
)
def test_what_is_no_ecdsa_signature_is_refused(garbage: bytes) -> None:
    with pytest.raises(ValueError, match=r"asn1|ASN\.1|too large"):
        raw_signature(garbage, "ES256")


def test_rsa_signatures_have_no_coordinates() -> None:
    with pytest.raises(KeyError):
        coordinate_bytes("RS256")


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_another_key_of_other_words_or_changed_is_not_made_by_this_one(kind: Kind) -> None:
    key = private(kind)
    public = fit(key.public_key(), "")
    algorithm = described(public, None, "").algorithm
    good = signed_by(key, algorithm, b"words")
    assert made_by(public, algorithm, b"words", good)
    assert not made_by(public, algorithm, b"other words", good)
    for bad in (b"", good[:-1], good + b"\0", bytes(len(good)), b"\xff" * len(good), bytes([good[0] ^ 1]) + good[1:]):
        assert not made_by(public, algorithm, b"words", bad)
    others: list[Kind] = [other for other in KINDS if other != kind and other[:2] == kind[:2]]
    for other in others:
        assert not made_by(fit(private(other).public_key(), ""), algorithm, b"words", good)


@pytest.mark.parametrize("kind", KINDS)
async def test_halves_that_belong_together_are_proved(kind: Kind) -> None:
    key = private(kind)
    public = fit(key.public_key(), "")
    await prove(Signer(key, described(public, None, "")), public, "the token")


@pytest.mark.parametrize("mine", ["rsa-2048", "ec-p256"])
async def test_halves_that_do_not_are_found_before_any_token_is_signed(mine: Kind) -> None:
    other = rsa.generate_private_key(65537, 2048) if mine == "rsa-2048" else ec.generate_private_key(ec.SECP256R1())
    public = fit(other.public_key(), "")
    with pytest.raises(KeyUnavailable, match="what the token signs does not fit the public half") as raised:
        await prove(Signer(private(mine), described(public, None, "")), public, "the token")
    assert "no token is signed with it" in raised.value.hint


async def test_a_key_that_cannot_sign_proves_nothing() -> None:
    key = private("ec-p256")
    public = fit(key.public_key(), "")
    locked = KeyUnavailable("the PIN is locked")
    with pytest.raises(KeyUnavailable, match="the PIN is locked"):
        await prove(Signer(key, described(public, None, ""), locked), public, "the token")


async def test_what_is_signed_to_prove_it_could_be_no_token() -> None:
    key = MemoryKey()
    x, y = (int.from_bytes(_decoded(key.public.jwk[name])) for name in ("x", "y"))
    await prove(key, ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key(), "memory")
    assert key.signed == [CHALLENGE]
    assert b"." not in CHALLENGE


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
