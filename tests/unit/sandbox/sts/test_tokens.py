"""Are tokens refused that are not signed by their issuer, for us and for now, in AWS's words?"""

import base64
import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from agent.sandbox import PracticeIssuer
from tests.fakes.clock import START
from tests.unit.sandbox.scene import ISSUER, ROLE, Scene, ec_key, provided, rsa_key, scene
from tests.unit.sandbox.wrong import (
    NO_KEY,
    NOT_A_JWT,
    NOT_VALIDATED,
    NOW,
    OUR_KEY,
    SEVERAL,
    Wrong,
    early,
    expired,
    flipped,
    invalid,
    is_refused,
    jwks,
    parts,
    signed,
    with_claim_changed,
)

P384 = PracticeIssuer(ISSUER, ec_key(384))


def on_another_curve(at: Scene) -> str:
    """A token that says ES256 and was signed so, only on the wrong curve."""
    head = f"{encoded({'alg': 'ES256', 'kid': at.issuer.kid})}.{encoded(at.issuer.claims(START))}"
    r, s = decode_dss_signature(ec_key(384).sign(head.encode(), ECDSA(SHA256())))
    signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    return f"{head}.{base64.urlsafe_b64encode(signature).decode()}"


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


WRONG: dict[str, Wrong] = {
    # the shape of the token
    "garbage": Wrong(invalid(NOT_A_JWT), {"WebIdentityToken": "garbage"}),
    "two parts": Wrong(invalid(NOT_A_JWT), mangle=lambda token: token.rpartition(".")[0]),
    "an encrypted token": Wrong(invalid(NOT_A_JWT), mangle=lambda token: f"{token}.aa.bb"),
    "newline behind": Wrong(
        invalid("Provided Token is not a Login With Amazon token"), mangle=lambda token: f"{token}\n"
    ),
    "blank before": Wrong(invalid("Provided Token is not a Login With Amazon token"), mangle=lambda token: f" {token}"),
    "padding": Wrong(invalid(NOT_A_JWT), mangle=lambda token: f"{token}="),
    "header is no JSON": Wrong(invalid(NOT_A_JWT), token=parts(b"{")),
    "header is a list": Wrong(invalid(NOT_A_JWT), token=parts([])),
    "claims are text": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "RS256"}, "claims")),
    "claims of bad UTF-8": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "RS256"}, b'{"iss": "\xff"}')),
    "no algorithm": Wrong(invalid(NOT_A_JWT), token=parts({"typ": "JWT"})),
    "algorithm none": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "none"})),
    "algorithm nOnE": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "nOnE"})),
    "algorithm that is no text": Wrong(invalid(NOT_A_JWT), token=parts({"alg": ["RS256"]})),
    "HS256": Wrong(invalid(NOT_A_JWT), token=signed("HS256", "a shared secret that is long enough for it")),
    "PS256": Wrong(invalid(NOT_A_JWT), token=signed("PS256", rsa_key())),
    "EdDSA": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "EdDSA"})),
    "ES256K": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "ES256K"})),
    "critical extension": Wrong(invalid(NOT_A_JWT), token=signed("RS256", rsa_key(), crit=["b64"], b64=True)),
    "kid that is no text": Wrong(invalid(NOT_A_JWT), token=parts({"alg": "RS256", "kid": 7})),
    "Login with Amazon": Wrong(
        invalid("Provided Token is not a Login With Amazon token"), {"ProviderId": "www.amazon.com"}
    ),
    "Facebook": Wrong(invalid(NOT_A_JWT), {"ProviderId": "graph.facebook.com"}),
    "credentials on an unsigned call": Wrong(invalid(NO_KEY), headers={"X-Amz-Security-Token": "stray"}),
    # the audience
    "wrong audience": Wrong(invalid("Incorrect token audience"), claims={"aud": "sts.example.com"}),
    "audience in other case": Wrong(invalid("Incorrect token audience"), claims={"aud": "STS.amazonaws.com"}),
    "no audience": Wrong(invalid("Missing a required claim: aud"), claims={"aud": None}),
    "empty list of audiences": Wrong(invalid("Incorrect token audience"), claims={"aud": []}),
    "two audiences": Wrong(invalid(SEVERAL), claims={"aud": ["sts.amazonaws.com", "other"]}),
    "audience is a number": Wrong(invalid(NOT_A_JWT), claims={"aud": 7}),
    "audiences that are numbers": Wrong(invalid(NOT_A_JWT), claims={"aud": [7]}),
    "authorized party unknown": Wrong(invalid("Incorrect token audience"), claims={"azp": "somebody"}),
    "authorized party empty": Wrong(invalid("Incorrect token audience"), claims={"azp": ""}),
    "authorized party no text": Wrong(invalid("Incorrect token audience"), claims={"azp": ["sts.amazonaws.com"]}),
    "audience not in the provider": Wrong(invalid("Incorrect token audience"), world=provided(client_ids=("other",))),
    "audience comes before keys": Wrong(
        invalid("Incorrect token audience"), claims={"aud": "x"}, publish={"keys.json": None}
    ),
    # the signature
    "another key's signature": Wrong(invalid(NOT_VALIDATED), token=signed("RS256", rsa_key(1))),
    "a flipped bit": Wrong(invalid(NOT_VALIDATED), mangle=flipped),
    "another's claims": Wrong(invalid(NOT_VALIDATED), mangle=with_claim_changed),
    "an empty-looking signature": Wrong(invalid(NOT_VALIDATED), mangle=lambda token: token.rpartition(".")[0] + ".AA"),
    "EC signature for an RSA key": Wrong(invalid(NOT_VALIDATED), token=signed("ES256", ec_key(256))),
    "ES256 by a key on P-384": Wrong(
        invalid(NOT_VALIDATED),
        token=on_another_curve,
        publish=jwks({**P384.jwk, "kid": OUR_KEY["kid"], "alg": "ES256"}),
    ),
    "another RSA algorithm": Wrong(invalid(NOT_VALIDATED), token=signed("RS512", rsa_key())),
    "key for encryption": Wrong(invalid(NOT_VALIDATED), publish=jwks({**OUR_KEY, "use": "enc"})),
    "key without modulus": Wrong(invalid(NOT_VALIDATED), publish=jwks({**OUR_KEY, "n": None})),
    "symmetric key of our id": Wrong(
        invalid(NOT_VALIDATED), publish=jwks({"kty": "oct", "k": "AA", "kid": OUR_KEY["kid"]})
    ),
    "signature comes before times": Wrong(invalid(NOT_VALIDATED), claims={"exp": 1}, mangle=flipped),
    # times and subject
    "long expired": Wrong(expired(NOW - 3600), claims={"exp": NOW - 3600}),
    "expired beyond the leeway": Wrong(expired(NOW - 300), claims={"exp": NOW - 300}),
    "no expiry": Wrong(invalid("Missing a required claim: exp"), claims={"exp": None}),
    "no time of issue": Wrong(invalid("Missing a required claim: iat"), claims={"iat": None}),
    "issued in the future": Wrong(early("iat", NOW + 301), claims={"iat": NOW + 301}),
    "not valid yet": Wrong(early("nbf", NOW + 301), claims={"nbf": NOW + 301}),
    "expiry as text": Wrong(invalid(NOT_A_JWT), claims={"exp": str(NOW + 300)}),
    "expiry with a fraction": Wrong(invalid(NOT_A_JWT), claims={"exp": NOW + 300.5}),
    "expiry is true": Wrong(invalid(NOT_A_JWT), claims={"exp": True}),
    "no subject": Wrong(invalid("Missing a required claim: sub"), claims={"sub": None}),
    "empty subject": Wrong(invalid("Missing a required claim: sub"), claims={"sub": ""}),
    "long subject": Wrong(invalid(NOT_A_JWT), claims={"sub": "s" * 256}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_in_the_words_of_aws(wrong: Wrong, tmp_path: Path) -> None:
    await is_refused(wrong, tmp_path)


NOW = int(START.timestamp())


@pytest.mark.parametrize("bits", [256, 384, 521])
async def test_tokens_of_elliptic_curve_keys_are_taken(bits: int, tmp_path: Path) -> None:
    async with scene(tmp_path, issuer=PracticeIssuer(ISSUER, ec_key(bits))) as here:
        assert (await here.assume()).status == 200


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
async def test_a_key_that_names_no_algorithm_may_use_any_of_its_type(algorithm: str, tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        jwk = {name: value for name, value in here.issuer.jwk.items() if name not in ("alg", "use")}
        (here.site / "keys.json").write_text(json.dumps({"keys": [jwk]}))
        claims = here.issuer.claims(START)
        token = jwt.encode(claims, rsa_key(), algorithm, headers={"kid": here.issuer.kid})
        assert (await here.assume(token)).status == 200


async def test_a_token_without_kid_means_the_only_key(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.assume(jwt.encode(here.issuer.claims(START), rsa_key(), "RS256"))).status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 299},
        {"iat": NOW + 300, "nbf": NOW + 300},
        {"nbf": None},
        {"aud": ["sts.amazonaws.com"]},
        {"jti": "the same every time"},
        {"exp": NOW + 100 * 86400},
        {"sub": "s" * 255},
        {"https://aws.amazon.com/roles": ROLE},
        {"https://aws.amazon.com/roles": ["arn:aws:iam::123456789012:role/other", ROLE]},
        {"x5c": ["whatever"]},
    ],
    ids=str,
)
async def test_what_aws_lets_pass_passes(claims: dict[str, object], tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.assume(here.token(**claims))).status == 200
