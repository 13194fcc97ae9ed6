"""What the door promises, by attacks: each is a token that somebody has tried, or will."""

import hmac
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.errors import TokenRejected
from agent.verification import LONGEST, Rule
from agent.verification.published import PublishedKeys
from agent.verification.verifier import RuleVerifier
from tests.fakes.clock import FakeClock
from tests.fakes.foreign import (
    AUDIENCE,
    ISSUER,
    NOW,
    FakeWeb,
    a_jwk,
    a_token,
    b64,
    claims,
    forged,
    private,
    public_pem,
)
from tests.fakes.report import Reported

GOOD = {"alg": "RS256", "kid": "one"}
RULE = Rule(ISSUER, (AUDIENCE,), algorithms=("RS256", "ES256"))
SHOWN = (
    a_jwk(),
    a_jwk("two", "ES256"),
    a_jwk("enc", use="enc"),
    a_jwk("wrap", alg="RSA-OAEP", use=None),
    a_jwk("rs384", "RS384"),
)


async def verifier(rule: Rule = RULE, *jwks: Mapping[str, object]) -> RuleVerifier:
    clock = FakeClock()
    keys = PublishedKeys(ISSUER, FakeWeb(*(jwks or SHOWN)), clock=clock, report=Reported())
    await keys.look_up("one")
    return RuleVerifier(rule, keys, clock)


def hs(secret: bytes, header: Mapping[str, object] | None = None, hash_name: str = "sha256") -> bytes:
    """Signed with a secret, as PyJWT refuses to for a public key."""
    signed = b".".join(b64(json.dumps(one).encode()) for one in (header or {"alg": "HS256", "kid": "one"}, claims()))
    return signed + b"." + b64(hmac.digest(secret, signed, hash_name))


def der() -> bytes:
    made: bytes = private().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return made


def es256(signature: Callable[[bytes], bytes]) -> bytes:
    signed = b".".join(b64(json.dumps(one).encode()) for one in ({"alg": "ES256", "kid": "two"}, claims()))
    return signed + b"." + b64(signature(signed))


def in_der(signed: bytes) -> bytes:
    made: bytes = private("ec-p256").sign(signed, ec.ECDSA(hashes.SHA256()))
    return made


def padded(token: bytes) -> bytes:
    return b".".join(part + b"=" * (-len(part) % 4) for part in token.split(b"."))


def respelt(token: bytes) -> bytes:
    """The same bytes, once decoded, in another spelling: bits of the last letter that carry nothing."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[(alphabet.index(token[-1]) ^ 1) : (alphabet.index(token[-1]) ^ 1) + 1]


def flipped(token: bytes, at: int) -> bytes:
    return token[:at] + (b"A" if token[at : at + 1] != b"A" else b"B") + token[at + 1 :]


TOKEN = a_token()
HEAD, BODY, SIGNATURE = TOKEN.split(b".")
OTHER = jwt.encode(claims(), private("rsa-3072"), algorithm="RS256", headers={"kid": "one"}).encode()

ATTACKS: dict[str, tuple[bytes, str]] = {
    # no signature at all
    "alg none, unsigned": (forged({"alg": "none", "kid": "one"}, claims(), sign=False), "malformed"),
    "alg none, with a signature": (forged({"alg": "none", "kid": "one"}, claims()), "algorithm"),
    "alg nOnE": (forged({"alg": "nOnE", "kid": "one"}, claims()), "algorithm"),
    "alg empty": (forged({"alg": "", "kid": "one"}, claims()), "algorithm"),
    "alg missing": (forged({"kid": "one"}, claims()), "algorithm"),
    "alg null": (forged({"alg": None, "kid": "one"}, claims()), "algorithm"),
    "alg an array": (forged({"alg": ["RS256"], "kid": "one"}, claims()), "algorithm"),
    "alg in small letters": (forged({"alg": "rs256", "kid": "one"}, claims()), "algorithm"),
    "alg with a blank": (forged({"alg": "RS256 ", "kid": "one"}, claims()), "algorithm"),
    "the signature taken away": (HEAD + b"." + BODY + b".", "malformed"),
    "only two parts": (HEAD + b"." + BODY, "malformed"),
    # the public key as a secret
    "HS256 with the PEM": (hs(public_pem()), "algorithm"),
    "HS256 with the PEM, no newline": (hs(public_pem().strip()), "algorithm"),
    "HS256 with the PEM, CRLF": (hs(public_pem().replace(b"\n", b"\r\n")), "algorithm"),
    "HS256 with the DER": (hs(der()), "algorithm"),
    "HS256 with the modulus": (hs(str(a_jwk()["n"]).encode()), "algorithm"),
    "HS256 with the JWK": (hs(json.dumps(a_jwk()).encode()), "algorithm"),
    "HS512 with the PEM": (hs(public_pem(), {"alg": "HS512", "kid": "one"}, "sha512"), "algorithm"),
    "RS256 said, HMAC meant": (hs(public_pem(), GOOD), "signature"),
    "HS256 with an empty secret": (hs(b""), "algorithm"),
    # one key for another
    "RS256 by the name of an EC key": (a_token(kid="two"), "algorithm"),
    "ES256 by the name of an RSA key": (a_token(algorithm="ES256", kid="one"), "algorithm"),
    "an algorithm that the rule does not take": (a_token(algorithm="RS384", kid="rs384"), "algorithm"),
    "RS256 by a key for RS384": (a_token(kid="rs384"), "algorithm"),
    "a key for encryption": (a_token(kid="enc"), "unknown_key"),
    "a key for wrapping keys": (a_token(kid="wrap"), "unknown_key"),
    "somebody else's key": (OTHER, "signature"),
    # names of keys that are meant for something else
    "no kid": (a_token(kid=None), "unknown_key"),
    "kid empty": (forged({"alg": "RS256", "kid": ""}, claims()), "unknown_key"),
    "kid a number": (forged({"alg": "RS256", "kid": 1}, claims()), "unknown_key"),
    "kid null": (forged({"alg": "RS256", "kid": None}, claims()), "unknown_key"),
    "kid a path": (a_token(kid="../../../../dev/null"), "unknown_key"),
    "kid a path with a zero byte": (a_token(kid="one\0.pem"), "unknown_key"),
    "kid SQL": (a_token(kid="x' UNION SELECT 'secret"), "unknown_key"),
    "kid a command": (a_token(kid="one|/bin/true"), "unknown_key"),
    "kid an address": (a_token(kid="https://evil.example.com/jwks.json"), "unknown_key"),
    "kid in capitals": (a_token(kid="ONE"), "unknown_key"),
    "kid that is long": (a_token(kid="k" * 600), "unknown_key"),
    "kid of another script": (a_token(kid="\u043ene"), "unknown_key"),
    # keys that the token brings along
    "jwk of the forger": (forged({**GOOD, "jwk": a_jwk("one")}, claims(), sign=False) + b64(b"x" * 256), "signature"),
    "jku of the forger": (
        flipped(a_token(jku="https://evil.example.com/jwks.json"), -20),
        "signature",
    ),
    "x5u of the forger": (flipped(a_token(x5u="https://evil.example.com/cert.pem"), -20), "signature"),
    "x5c of the forger": (flipped(a_token(x5c=["MIIB"]), -20), "signature"),
    # headers that change what the rest means
    "crit": (forged({**GOOD, "crit": ["exp"], "exp": NOW}, claims()), "header"),
    "crit empty": (forged({**GOOD, "crit": []}, claims()), "header"),
    "crit of b64": (forged({**GOOD, "crit": ["b64"], "b64": True}, claims()), "header"),
    "b64 false": (forged({**GOOD, "b64": False}, claims()), "header"),
    "zip": (forged({**GOOD, "zip": "DEF"}, claims()), "header"),
    "enc": (forged({**GOOD, "enc": "A128GCM"}, claims()), "header"),
    "nested, by cty": (forged({**GOOD, "cty": "JWT"}, TOKEN), "header"),
    "nested, with a body": (forged({**GOOD, "cty": "JWT"}, claims()), "header"),
    "a log-out token": (forged({**GOOD, "typ": "logout+jwt"}, claims()), "header"),
    "a proof of possession": (forged({**GOOD, "typ": "dpop+jwt"}, claims()), "header"),
    "typ a number": (forged({**GOOD, "typ": 1}, claims()), "header"),
    # signatures
    "ES256 in DER": (es256(in_der), "signature"),
    "ES256 of zeros": (es256(lambda _: bytes(64)), "signature"),
    "ES256 of r alone": (es256(lambda _: bytes(63) + b"\1" + bytes(32)), "signature"),
    "ES256 of the order": (es256(lambda _: b"\xff" * 64), "signature"),
    "ES256 of one byte": (es256(lambda _: b"\0"), "signature"),
    "ES256 with bytes after it": (es256(lambda signed: in_der(signed)[:64] + b"\0" * 8), "signature"),
    "RS256 of zeros": (HEAD + b"." + BODY + b"." + b64(bytes(256)), "signature"),
    "RS256 of ones": (HEAD + b"." + BODY + b"." + b64(b"\0" * 255 + b"\1"), "signature"),
    "RS256 cut off": (HEAD + b"." + BODY + b"." + b64(b"\1" * 200), "signature"),
    "RS256 cut off within a byte": (TOKEN[:-5], "malformed"),
    "RS256 cut off between bytes": (TOKEN[:-6], "signature"),
    "RS256 with more after it": (TOKEN + b"AAAA", "signature"),
    "one letter changed in the header": (flipped(TOKEN, 12), "malformed"),
    "one letter changed in the signature": (flipped(TOKEN, -20), "signature"),
    "the body of another token": (HEAD + b"." + b64(json.dumps(claims(sub="root")).encode()) + b"." + SIGNATURE,
                                  "signature"),
    # shapes
    "nothing": (b"", "malformed"),
    "dots": (b"..", "malformed"),
    "a word": (b"token", "malformed"),
    "cut off in the body": (TOKEN[: len(HEAD) + 20], "malformed"),
    "four parts": (TOKEN + b".AAAA", "malformed"),
    "five parts, encrypted": (b".".join((HEAD, b"AAAA", b"AAAA", b"AAAA", b"AAAA")), "malformed"),
    "padding": (padded(a_token(claims(sub="alic"))), "malformed"),
    "another spelling of the signature": (respelt(TOKEN), "malformed"),
    "a blank inside": (HEAD + b" ." + BODY + b"." + SIGNATURE, "malformed"),
    "a newline at the end": (TOKEN + b"\n", "malformed"),
    "plus and slash": (HEAD + b"." + BODY + b"." + b"+/" + SIGNATURE[2:], "malformed"),
    "a zero byte": (TOKEN[:40] + b"\0" + TOKEN[40:], "malformed"),
    "bytes that are no ASCII": (HEAD + b".\xff\xff\xff\xff." + SIGNATURE, "malformed"),
    "over 16 kB": (a_token(claims(more="x" * LONGEST)), "oversized"),
    "a megabyte of dots": (b"." * 1_000_000, "oversized"),
    "deep arrays": (forged(GOOD, b"[" * 10_000), "malformed"),
    "deep objects": (forged(GOOD, b'{"a":' * 1_500 + b"1" + b"}" * 1_500), "malformed"),
    "a body that is an array": (forged(GOOD, b"[1]"), "malformed"),
    "a body that is no JSON": (forged(GOOD, b"alice"), "malformed"),
    "a body in UTF-16": (forged(GOOD, json.dumps(claims()).encode("utf-16")), "malformed"),
    "a body with a byte order mark": (forged(GOOD, b"\xef\xbb\xbf" + json.dumps(claims()).encode()), "malformed"),
    "a member twice": (forged(GOOD, json.dumps(claims()).encode()[:-1] + b',"sub":"root"}'), "malformed"),
    "alg twice": (forged(b'{"alg":"RS256","alg":"none","kid":"one"}', claims()), "malformed"),
    # times
    "no end": (forged(GOOD, claims(exp=None)), "malformed"),
    "an end of null": (forged(GOOD, {**claims(), "exp": None}), "malformed"),
    "an end that is text": (forged(GOOD, claims(exp=str(NOW + 600))), "malformed"),
    "an end that is true": (forged(GOOD, claims(exp=True)), "malformed"),
    "an end that is NaN": (forged(GOOD, json.dumps(claims(exp=float("nan"))).encode()), "malformed"),
    "an end that is infinite": (forged(GOOD, json.dumps(claims(exp=float("inf"))).encode()), "malformed"),
    "an end of 1e400": (forged(GOOD, json.dumps(claims(exp=0)).encode().replace(b'"exp": 0', b'"exp": 1e400')),
                        "malformed"),
    "an end after all time": (forged(GOOD, claims(exp=10**30)), "malformed"),
    "an end of 5,000 digits": (
        forged(GOOD, json.dumps(claims(exp=0)).encode().replace(b'"exp": 0', b'"exp": ' + b"9" * 5000)),
        "malformed",
    ),
    "an end before all time": (forged(GOOD, claims(exp=-1)), "malformed"),
    "an end in milliseconds": (forged(GOOD, claims(exp=(NOW + 600) * 1000)), "malformed"),
    "an hour old": (a_token(claims(iat=NOW - 7200, exp=NOW - 3600)), "expired"),
    "ended 31 s ago": (a_token(claims(exp=NOW - 31)), "expired"),
    "ended 30 s ago to the second": (a_token(claims(exp=NOW - 30)), "expired"),
    "ended 29.5 s ago, in parts of seconds": (forged(GOOD, claims(exp=NOW - 29.5)), "expired"),
    "from a clock an hour ahead": (a_token(claims(iat=NOW + 3600, exp=NOW + 7200)), "not_yet"),
    "good in a minute": (a_token(claims(nbf=NOW + 60)), "not_yet"),
    "nbf that is true": (forged(GOOD, claims(nbf=True)), "malformed"),
    "iat that is text": (forged(GOOD, claims(iat="now")), "malformed"),
    # issuers and audiences
    "another issuer": (a_token(claims(iss="https://evil.example.com")), "issuer"),
    "the issuer in capitals": (a_token(claims(iss=ISSUER.upper())), "issuer"),
    "a slash at the end of the issuer": (a_token(claims(iss=f"{ISSUER}/")), "issuer"),
    "a blank at the end of the issuer": (a_token(claims(iss=f"{ISSUER} ")), "issuer"),
    "no issuer": (a_token(claims(iss=None)), "issuer"),
    "an array of issuers": (forged(GOOD, claims(iss=[ISSUER])), "issuer"),
    "another audience": (a_token(claims(aud="https://other.example.com")), "audience"),
    "an audience that begins like ours": (a_token(claims(aud=f"{AUDIENCE}.evil.example.com")), "audience"),
    "other audiences": (a_token(claims(aud=["a", "b"])), "audience"),
    "no audience": (a_token(claims(aud=None)), "audience"),
    "no audience in the array": (a_token(claims(aud=[])), "audience"),
    "an empty audience": (a_token(claims(aud="")), "audience"),
    "an audience that is an object": (forged(GOOD, claims(aud={AUDIENCE: True})), "malformed"),
    "a number among the audiences": (forged(GOOD, claims(aud=[AUDIENCE, 1])), "malformed"),
    "arrays in arrays of audiences": (forged(GOOD, claims(aud=[[AUDIENCE]])), "malformed"),
    "a client for an audience": (a_token(claims(aud=None, client_id=AUDIENCE)), "audience"),
    "a subject that is an array": (forged(GOOD, claims(sub=["root"])), "malformed"),
    "an id that is a number": (forged(GOOD, claims(jti=7)), "malformed"),
}  # fmt: skip


@pytest.mark.parametrize(("token", "reason"), ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_forged_or_unfit_token_is_rejected_and_never_quoted(token: bytes, reason: str) -> None:
    judge = await verifier()

    with pytest.raises(TokenRejected) as caught:
        judge.ready(token) or await judge.verify(token)

    error = caught.value
    told = f"{error.what} {error.hint} {error!r}"
    assert error.reason == reason
    assert error.hint
    assert len(token) < 9 or token.decode("latin-1") not in told
    assert "alice" not in told
    assert error.__cause__ is None


@pytest.mark.parametrize(
    "token",
    [
        TOKEN,
        a_token(algorithm="ES256", kid="two"),
        a_token(typ="at+jwt"),
        a_token(typ="application/at+jwt"),
        a_token(typ=None),
        a_token(typ="jwt"),
        a_token(claims(aud=["other", AUDIENCE])),
        a_token(claims(exp=NOW - 29)),
        a_token(claims(nbf=NOW + 30, iat=NOW + 30)),
        forged(GOOD, claims(exp=NOW + 0.5, iat=NOW - 0.25)),
        a_token(claims(sub="jürgen", jti="1")),
        a_token(jku="https://evil.example.com/jwks.json", jwk={"kty": "oct", "k": "AAAA"}),
    ],
)
async def test_a_good_token_is_taken_in_all_its_shapes(token: bytes) -> None:
    judge = await verifier()
    ready = judge.ready(token)

    assert ready is not None
    assert ready == await judge.verify(token)
    assert ready.claims["iss"] == ISSUER
    assert ready.header["alg"] in RULE.algorithms


async def test_a_jwk_in_the_header_counts_for_nothing() -> None:
    """Signed by a key that the token brings along, under the name of one that is published."""
    forger = private("rsa-3072")
    brought = {**jwt.get_algorithm_by_name("RS256").to_jwk(forger.public_key(), as_dict=True), "kid": "one"}
    token = jwt.encode(claims(), forger, algorithm="RS256", headers={"kid": "one", "jwk": brought}).encode()

    with pytest.raises(TokenRejected) as caught:
        (await verifier()).ready(token)
    assert caught.value.reason == "signature"


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"])
async def test_every_algorithm_that_a_rule_may_name_verifies(algorithm: str) -> None:
    judge = await verifier(Rule(ISSUER, (AUDIENCE,), algorithms=(algorithm,)), a_jwk("one", algorithm))

    assert judge.ready(a_token(algorithm=algorithm)) is not None


async def test_what_a_rule_wants_is_said_in_the_reason() -> None:
    rules: dict[str, tuple[Rule, dict[str, Any]]] = {
        "scope": (Rule(ISSUER, (AUDIENCE,), scopes=("admin",)), {}),
        "claims": (Rule(ISSUER, (AUDIENCE,), claims={"role": ("admin",)}), {"role": "user"}),
        "lifetime": (Rule(ISSUER, (AUDIENCE,), longest=timedelta(minutes=5)), {}),
    }
    for reason, (rule, said) in rules.items():
        with pytest.raises(TokenRejected) as caught:
            (await verifier(rule)).ready(a_token(claims(**said)))
        assert caught.value.reason == reason
