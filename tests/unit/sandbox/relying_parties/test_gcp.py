"""What Google Cloud's Security Token Service gives for a token."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox import PracticeIssuer
from tests.fakes.clock import START
from tests.unit.sandbox.relying_parties.place import EXCHANGE, PROVIDER, SUBJECT, place
from tests.unit.sandbox.scene import ISSUER, ec_key, rsa_key

NOW = int(START.timestamp())
DAY = 86_400


async def test_a_token_is_exchanged_for_one_of_a_principal(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        told = await here.exchange()
        assert told.status == 200
        given = told.body.pop("access_token")
        assert told.body == {
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 3599,
        }
        known = await here.ask("POST", "/gcp/v1/introspect", data={"token": given})
        pool = "projects/123456789/locations/global/workloadIdentityPools/hosts"
        assert known.body["username"] == f"principal://iam.googleapis.com/{pool}/subject/{SUBJECT}"
        await here.clock.advance(timedelta(hours=1))
        assert (await here.ask("POST", "/gcp/v1/introspect", data={"token": given})).body == {"active": False}


async def test_the_request_may_be_json_with_names_as_google_has_them(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        asked = {**EXCHANGE, "subject_token": here.token(PROVIDER.name)}
        camel = {"".join(p.title() if n else p for n, p in enumerate(name.split("_"))): v for name, v in asked.items()}
        for body in (asked, camel):
            assert (await here.ask("POST", "/gcp/v1/token", json=body)).status == 200


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"grant_type": "client_credentials"}, "unsupported_grant_type", "grant_type"),
        ({"requested_token_type": ""}, "invalid_request", "requested_token_type"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request", "subject_token_type"),
        ({"scope": ""}, "invalid_scope", "scope"),
        ({"audience": "projects/1/providers/x"}, "invalid_request", "the full resource name"),
        ({"audience": PROVIDER.name + "x"}, "invalid_target", "it doesn't exist"),
        ({"subject_token": "no token"}, "invalid_grant", "Unable to parse"),
    ],
)
async def test_a_request_that_is_wrong_is_refused_in_its_words(
    changed: dict[str, str], error: str, said: str, tmp_path: Path
) -> None:
    async with place(tmp_path) as here:
        told = await here.exchange(changed=changed)
    assert (told.status, told.body["error"]) == (400, error)
    assert said in told.body["error_description"]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": PROVIDER.name}, ""),
        ({"aud": ["x", PROVIDER.name]}, ""),
        ({"aud": "other"}, "does not match the expected audience //iam.googleapis.com"),
        ({"aud": None}, "does not match the expected audience"),
        ({"iss": ISSUER + "/"}, "does not match the expected ones: [https://oidc.example.com]"),
        ({"iat": NOW + 1}, "is in the future"),
        ({"iat": NOW}, ""),
        ({"iat": None}, "has no iat or no exp"),
        ({"exp": None}, "has no iat or no exp"),
        ({"exp": NOW}, f"ID Token issued at {NOW - 10} is stale to sign-in."),
        ({"iat": NOW - 10, "exp": NOW - 10 + 2 * DAY}, "exceeds 48 hours"),
        ({"iat": NOW - 10, "exp": NOW - 11 + 2 * DAY}, ""),
        ({"sub": None}, "has no sub"),
        ({"sub": "other"}, "rejected by the attribute condition"),
    ],
)
async def test_claims_are_judged_as_google_documents(claims: dict[str, Any], said: str, tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        told = await here.exchange(**claims)
    assert told.status == (400 if said else 200)
    if said:
        assert said in told.body["error_description"]
        condition = "condition" in said
        assert told.body["error"] == ("unauthorized_client" if condition else "invalid_grant")


@pytest.mark.parametrize(("size", "status"), [(127, 200), (128, 400)])
async def test_a_subject_has_at_most_127_bytes(size: int, status: int, tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.trust(providers=(replace(PROVIDER, condition=""),))
        told = await here.exchange(sub="é" * (size // 2) + "x" * (size % 2))
    assert told.status == status
    if status != 200:
        assert "google.subject exceeds the 127 bytes limit" in told.body["error_description"]


async def test_allowed_audiences_take_the_place_of_the_usual_ones(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.trust(providers=(replace(PROVIDER, allowed_audiences=("gcp", "other")),))
        assert (await here.exchange(aud="gcp")).status == 200
        assert (await here.exchange()).status == 400


async def test_mapped_attributes_can_be_asked_for_and_what_is_missing_is_refused(tmp_path: Path) -> None:
    mapping = {"google.subject": '"unit:" + assertion.unit', "attribute.host": "assertion.sub"}
    async with place(tmp_path) as here:
        provider = replace(
            PROVIDER, mapping=mapping, condition="attribute.host.startsWith('host:') && google.subject in ['unit:a']"
        )
        here.trust(providers=(provider,))
        assert (await here.exchange(unit="a")).status == 200
        assert (await here.exchange(unit="b")).body["error"] == "unauthorized_client"
        told = await here.exchange()
        assert "The attribute mapping of google.subject failed" in told.body["error_description"]
        here.trust(providers=(replace(PROVIDER, condition="assertion.unit == 'a'"),))
        assert (await here.exchange()).body["error"] == "unauthorized_client"
        here.trust(providers=(replace(PROVIDER, mapping={"google.subject": "assertion.exp"}),))
        assert "is no text" in (await here.exchange()).body["error_description"]


@pytest.mark.parametrize(("bits", "status"), [(256, 200), (384, 400), (521, 400)])
async def test_of_curves_the_usual_one_alone_is_taken(bits: int, status: int, tmp_path: Path) -> None:
    async with place(tmp_path, issuer=PracticeIssuer(ISSUER, ec_key(bits))) as here:
        assert (await here.exchange()).status == status


async def test_a_kid_is_required_and_a_forgery_refused(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        claims = {**here.issuer.claims(START), "sub": SUBJECT, "aud": PROVIDER.name}
        for token, said in [
            (here.issuer.sign(claims, kid=""), "no kid"),
            (here.issuer.sign(claims, kid="other"), "could not be verified"),
            (PracticeIssuer(ISSUER, rsa_key(1)).sign(claims), "could not be verified"),
        ]:
            assert said in (await here.exchange(token)).body["error_description"]


async def test_an_uploaded_key_set_takes_the_place_of_the_issuers_own(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        uploaded = PracticeIssuer(ISSUER, rsa_key(1), "uploaded")
        here.trust(providers=(replace(PROVIDER, jwks={"keys": [uploaded.jwk]}),))
        assert (await here.exchange()).status == 400
        here.issuer = uploaded
        assert (await here.exchange()).status == 200


async def test_an_issuer_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        (here.site / "keys.json").unlink()
        told = await here.exchange()
    assert told.body["error_description"] == "Error connecting to the given credential's issuer."


async def test_there_is_nothing_else_to_ask(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert (await here.ask("GET", "/gcp/v1/token")).status == 404
        assert (await here.ask("POST", "/gcp/v2/token")).status == 404
