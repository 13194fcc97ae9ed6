import json
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from agent import jose
from agent.errors import ConfigurationError
from agent.keys import Algorithm, PublicKey
from agent.publishing import Document
from agent.publishing.discovery import address, documents

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
    _, configuration = documents(ISSUER, [an_rsa_key()], max_age=timedelta(minutes=5))
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
    key_set, _ = documents(ISSUER, [an_rsa_key()], max_age=HOUR)
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
    assert [document.path for document in documents(ISSUER, [an_rsa_key()], max_age=HOUR)] == [
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
    key_set, configuration = documents(issuer, [an_rsa_key()], max_age=HOUR)
    assert said(configuration)["issuer"] == issuer
    assert said(configuration)["jwks_uri"] == jwks_uri == address(issuer, key_set.path)


def test_a_token_verifies_with_what_a_relying_party_reads_from_the_key_set() -> None:
    rsa_private, ec_private = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    numbers = rsa_private.public_key().public_numbers()
    jwk = {"kty": "RSA", "n": jose.b64url_uint(numbers.n), "e": jose.b64url_uint(numbers.e)}
    rsa_key, ec_key = PublicKey(jose.thumbprint(jwk), "RS256", jwk), an_ec_key(ec_private)
    key_set, configuration = documents(ISSUER, [rsa_key, ec_key], max_age=HOUR)
    read = jwt.PyJWKSet.from_dict(said(key_set))
    algorithms = said(configuration)["id_token_signing_alg_values_supported"]
    assert algorithms == ["ES256", "RS256"]
    for key, private in ((rsa_key, rsa_private), (ec_key, ec_private)):
        token = jwt.encode({"iss": ISSUER}, private, key.algorithm, headers={"kid": key.kid})
        assert jwt.decode(token, read[key.kid], algorithms=["ES256", "RS256"]) == {"iss": ISSUER}


def test_nothing_private_is_shown_even_where_a_key_carries_it() -> None:
    careless = PublicKey("kid", "RS256", {**RFC_RSA, "d": "private", "x5c": "certificate"})
    key_set, _ = documents(ISSUER, [careless], max_age=HOUR)
    assert b"private" not in key_set.body
    assert b"certificate" not in key_set.body


@given(st.lists(st.sampled_from(["RS256", "RS384", "RS512"]), min_size=1, max_size=100))
def test_keys_are_shown_in_the_order_given_and_algorithms_once_each(algorithms: list[Algorithm]) -> None:
    keys = [an_rsa_key(f"kid-{number}", algorithm) for number, algorithm in enumerate(algorithms)]
    key_set, configuration = documents(ISSUER, keys, max_age=HOUR)
    shown = said(key_set)["keys"]
    assert isinstance(shown, list)
    assert [(jwk["kid"], jwk["alg"]) for jwk in shown] == [(key.kid, key.algorithm) for key in keys]
    assert said(configuration)["id_token_signing_alg_values_supported"] == sorted(set(algorithms))
    assert documents(ISSUER, keys, max_age=HOUR) == (key_set, configuration)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ([], "there is no key to show"),
        ([an_rsa_key(f"kid-{number}") for number in range(101)], "101 keys are to be shown"),
        ([an_rsa_key("same"), an_rsa_key("same", "RS512")], "the key same is to be shown twice"),
    ],
)
def test_key_sets_that_sts_would_not_believe_are_refused(keys: list[PublicKey], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as refused:
        documents(ISSUER, keys, max_age=HOUR)
    assert refused.value.hint
