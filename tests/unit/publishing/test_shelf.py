import json
from datetime import timedelta

import pytest

from agent.errors import PublishingFailed
from agent.publishing import Jwk
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH
from agent.publishing.shelf import Shelf

ISSUER = "https://oidc.example.com/site-a"
A, B = ({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": name, "e": "AQAB"} for name in "ab")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(ISSUER, max_age=timedelta(minutes=5))


def keys_on(shelf: Shelf) -> list[Jwk]:
    document = shelf.document(JWKS_PATH)
    assert document is not None
    found: list[Jwk] = json.loads(document.body)["keys"]
    return found


def test_nothing_is_there_before_anything_was_published(shelf: Shelf) -> None:
    assert shelf.document(JWKS_PATH) is None
    assert shelf.document(DISCOVERY_PATH) is None


async def test_what_was_published_last_is_what_is_there(shelf: Shelf) -> None:
    await shelf.publish([A], [])
    placed = await shelf.publish([A, B], [])
    assert keys_on(shelf) == [A, B]
    assert [shelf.document(one.document.path) for one in placed] == [one.document for one in placed]
    await shelf.publish([B], ["a"])
    assert keys_on(shelf) == [B]


async def test_what_became_of_each_document_is_told_with_its_address(shelf: Shelf) -> None:
    assert [(one.where, one.state) for one in await shelf.publish([A], [])] == [
        (f"{ISSUER}/{JWKS_PATH}", "new"),
        (f"{ISSUER}/{DISCOVERY_PATH}", "new"),
    ]
    assert [one.state for one in await shelf.publish([B], [])] == ["changed", "unchanged"]


async def test_nothing_else_can_be_asked_for(shelf: Shelf) -> None:
    await shelf.publish([A], [])
    assert shelf.document("") is None
    assert shelf.document("/" + JWKS_PATH) is None


async def test_a_set_that_nobody_would_believe_leaves_what_is_there(shelf: Shelf) -> None:
    await shelf.publish([A], [])
    with pytest.raises(PublishingFailed):
        await shelf.publish([], ["a"])
    assert keys_on(shelf) == [A]
