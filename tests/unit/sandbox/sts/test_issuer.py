"""Is what an issuer publishes read as AWS reads it?"""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from agent.sandbox import PracticeIssuer
from tests.fakes.clock import START, FakeClock
from tests.unit.sandbox.scene import ISSUER, ec_key, rsa_key, scene
from tests.unit.sandbox.visits import DISCOVERY, NO_KEY, OURS, Site, visited


async def test_both_documents_are_fetched_for_every_token_under_the_issuers_own_name(tmp_path: Path) -> None:
    site = Site()
    async with visited(tmp_path, site) as here:
        for _ in range(2):
            assert (await here.assume()).status == 200
        assert site.seen == [(DISCOVERY, "oidc.example.com"), ("/keys.json", "oidc.example.com")] * 2


@pytest.mark.parametrize(
    "media_type", ["application/octet-stream", "text/html", "text/plain", "binary/octet-stream", "application/jsonp"]
)
async def test_documents_of_another_type_are_not_read(media_type: str, tmp_path: Path) -> None:
    for path in (DISCOVERY, "/keys.json"):
        document = OURS.discovery if path == DISCOVERY else {"keys": [OURS.jwk]}
        body = json.dumps(document)
        async with visited(tmp_path, Site({path: web.Response(text=body, content_type=media_type)})) as here:
            assert (await here.assume()).refusal == (400, "InvalidIdentityToken", NO_KEY)
            assert here.sandbox.requests[-1].why.endswith(f"is served as {media_type}, not as JSON")


@pytest.mark.parametrize("media_type", ["application/json", "application/jwk-set+json"])
async def test_a_key_set_may_call_itself_one(media_type: str, tmp_path: Path) -> None:
    document = web.Response(text=json.dumps({"keys": [OURS.jwk]}), content_type=media_type, charset="utf-8")
    async with visited(tmp_path, Site({"/keys.json": document})) as here:
        assert (await here.assume()).status == 200


async def test_keys_may_be_at_another_host_that_is_known(tmp_path: Path) -> None:
    elsewhere = {**OURS.discovery, "jwks_uri": "https://keys.example.com/keys.json"}
    site = Site({DISCOVERY: web.json_response(elsewhere)})
    async with visited(tmp_path, site) as here:
        assert (await here.assume()).status == 200
        assert site.seen[-1] == ("/keys.json", "keys.example.com")


async def test_a_hundred_keys_of_each_type_are_not_too_many(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        others = [{**here.issuer.jwk, "kid": f"r{number}"} for number in range(99)]
        curves = [{**PracticeIssuer(ISSUER, ec_key(256)).jwk, "kid": f"e{number}"} for number in range(100)]
        (here.site / "keys.json").write_text(json.dumps({"keys": [*others, *curves, here.issuer.jwk]}))
        assert (await here.assume()).status == 200


async def test_an_issuer_with_path_and_trailing_slash_keeps_both(tmp_path: Path) -> None:
    url = "https://oidc.example.com/tenant/"
    async with scene(tmp_path, issuer=PracticeIssuer(url, rsa_key())) as here:
        answer = await here.assume()
        assert answer.status == 200
        assert answer.text("Provider") == "arn:aws:iam::123456789012:oidc-provider/oidc.example.com/tenant/"


async def test_a_new_key_is_seen_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.assume()).status == 200
        successor = PracticeIssuer(ISSUER, rsa_key(1), "next")
        token = successor.sign(successor.claims(START))
        assert (await here.assume(token)).status == 400
        successor.publish(here.site)
        assert (await here.assume(token)).status == 200
        assert (await here.assume()).status == 400


async def test_keys_may_be_kept_and_an_unknown_one_is_looked_up(tmp_path: Path) -> None:
    clock = FakeClock()
    async with scene(tmp_path, clock=clock, keys_kept=timedelta(minutes=10)) as here:
        assert (await here.assume()).status == 200
        successor = PracticeIssuer(ISSUER, rsa_key(1), "next")
        successor.publish(here.site)
        assert (await here.assume()).status == 200  # the old key is gone from the site, and still known
        assert (await here.assume(successor.sign(successor.claims(START)))).status == 200
        assert (await here.assume()).status == 400  # what was fetched for the new key no longer shows the old one
        here.issuer.publish(here.site)
        assert (await here.assume()).status == 200
        (here.site / "keys.json").unlink()
        await clock.advance(timedelta(minutes=11))
        assert (await here.assume()).refusal[1] == "InvalidIdentityToken"
