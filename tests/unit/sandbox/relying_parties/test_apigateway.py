"""What a JWT authorizer of API Gateway lets through."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from agent.sandbox import PracticeIssuer
from agent.sandbox.trusting.world import HttpApi, Route
from tests.fakes.clock import START
from tests.unit.sandbox.relying_parties.place import SUBJECT, place
from tests.unit.sandbox.scene import ISSUER, ec_key, rsa_key

NOW = int(START.timestamp())


async def test_the_api_is_told_of_the_claims_as_texts(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        told = await here.call(groups=["a", "b"], admin=True, level=7, nested={"b": [1], "a": None}, none=None)
    assert told.status == 200
    jwt = told.body["requestContext"]["authorizer"]["jwt"]
    assert jwt["scopes"] is None
    assert jwt["claims"] == {
        "iss": ISSUER,
        "sub": SUBJECT,
        "aud": "https://api.example.com",
        "iat": str(NOW - 10),
        "nbf": str(NOW - 10),
        "exp": str(NOW + 290),
        "groups": "[a b]",
        "admin": "true",
        "level": "7",
        "nested": "map[a:<nil> b:[1]]",
    }
    assert told.headers["apigw-requestid"] == told.body["requestContext"]["requestId"]


async def test_a_token_may_come_without_bearer(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        for before in ("", "bearer ", "Bearer  "):
            headers = {"Authorization": before + here.token("https://api.example.com")}
            assert (await here.ask("GET", "/apis/a1b2c3/", headers=headers)).status == 200


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": "other"}, "the token does not have a valid audience"),
        ({"aud": ["other", "https://api.example.com"]}, ""),
        ({"aud": None, "client_id": "https://api.example.com"}, ""),
        ({"aud": "other", "client_id": "https://api.example.com"}, "the token does not have a valid audience"),
        ({"aud": None}, "the token does not have a valid audience"),
        ({"iss": ISSUER + "/"}, "the token does not have a valid issuer"),
        ({"exp": NOW}, "the token has expired"),
        ({"exp": NOW + 1}, ""),
        ({"exp": None}, "the token has expired"),
        ({"nbf": NOW}, "the token is not valid yet"),
        ({"nbf": NOW - 1}, ""),
        ({"nbf": None}, ""),
        ({"iat": NOW}, "the token was used before it was issued"),
        ({"iat": None}, ""),
        ({"exp": "soon"}, "the token is malformed"),
    ],
)
async def test_claims_are_judged_with_no_leeway(claims: dict[str, Any], why: str, tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        told = await here.call(**claims)
    assert told.status == (401 if why else 200)
    if why:
        assert told.body == {"message": "Unauthorized"}
        assert told.why == f'Bearer scope="" error="invalid_token" error_description="{why}"'


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"scope": "read"}, 200),
        ({"scope": "other write"}, 200),
        ({"scp": ["read"]}, 200),
        ({"scp": "write"}, 200),
        ({"scope": "reading"}, 403),
        ({"scope": "other", "scp": "read"}, 403),
        ({"scope": 7}, 403),
        ({}, 403),
    ],
)
async def test_a_route_with_scopes_wants_one_of_them(claims: dict[str, Any], status: int, tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        told = await here.call("/orders", **claims)
        assert told.status == status
        if status == 403:
            assert told.body == {"message": "Forbidden"}
            assert 'error="insufficient_scope"' in told.why
        assert (await here.call("/orders", method="POST", **claims)).status == 200  # that is $default


async def test_without_a_token_nothing_is_told_but_what_is_wanted(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        told = await here.call(token="")
    assert (told.status, told.why, told.body) == (401, "Bearer", {"message": "Unauthorized"})


@pytest.mark.parametrize("bits", [256, 384])
async def test_only_rsa_is_taken(bits: int, tmp_path: Path) -> None:
    async with place(tmp_path, issuer=PracticeIssuer(ISSUER, ec_key(bits))) as here:
        told = await here.call()
    assert told.status == 401
    assert f"signing method ES{bits} is invalid" in told.why


async def test_a_token_that_is_forged_or_of_no_known_key_is_not_taken(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        claims = {**here.issuer.claims(START), "aud": "https://api.example.com", "iat": NOW - 1, "nbf": NOW - 1}
        stranger = PracticeIssuer(ISSUER, rsa_key(1))
        for token, why in [
            (stranger.sign(claims), "invalid signature"),
            (here.issuer.sign(claims, kid="other"), "unable to find the key"),
            (here.issuer.sign(claims, kid=""), "does not name its key"),
            (jwt.encode(claims, "", "none", {"kid": here.issuer.kid}) + "AAAA", "signing method none is invalid"),
            ("a.b.c", "malformed"),
            (here.issuer.sign(claims)[:-8] + "AAAAAAAA", "invalid signature"),
        ]:
            told = await here.call(token=token)
            assert (told.status, why in told.why) == (401, True), told.why


async def test_keys_are_kept_for_two_hours_and_a_new_one_is_unknown_until_then(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert (await here.call()).status == 200
        old = here.token("https://api.example.com", exp=NOW + 9 * 3600)
        await here.rotate()
        assert (await here.call()).status == 401
        await here.clock.advance(timedelta(hours=1, minutes=59))
        assert (await here.call()).status == 401
        assert (await here.call(token=old)).status == 200
        await here.clock.advance(timedelta(minutes=1))
        assert (await here.call()).status == 200
        assert (await here.call(token=old)).status == 401


async def test_an_issuer_that_cannot_be_read_is_asked_again(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        keys = here.site / "keys.json"
        kept = keys.read_text()
        keys.unlink()
        told = await here.call()
        assert (told.status, "communication error" in told.why) == (401, True)
        keys.write_text(kept)
        assert (await here.call()).status == 200


async def test_the_most_particular_route_is_the_one(tmp_path: Path) -> None:
    routes = ("$default", "ANY /{proxy+}", "GET /{proxy+}", "GET /a/{b}", "GET /a/b", "ANY /a/b")
    async with place(tmp_path) as here:
        here.trust(apis=(HttpApi("a1b2c3", ISSUER, ("https://api.example.com",), tuple(map(Route, routes))),))
        for method, path, key in [
            ("GET", "/a/b", "GET /a/b"),
            ("POST", "/a/b", "ANY /a/b"),
            ("GET", "/a/c", "GET /a/{b}"),
            ("GET", "/a/c/d", "GET /{proxy+}"),
            ("PUT", "/a/c", "ANY /{proxy+}"),
            ("GET", "/", "$default"),
        ]:
            assert (await here.call(path, method=method)).body["routeKey"] == key


async def test_what_is_no_route_is_not_found_whatever_is_shown(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.trust(apis=(HttpApi("a1b2c3", ISSUER, ("a",), (Route("GET /orders"),)),))
        assert (await here.call("/other")).status == 404
        assert (await here.ask("GET", "/apis/other/orders")).status == 404
