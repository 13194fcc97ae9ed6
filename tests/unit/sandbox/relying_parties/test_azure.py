"""What Microsoft Entra ID gives for a token."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox import PracticeIssuer
from tests.fakes.clock import START
from tests.unit.sandbox.relying_parties.place import APPLICATION, SUBJECT, place
from tests.unit.sandbox.scene import ISSUER, ec_key, rsa_key

NOW = int(START.timestamp())


async def test_an_assertion_is_as_good_as_a_secret(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        told = await here.assert_to_entra()
    assert told.status == 200
    assert told.body.pop("access_token")
    assert told.body == {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599}


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": ISSUER + "/"}, 700211),
        ({"iss": ISSUER.replace("oidc", "OIDC")}, 700211),
        ({"sub": "host:WEB-1"}, 700213),
        ({"sub": None}, 700213),
        ({"aud": "api://azureadtokenexchange"}, 700212),
        ({"aud": ["api://AzureADTokenExchange", "other"]}, 700212),
        ({"exp": NOW}, 700024),
        ({"exp": None}, 700024),
        ({"nbf": NOW + 1}, 700024),
        ({"iat": NOW + 1}, 700024),
    ],
)
async def test_issuer_subject_and_audience_are_compared_letter_by_letter(
    claims: dict[str, Any], code: int, tmp_path: Path
) -> None:
    async with place(tmp_path) as here:
        told = await here.assert_to_entra(**claims)
    assert (told.status, told.body["error"], told.body["error_codes"]) == (401, "invalid_client", [code])
    assert told.body["error_description"].startswith(f"AADSTS{code}: ")
    assert told.body["trace_id"] in told.body["error_description"]


@pytest.mark.parametrize(
    ("changed", "error", "code"),
    [
        ({"client_id": ""}, "invalid_request", 900144),
        ({"client_assertion": ""}, "invalid_request", 900144),
        ({"grant_type": "password"}, "unsupported_grant_type", 70003),
        ({"client_assertion_type": "saml"}, "invalid_request", 900023),
        ({"scope": "https://graph.microsoft.com/User.Read"}, "invalid_scope", 1002012),
        ({"client_id": "client-2"}, "unauthorized_client", 700016),
        ({"client_assertion": "no token"}, "invalid_request", 50027),
    ],
)
async def test_a_request_that_is_wrong_has_its_code(
    changed: dict[str, str], error: str, code: int, tmp_path: Path
) -> None:
    async with place(tmp_path) as here:
        told = await here.assert_to_entra(changed=changed)
    assert (told.status, told.body["error"], told.body["error_codes"]) == (400, error, [code])


async def test_an_application_is_known_in_its_own_tenant_alone(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert (await here.assert_to_entra(tenant="tenant-2")).body["error_codes"] == [90002]


async def test_before_any_credential_is_known_none_matches(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.trust(applications=(replace(APPLICATION, credentials=()),))
        told = await here.assert_to_entra()
    assert (told.status, told.body["error_codes"]) == (400, [70021])


async def test_rs256_alone_is_taken(tmp_path: Path) -> None:
    async with place(tmp_path, issuer=PracticeIssuer(ISSUER, ec_key(256))) as here:
        assert (await here.assert_to_entra()).body["error_codes"] == [5002730]


async def test_a_forgery_is_refused(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        claims = {**here.issuer.claims(START), "sub": SUBJECT, "aud": "api://AzureADTokenExchange"}
        for token in (here.issuer.sign(claims, kid="x"), PracticeIssuer(ISSUER, rsa_key(1)).sign(claims)):
            assert (await here.assert_to_entra(token)).body["error_codes"] == [700027]


async def test_an_issuer_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        (here.site / "keys.json").unlink()
        assert (await here.assert_to_entra()).body["error_codes"] == [50166]


async def test_there_is_nothing_else_to_ask(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert (await here.ask("GET", "/azure/tenant-1/oauth2/v2.0/token")).status == 404
        assert (await here.ask("POST", "/azure/tenant-1/oauth2/token", data={"a": "b"})).status == 404
        assert (await here.ask("POST", "/azure/tenant-1/oauth2/v2.0/token", json={})).status == 404
