"""Is a token from GetWebIdentityToken taken only as AWS gives it, for us, once? PyJWT makes them here."""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent.callers.aws.web_identity import ABOUT, ALGORITHMS, LEEWAY, LONGEST, LONGEST_LIFE, WebIdentity
from agent.errors import IssuerUnreadable, ProofUnchecked, TokenRejected
from agent.verification import Rule
from agent.verification.published import Fetched, PublishedKeys
from agent.verification.verifier import RuleVerifier
from tests.fakes.clock import START, FakeClock
from tests.fakes.report import Reported
from tests.unit.callers.aws.shown import SERVER

ISSUER = "https://4f6c1e0a-9d3b-4c58-8a57-2b1f6e9d0c11.tokens.sts.global.api.aws"
RSA = rsa.generate_private_key(65537, 2048)
STRANGER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP384R1())


def jwk(name: str, algorithm: str, key: Any) -> dict[str, object]:
    shown = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**shown, "kid": name, "use": "sig", "alg": algorithm}


class Site:
    """The issuer's documents; or none, while it is away."""

    def __init__(self) -> None:
        self.away = False

    async def get(self, url: str, longest: int) -> Fetched:
        del longest
        if self.away:
            raise IssuerUnreadable("away", hint="wait")
        if url.endswith("openid-configuration"):
            return Fetched(json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/.well-known/jwks.json"}).encode())
        return Fetched(json.dumps({"keys": [jwk("rsa", "RS256", RSA), jwk("ec", "ES384", EC)]}).encode())


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.site = Site()
        keys = PublishedKeys(ISSUER, self.site, clock=self.clock, report=Reported())
        rule = Rule(ISSUER, (SERVER,), algorithms=ALGORITHMS, leeway=LEEWAY, longest=LONGEST_LIFE)
        self.tokens = WebIdentity({ISSUER: RuleVerifier(rule, keys, self.clock)})

    async def reason(self, token: str | bytes) -> str:
        with pytest.raises(TokenRejected) as error:
            await self.tokens.read(token if isinstance(token, bytes) else token.encode())
        return error.value.reason


def claims(**changes: object) -> dict[str, object]:
    now = int(START.timestamp())
    about = {"aws_account": "123456789012", "source_region": "eu-central-1", "org_id": "o-a1b2c3d4e5"}
    usual: dict[str, object] = {
        "iss": ISSUER,
        "sub": "arn:aws:iam::123456789012:role/team/deploy",
        "aud": SERVER,
        "iat": now,
        "exp": now + 300,
        "jti": "a-token-of-the-tests",
        ABOUT: about,
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def token(said: Mapping[str, object] | None = None, key: Any = RSA, algorithm: str = "RS256", kid: str = "rsa") -> str:
    return jwt.encode(dict(said or claims()), key, algorithm=algorithm, headers={"kid": kid})


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "rsa"), (EC, "ES384", "ec")])
async def test_it_says_who_its_bearer_is(key: Any, algorithm: str, kid: str) -> None:
    proven, made = await Stage().tokens.read(token(key=key, algorithm=algorithm, kid=kid).encode())
    assert proven.principal.arn == "arn:aws:iam::123456789012:role/deploy"
    assert proven.principal.account == "123456789012"
    assert proven.principal.organization == "o-a1b2c3d4e5"
    assert proven.principal.session == ""
    assert made == START
    assert proven.until == START + timedelta(minutes=5) + LEEWAY


async def test_two_tokens_have_two_marks_and_one_token_has_one() -> None:
    stage = Stage()
    marks = {(await stage.tokens.read(token(claims(jti=one)).encode()))[0].mark for one in ("1", "2", "1")}
    assert len(marks) == 2


async def test_an_account_in_no_organization_has_none() -> None:
    proven, _ = await Stage().tokens.read(token(claims(**{ABOUT: {"aws_account": "123456789012"}})).encode())
    assert proven.principal.organization == ""


def unsigned(said: Mapping[str, object]) -> str:
    parts = ({"alg": "none", "kid": "rsa"}, said)
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in parts) + "."


NOW = int(START.timestamp())

ATTACKS: dict[str, tuple[str, str]] = {
    "alg none": (unsigned(claims()), "malformed"),
    "alg none, with a signature": (unsigned(claims()) + "c2lnbmF0dXJl", "refused"),
    "signed by somebody else": (token(key=STRANGER), "refused"),
    "HS256": (token(key="a secret that is long enough for HS256", algorithm="HS256"), "refused"),
    "PS256": (token(algorithm="PS256"), "refused"),
    "RS512": (token(algorithm="RS512"), "refused"),
    "the other key's name": (token(kid="ec"), "refused"),
    "an unknown key's name": (token(kid="other"), "refused"),
    "another issuer": (token(claims(iss="https://oidc.example.com")), "wrong_endpoint"),
    "the issuer with a slash": (token(claims(iss=f"{ISSUER}/")), "wrong_endpoint"),
    "the issuer in capitals": (token(claims(iss=ISSUER.upper())), "wrong_endpoint"),
    "another audience": (token(claims(aud="https://other.example.com")), "not_bound_here"),
    "the audience with a slash": (token(claims(aud=f"{SERVER}/")), "not_bound_here"),
    "no audience": (token(claims(aud=None)), "not_bound_here"),
    "expired": (token(claims(iat=NOW - 400, exp=NOW - 100)), "expired"),
    "not yet": (token(claims(iat=NOW + 100, exp=NOW + 400)), "not_yet_valid"),
    "good for a day": (token(claims(exp=NOW + 86_400)), "refused"),
    "no end": (token(claims(exp=None)), "malformed"),
    "no beginning": (token(claims(iat=None)), "refused"),
    "no jti": (token(claims(jti=None)), "refused"),
    "an empty jti": (token(claims(jti="")), "refused"),
    "an endless jti": (token(claims(jti="x" * 257)), "refused"),
    "no subject": (token(claims(sub=None)), "refused"),
    "a subject that is no principal": (token(claims(sub="alice")), "refused"),
    "a subject of another account": (token(claims(sub="arn:aws:iam::999999999999:role/deploy")), "refused"),
    "nothing of AWS": (token(claims(**{ABOUT: None})), "refused"),
    "AWS as text": (token(claims(**{ABOUT: "123456789012"})), "refused"),
    "an account as a number": (token(claims(**{ABOUT: {"aws_account": 123456789012}})), "refused"),
    "an organization that is none": (
        token(claims(**{ABOUT: {"aws_account": "123456789012", "org_id": "*"}})),
        "refused",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_any_other_token_is_refused(name: str) -> None:
    shown, reason = ATTACKS[name]
    assert await Stage().reason(shown) == reason


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"..",
        b"a.b.c",
        b"a.b",
        b"a.b.c.d",
        b"e30.W10.e30",
        b"e30.e30.e30",
        b"e30.eyJpc3MiOjF9.e30",
        b"e30." + base64.urlsafe_b64encode(b"[" * 9000) + b".e30",
        b"x" * (LONGEST + 1),
        "\u00e9.e30.e30".encode(),
    ],
)
async def test_what_is_no_jwt_is_malformed(raw: bytes) -> None:
    assert await Stage().reason(raw) == "malformed"


async def test_without_the_issuers_keys_nothing_is_said_of_a_token() -> None:
    stage = Stage()
    stage.site.away = True
    with pytest.raises(ProofUnchecked):
        await stage.tokens.read(token().encode())
    stage.site.away = False
    await stage.clock.advance(timedelta(minutes=1))
    assert await stage.tokens.read(token().encode())
