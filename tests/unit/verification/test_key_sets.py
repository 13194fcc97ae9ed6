from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from agent.errors import IssuerUnreadable
from agent.verification.key_sets import MOST, read
from tests.fakes.foreign import a_jwk, a_token, private

RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def small(bits: int) -> dict[str, Any]:
    key = rsa.generate_private_key(65537, bits).public_key()
    return {**jwt.get_algorithm_by_name("RS256").to_jwk(key, as_dict=True), "kid": "bad"}


def without_key_ops(jwk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name != "key_ops"}


def test_a_key_verifies_by_the_algorithm_that_it_is_published_for() -> None:
    keys = read({"keys": [a_jwk(), a_jwk("two", "ES384")]})

    assert {kid: set(found) for kid, found in keys.items()} == {"one": {"RS256"}, "two": {"ES384"}}
    signed, _, signature = a_token().rpartition(b".")
    (check,) = keys["one"]["RS256"]
    assert not check(signed, b"")
    assert check(signed, jwt.utils.base64url_decode(signature))


def test_a_key_that_names_no_algorithm_is_bound_by_its_kind() -> None:
    keys = read({"keys": [a_jwk(alg=None), a_jwk("ec", "ES256", alg=None, use=None)]})

    assert set(keys["one"]) == RSA_ALGORITHMS
    assert set(keys["ec"]) == {"ES256"}


def test_two_keys_of_one_name_are_both_tried() -> None:
    other = {**jwt.get_algorithm_by_name("RS256").to_jwk(private("rsa-3072").public_key(), as_dict=True), "kid": "one"}
    keys = read({"keys": [without_key_ops(other), a_jwk(), a_jwk("one", "ES256")]})

    assert len(keys["one"]["RS256"]) == 2
    assert len(keys["one"]["ES256"]) == 1


@pytest.mark.parametrize(
    "bad",
    [
        a_jwk("bad", use="enc"),
        a_jwk("bad", key_ops=["sign"]),
        a_jwk("bad", key_ops="verify"),
        a_jwk("bad", alg="RSA-OAEP"),
        a_jwk("bad", alg="HS256"),
        a_jwk("bad", alg="ES256"),
        a_jwk("bad", "ES256", alg="ES384"),
        a_jwk("bad", "ES256", crv="P-384", alg=None),
        a_jwk("bad", "ES256", crv="secp256k1", alg=None),
        a_jwk("bad", "ES256", x="AAAA"),
        a_jwk("bad", n=None),
        a_jwk("bad", n=7),
        a_jwk("bad", n=""),
        a_jwk("bad", n="A" * 100_000),
        a_jwk("bad", e="AQ"),
        a_jwk("bad", e="Ag"),
        a_jwk("bad", e="_" * 90),
        a_jwk("bad", kty="rsa"),
        a_jwk("bad", kty=["RSA"]),
        a_jwk("bad", d="AAAA"),
        a_jwk(""),
        a_jwk("bad", kid=None),
        a_jwk("bad", kid=7),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "bad", "alg": "HS256"},
        small(1024),
        "bad",
        None,
        [],
    ],
)
def test_a_key_that_is_none_or_not_for_this_is_passed_over_and_the_others_are_not(bad: object) -> None:
    assert set(read({"keys": [bad, a_jwk()]})) == {"one"}
    with pytest.raises(IssuerUnreadable, match="none of the 1 keys"):
        read({"keys": [bad]})


@pytest.mark.parametrize(
    "document", [None, [], "keys", 7, {}, {"keys": {}}, {"keys": "one"}, {"keys": [a_jwk()] * (MOST + 1)}]
)
def test_what_is_no_key_set_is_no_issuers(document: object) -> None:
    with pytest.raises(IssuerUnreadable, match="no set of at most 100 keys") as caught:
        read(document)
    assert caught.value.hint


def test_an_issuer_without_keys_is_none() -> None:
    with pytest.raises(IssuerUnreadable, match="none of the 0 keys"):
        read({"keys": []})


def test_edwards_keys_verify_where_a_rule_takes_them() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    jwk = {**jwt.get_algorithm_by_name("EdDSA").to_jwk(key.public_key(), as_dict=True), "kid": "ed"}
    ((check,),) = (found["EdDSA"] for found in read({"keys": [jwk]}).values())
    assert check(b"signed", key.sign(b"signed"))
    assert not check(b"changed", key.sign(b"signed"))
    assert not check(b"signed", b"")
