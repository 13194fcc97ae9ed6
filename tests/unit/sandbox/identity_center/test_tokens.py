"""What is given for what, and is nothing given twice?"""

from functools import partial
from typing import Any

import pytest

from agent.sandbox.identity_center.refusals import OIDC_ERRORS
from agent.sandbox.identity_center.registration import GRANTS
from tests.unit.sandbox.identity_center.visit import VERIFIER, refused, visit
from tests.unit.sandbox.scene import scene


def test_a_sign_in_gives_what_the_model_says() -> None:
    with visit() as v:
        tokens = v.tokens()
        assert (tokens["tokenType"], tokens["expiresIn"]) == ("Bearer", 3600)
        assert tokens["accessToken"].startswith("aoa")
        assert tokens["refreshToken"].startswith("aor")
        assert "idToken" not in tokens


def test_scope_has_no_effect() -> None:
    with visit() as v:
        client = v.register()
        assert v.redeem(client, v.code(client), scope=["anything"])["accessToken"]


@pytest.mark.parametrize(
    ("grant", "needs"),
    [("authorization_code", ("code", "redirectUri", "codeVerifier")), ("refresh_token", ("refreshToken",))],
)
def test_each_grant_needs_its_own_members(grant: str, needs: tuple[str, ...]) -> None:
    with visit() as v:
        client = v.register()
        whole = dict.fromkeys(needs, VERIFIER)
        for missing in needs:
            asked = {**whole, missing: None}
            assert refused(partial(v.create_token, client, grantType=grant, **asked)) == "InvalidRequest"
        assert refused(lambda: v.create_token(client, grantType=grant, **whole)) == "InvalidGrant"


def test_the_client_is_asked_for_before_the_grant_is_looked_at() -> None:
    with visit() as v:
        client: Any = v.register()
        for stranger in ({**client, "clientId": "x"}, {**client, "clientSecret": "x"}):
            for grant in (*GRANTS, "password"):
                assert refused(partial(v.create_token, stranger, grantType=grant)) == "InvalidClient"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"[" * 100_000, b"\xff", b'{"grantType": 1}', b'{"grantType": "x"}', b"{}"]
)
async def test_a_body_that_is_none_is_refused_as_such(body: bytes, tmp_path: Any) -> None:
    async with scene(tmp_path) as here:
        answer = await here.http.post(f"{here.sandbox.endpoint_url}/token", data=body)
        said = await answer.json()
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "InvalidRequestException"
    assert answer.headers["Cache-Control"] == "no-store"
    assert said == {"error": "invalid_request", "error_description": OIDC_ERRORS["InvalidRequestException"][2]}
