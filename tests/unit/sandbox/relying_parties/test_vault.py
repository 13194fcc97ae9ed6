"""What the JWT auth method of Vault gives for a token. A real Vault is asked the same in tests/live/vault."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from agent.sandbox import PracticeIssuer
from agent.sandbox.trusting.world import JwtAuth, JwtRole
from tests.fakes.clock import START
from tests.unit.sandbox.relying_parties.place import SUBJECT, VAULT, place
from tests.unit.sandbox.scene import ISSUER, ec_key, rsa_key

NOW = int(START.timestamp())


def role(**changed: object) -> tuple[JwtAuth, ...]:
    (usual,) = VAULT.roles
    return (replace(VAULT, roles=(replace(usual, **changed),)),)  # type: ignore[arg-type]  # as the test has it


async def test_a_login_gives_a_token_with_the_roles_policies(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        told = await here.log_in()
        assert told.status == 200
        auth = told.body["auth"]
        assert (auth["policies"], auth["metadata"]) == (["default", "secrets"], {"role": "web"})
        seen = await here.ask(
            "GET", "/vault/v1/auth/token/lookup-self", headers={"X-Vault-Token": auth["client_token"]}
        )
        assert (seen.body["data"]["display_name"], seen.body["data"]["meta"]) == (f"jwt-{SUBJECT}", {"role": "web"})
        stranger = await here.ask("GET", "/vault/v1/auth/token/lookup-self", headers={"X-Vault-Token": "hvs.x"})
        assert (stranger.status, stranger.body) == (403, {"errors": ["permission denied"]})


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": ISSUER + "/"}, "error validating token: invalid issuer (iss) claim"),
        ({"sub": "other"}, "error validating token: invalid subject (sub) claim"),
        ({"aud": "other"}, "invalid audience (aud) claim: audience claim does not match any expected audience"),
        ({"aud": None}, "invalid audience (aud) claim"),
        ({"aud": ["x", "vault"]}, ""),
        ({"exp": NOW - 60}, ""),
        ({"exp": NOW - 61}, "invalid expiration time (exp) claim: token is expired"),
        ({"nbf": NOW + 60}, ""),
        ({"nbf": NOW + 61}, "invalid not before (nbf) claim: token not yet valid"),
        ({"iat": NOW + 61}, "invalid issued at (iat) claim: token issued in the future"),
        ({"exp": None, "nbf": NOW - 210, "iat": NOW - 210}, ""),
        ({"exp": None, "nbf": NOW - 211, "iat": NOW - 211}, "token is expired"),
        ({"nbf": None, "iat": None, "exp": NOW + 210}, ""),
        ({"nbf": None, "iat": None, "exp": NOW + 211}, "token not yet valid"),
        ({"nbf": None, "iat": None, "exp": None}, "no issued at (iat), not before (nbf), or expiration time (exp)"),
    ],
)
async def test_claims_are_judged_with_its_leeways(claims: dict[str, Any], said: str, tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        told = await here.log_in(**claims)
    assert told.status == (400 if said else 200)
    if said:
        (error,) = told.body["errors"]
        assert said in error


async def test_a_role_without_audiences_takes_no_token_that_has_one(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.trust(vault=role(bound_audiences=()))
        assert (await here.log_in()).body == {
            "errors": ["audience claim found in JWT but no audiences bound to the role"]
        }
        assert (await here.log_in(aud=None)).status == 200


@pytest.mark.parametrize(
    ("bound", "how", "claims", "status"),
    [
        ({"unit": "a"}, "string", {"unit": "a"}, 200),
        ({"unit": ["b", "a"]}, "string", {"unit": ["x", "a"]}, 200),
        ({"unit": "a*"}, "string", {"unit": "ab"}, 400),
        ({"unit": "a*"}, "glob", {"unit": "ab"}, 200),
        ({"unit": "a?"}, "glob", {"unit": "ab"}, 400),
        ({"unit": "[ab]"}, "glob", {"unit": "a"}, 400),
        ({"unit": "a"}, "string", {}, 400),
        ({"admin": True}, "string", {"admin": True}, 200),
        ({"admin": True}, "string", {"admin": 1}, 400),
        ({"/rolecall/unit": "a"}, "string", {"rolecall": {"unit": "a"}}, 200),
        ({"/rolecall/unit": "a"}, "string", {"rolecall": "a"}, 400),
    ],
)
async def test_bound_claims_have_to_be_there(
    bound: dict[str, object], how: str, claims: dict[str, Any], status: int, tmp_path: Path
) -> None:
    async with place(tmp_path) as here:
        here.trust(vault=role(bound_claims=bound, bound_claims_type=how))
        told = await here.log_in(**claims)
    assert told.status == status
    if status != 200:
        assert told.body["errors"][0].startswith("error validating claims: claim ")


async def test_the_user_claim_has_to_be_a_text(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.trust(vault=role(user_claim="unit"))
        assert (await here.log_in()).body == {"errors": ['claim "unit" not found in token']}
        assert (await here.log_in(unit=1)).body == {"errors": ['claim "unit" could not be converted to string']}
        assert (await here.log_in(unit="a")).status == 200


async def test_who_asks_for_the_wrong_thing_is_told(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert (await here.log_in(role="other")).body == {"errors": ['role "other" could not be found']}
        assert (await here.log_in(role="")).body == {"errors": ["missing role"]}
        assert (await here.log_in(token="")).body == {"errors": ["missing token"]}
        assert (await here.log_in(mount="other")).status == 403
        assert (await here.ask("GET", "/vault/v1/auth/jwt/login")).status == 405
        assert (await here.ask("GET", "/vault/v1/secret/x")).status == 403
        here.trust(vault=(replace(VAULT, default_role="web"),))
        assert (await here.log_in(role="")).status == 200


@pytest.mark.parametrize("bits", [256, 384, 521])
async def test_every_algorithm_of_ours_is_taken(bits: int, tmp_path: Path) -> None:
    async with place(tmp_path, issuer=PracticeIssuer(ISSUER, ec_key(bits))) as here:
        assert (await here.log_in()).status == 200


async def test_forgeries_are_not(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        claims = {**here.issuer.claims(START), "sub": SUBJECT, "aud": "vault"}
        for token in (
            PracticeIssuer(ISSUER, rsa_key(1)).sign(claims),
            here.issuer.sign(claims, kid="other"),
            jwt.encode(claims, "", "none", {"kid": here.issuer.kid}),
            jwt.encode(claims, "", "none", {"kid": here.issuer.kid}) + "AAAA",
            "a.b.c",
        ):
            told = await here.log_in(token)
            assert told.status == 400
            assert "error verifying token signature" in told.body["errors"][0]


async def test_an_unknown_key_is_looked_up_and_a_known_one_is_never_doubted(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert (await here.log_in()).status == 200
        week = 7 * 86_400
        old = here.token("vault", exp=NOW + 2 * week)
        (here.site / "keys.json").unlink()
        await here.clock.advance(timedelta(days=7))
        assert (await here.log_in(old)).status == 200
        await here.rotate()
        assert (await here.log_in()).status == 200
        assert (await here.log_in(old)).status == 400


async def test_an_issuer_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        (here.site / "keys.json").unlink()
        told = await here.log_in()
    assert "fetching keys" in told.body["errors"][0]


def test_a_role_is_bound_to_something() -> None:
    assert JwtRole("web", bound_subject="a").bound_audiences == ()
