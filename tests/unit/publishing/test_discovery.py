import base64
import hashlib
import json
import time
from collections.abc import Sequence
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from agent import jose
from agent.errors import PublishingFailed
from agent.keys import Algorithm, PublicKey
from agent.publishing import Document, Jwk
from agent.publishing.discovery import (
    MOST_KEYS,
    address,
    certified,
    crowding,
    documents,
    kid_of,
    merged,
    published,
    read_key_set,
)

ISSUER = "https://oidc.example.com"
HOUR = timedelta(hours=1)
# RFC 7638 §3.1: its example key, and the thumbprint it computes
RFC_RSA = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB"
    "ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8"
    "KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_"
    "xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
}
RFC_KID = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def an_rsa_key(kid: str = RFC_KID, algorithm: Algorithm = "RS256") -> PublicKey:
    return PublicKey(kid, algorithm, RFC_RSA)


def an_ec_key(private: ec.EllipticCurvePrivateKey) -> PublicKey:
    point = private.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": jose.b64url_uint(point.x, 32), "y": jose.b64url_uint(point.y, 32)}
    return PublicKey(jose.thumbprint(jwk), "ES256", jwk)


def said(document: Document) -> dict[str, object]:
    value = json.loads(document.body)
    assert isinstance(value, dict)
    return value


def test_the_discovery_document_says_exactly_this() -> None:
    _, configuration = documents(ISSUER, [published(an_rsa_key())], max_age=timedelta(minutes=5))
    assert configuration == Document(
        ".well-known/openid-configuration",
        b"""{
  "issuer": "https://oidc.example.com",
  "jwks_uri": "https://oidc.example.com/.well-known/jwks.json",
  "authorization_endpoint": "urn:rolecall:programmatic",
  "response_types_supported": [
    "id_token"
  ],
  "subject_types_supported": [
    "public"
  ],
  "id_token_signing_alg_values_supported": [
    "RS256"
  ],
  "claims_supported": [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti"
  ]
}
""",
        "application/json",
        300,
    )


def test_the_key_set_says_exactly_this() -> None:
    key_set, _ = documents(ISSUER, [published(an_rsa_key())], max_age=HOUR)
    members = f"""      "kty": "RSA",
      "use": "sig",
      "alg": "RS256",
      "kid": "{RFC_KID}",
      "n": "{RFC_RSA["n"]}",
      "e": "AQAB"
"""
    whole = '{\n  "keys": [\n    {\n' + members + "    }\n  ]\n}\n"
    assert key_set == Document(".well-known/jwks.json", whole.encode(), "application/json", 3600)


def test_the_key_set_comes_before_the_document_that_points_to_it() -> None:
    assert [document.path for document in documents(ISSUER, [published(an_rsa_key())], max_age=HOUR)] == [
        ".well-known/jwks.json",
        ".well-known/openid-configuration",
    ]


@pytest.mark.parametrize(
    ("issuer", "jwks_uri"),
    [
        ("https://oidc.example.com", "https://oidc.example.com/.well-known/jwks.json"),
        ("https://oidc.example.com/", "https://oidc.example.com/.well-known/jwks.json"),
        ("https://oidc.example.com/site-a", "https://oidc.example.com/site-a/.well-known/jwks.json"),
        ("https://oidc.example.com/site-a/", "https://oidc.example.com/site-a/.well-known/jwks.json"),
    ],
)
def test_a_terminating_slash_stays_in_the_issuer_and_is_not_doubled_in_addresses(issuer: str, jwks_uri: str) -> None:
    key_set, configuration = documents(issuer, [published(an_rsa_key())], max_age=HOUR)
    assert said(configuration)["issuer"] == issuer
    assert said(configuration)["jwks_uri"] == jwks_uri == address(issuer, key_set.path)


def test_a_token_verifies_with_what_a_relying_party_reads_from_the_key_set() -> None:
    rsa_private, ec_private = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    numbers = rsa_private.public_key().public_numbers()
    jwk = {"kty": "RSA", "n": jose.b64url_uint(numbers.n), "e": jose.b64url_uint(numbers.e)}
    rsa_key, ec_key = PublicKey(jose.thumbprint(jwk), "RS256", jwk), an_ec_key(ec_private)
    key_set, configuration = documents(ISSUER, [published(rsa_key), published(ec_key)], max_age=HOUR)
    read = jwt.PyJWKSet.from_dict(said(key_set))
    algorithms = said(configuration)["id_token_signing_alg_values_supported"]
    assert algorithms == ["ES256", "RS256"]
    for key, private in ((rsa_key, rsa_private), (ec_key, ec_private)):
        token = jwt.encode({"iss": ISSUER}, private, key.algorithm, headers={"kid": key.kid})
        assert jwt.decode(token, read[key.kid], algorithms=["ES256", "RS256"]) == {"iss": ISSUER}


def test_nothing_private_is_shown_even_where_a_key_carries_it() -> None:
    careless = PublicKey("kid", "RS256", {**RFC_RSA, "d": "private", "x5c": "certificate"})
    key_set, _ = documents(ISSUER, [published(careless)], max_age=HOUR)
    assert b"private" not in key_set.body
    assert b"certificate" not in key_set.body


@given(st.lists(st.sampled_from(["RS256", "RS384", "RS512"]), min_size=1, max_size=100))
def test_keys_are_shown_in_the_order_given_and_algorithms_once_each(algorithms: list[Algorithm]) -> None:
    keys = [published(an_rsa_key(f"kid-{number}", algorithm)) for number, algorithm in enumerate(algorithms)]
    key_set, configuration = documents(ISSUER, keys, max_age=HOUR)
    shown = said(key_set)["keys"]
    assert isinstance(shown, list)
    assert [(jwk["kid"], jwk["alg"]) for jwk in shown] == [(key["kid"], key["alg"]) for key in keys]
    assert said(configuration)["id_token_signing_alg_values_supported"] == sorted(set(algorithms))
    assert documents(ISSUER, keys, max_age=HOUR) == (key_set, configuration)


def test_an_issuer_without_keys_is_refused() -> None:
    with pytest.raises(PublishingFailed, match="there is no key to show") as refused:
        documents(ISSUER, [], max_age=HOUR)
    assert refused.value.hint


# --- certificates


def test_a_chain_is_shown_in_the_order_given_and_named_by_its_first() -> None:
    key = published(an_rsa_key(), [b"leaf", b"authority"])
    assert key["x5c"] == [base64.b64encode(b"leaf").decode(), base64.b64encode(b"authority").decode()]
    # RFC 7517 §4.7 has x5c in plain base64, §4.9 the thumbprint in base64url without padding
    assert key["x5t#S256"] == base64.urlsafe_b64encode(hashlib.sha256(b"leaf").digest()).decode().rstrip("=")


def test_certificates_come_and_go_with_their_chain_and_leave_the_key_alone() -> None:
    plain = published(an_rsa_key())
    assert certified(plain, ()) == plain
    assert certified(certified(plain, [b"old"]), [b"new"]) == published(an_rsa_key(), [b"new"])
    assert certified(certified(plain, [b"old"]), ()) == plain


# --- a key set that several hosts share


def a_set(*keys: Jwk) -> bytes:
    return json.dumps({"keys": keys}).encode()


def kids(keys: Sequence[Jwk]) -> list[str]:
    return [kid_of(key) for key in keys]


ONE, TWO, THREE = ({"kty": "RSA", "kid": kid, "n": kid} for kid in ("one", "two", "three"))


def test_ours_take_their_old_places_or_the_end() -> None:
    newer = {**ONE, "x5c": ["certificate"]}
    assert merged(a_set(ONE, TWO), [newer, THREE], []) == (newer, TWO, THREE)


def test_what_is_both_shown_and_withdrawn_is_shown_in_its_place() -> None:
    assert kids(merged(a_set(ONE, TWO), [ONE], ["one", "three"])) == ["one", "two"]


def test_a_key_that_somebody_copied_by_hand_stands_there_once() -> None:
    assert merged(a_set(ONE, TWO, ONE, TWO), [ONE], []) == (ONE, TWO)


def test_two_keys_of_one_name_that_are_not_ours_are_left_to_whoever_wrote_them() -> None:
    other = {**TWO, "n": "other"}
    assert merged(a_set(TWO, other), [ONE], []) == (TWO, other, ONE)


def test_a_set_of_any_number_of_keys_is_gone_through_once() -> None:
    there = [{"a": number} for number in range(40_000)] + [{"kid": "k", "a": number} for number in range(40_000)]
    began = time.process_time()
    keys = merged(json.dumps({"keys": there}).encode(), [ONE], [])
    assert time.process_time() - began < 10  # comparing each with each takes minutes
    assert list(keys) == [*there, ONE]


@pytest.mark.parametrize("kid", [None, 1, ["one"], {}, ""])
def test_a_key_with_no_name_is_nobodys_and_stays(kid: object) -> None:
    nameless = {"kty": "RSA", "kid": kid}
    assert merged(a_set(nameless), [ONE], ["None", "1", ""]) == (nameless, ONE)


def test_two_keys_of_ours_with_one_name_are_refused() -> None:
    with pytest.raises(PublishingFailed, match="2 keys of ours have 1 names"):
        merged(None, [ONE, {**ONE, "n": "other"}], [])


def many(kind: str, count: int) -> list[Jwk]:
    return [{"kty": kind, "kid": f"{kind}-{number}"} for number in range(count)]


def test_a_set_takes_a_hundred_keys_of_each_kind_and_no_more() -> None:
    full = [*many("RSA", MOST_KEYS), *many("EC", MOST_KEYS)]
    assert len(merged(a_set(*full[1:]), full[:1], [])) == 200
    with pytest.raises(PublishingFailed, match="101 RSA keys are to be shown") as refused:
        merged(a_set(*full), [ONE], [])
    assert "issuers" in refused.value.hint


def test_a_set_that_others_have_overfilled_keeps_no_key_of_ours_from_being_withdrawn_or_replaced() -> None:
    overfull = a_set(*many("RSA", 104), ONE)
    assert len(merged(overfull, [], ["one"])) == 104
    assert len(merged(overfull, [TWO], ["one"])) == 105
    with pytest.raises(PublishingFailed, match="106 RSA keys are to be shown"):
        merged(overfull, [ONE, TWO], [])


def test_what_somebody_else_wrote_is_counted_by_its_kind_whatever_that_is() -> None:
    odd: list[Jwk] = [{"kty": ["RSA"]}, {}, ONE, {"kty": "x" * 1000}]
    assert crowding(odd) == {"['RSA']": 1, "None": 1, "RSA": 1, "x" * 20: 1}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"<!doctype html>", b'{"keys": {"a": 1}}', b'{"keys": [1]}', b"\xfe\xfe", b"[" * 10**6],
)
def test_what_is_no_key_set_is_refused(body: bytes) -> None:
    with pytest.raises(PublishingFailed, match="no key set"):
        read_key_set(body)


def test_a_key_set_may_begin_with_the_mark_that_some_editors_write() -> None:
    assert read_key_set(b"\xef\xbb\xbf" + a_set(ONE)) == [ONE]


def test_others_keys_say_what_they_sign_with_where_they_say_it_well() -> None:
    keys: list[Jwk] = [{"kid": "a", "alg": "ES384"}, {"kid": "b", "alg": 7}, {"kid": "c"}, published(an_rsa_key())]
    _, configuration = documents(ISSUER, keys, max_age=HOUR)
    assert said(configuration)["id_token_signing_alg_values_supported"] == ["ES384", "RS256"]
