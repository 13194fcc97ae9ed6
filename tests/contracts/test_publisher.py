"""What does every publisher promise? One suite; each implementation is one more parameter."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import PublishingFailed
from agent.publishing import Jwk, Placed, Publisher
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, documents, published
from agent.publishing.shelf import Shelf
from tests.fakes.memory_key import MemoryKey

ISSUER = "https://oidc.example.com/site-a"
AGE = timedelta(minutes=5)
OLD, NEW = (published(MemoryKey().public) for _ in range(2))


@dataclass(frozen=True, slots=True)
class Place:
    """A publisher and the eyes of the world on what it publishes; None where there is nothing."""

    publisher: Publisher
    read: Callable[[str], bytes | None]

    def keys(self) -> list[Jwk]:
        body = self.read(JWKS_PATH)
        assert body is not None
        found: list[Jwk] = json.loads(body)["keys"]
        return found


def a_directory(folder: Path) -> Place:
    def read(path: str) -> bytes | None:
        file = folder / "site" / path
        return file.read_bytes() if file.exists() else None

    return Place(DirectoryPublisher(folder / "site", ISSUER, max_age=AGE), read)


def a_shelf(_: Path) -> Place:
    shelf = Shelf(ISSUER, max_age=AGE)

    def read(path: str) -> bytes | None:
        document = shelf.document(path)
        return None if document is None else document.body

    return Place(shelf, read)


@pytest.fixture(params=[a_directory, a_shelf])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    built = request.param(tmp_path)
    assert isinstance(built, Place)
    return built


def kids(keys: list[Jwk]) -> list[object]:
    return [key["kid"] for key in keys]


def states(placed: object) -> list[str]:
    assert isinstance(placed, list)
    return [one.state for one in placed if isinstance(one, Placed)]


async def test_what_is_published_can_be_read_byte_for_byte(place: Place) -> None:
    placed = await place.publisher.publish([OLD, NEW], [])
    assert [one.document for one in placed] == list(documents(ISSUER, [OLD, NEW], max_age=AGE))
    for one in placed:
        assert place.read(one.document.path) == one.document.body
        assert one.document.path in one.where


async def test_the_key_set_is_placed_before_the_document_that_leads_to_it(place: Place) -> None:
    placed = await place.publisher.publish([OLD], [])
    assert [one.document.path for one in placed] == [JWKS_PATH, DISCOVERY_PATH]


async def test_what_became_of_each_document_is_told(place: Place) -> None:
    assert states(await place.publisher.publish([OLD], [])) == ["new", "new"]
    assert states(await place.publisher.publish([OLD], [])) == ["unchanged", "unchanged"]
    assert states(await place.publisher.publish([OLD, NEW], [])) == ["changed", "unchanged"]


async def test_publishing_the_same_again_changes_no_byte(place: Place) -> None:
    await place.publisher.publish([OLD, NEW], [])
    before = place.read(JWKS_PATH), place.read(DISCOVERY_PATH)
    for _ in range(3):
        await place.publisher.publish([OLD, NEW], [])
    assert (place.read(JWKS_PATH), place.read(DISCOVERY_PATH)) == before


async def test_a_key_stays_until_it_is_withdrawn(place: Place) -> None:
    await place.publisher.publish([OLD], [])
    await place.publisher.publish([NEW], [])
    assert place.keys() == [OLD, NEW]
    await place.publisher.publish([NEW], [str(OLD["kid"])])
    assert place.keys() == [NEW]


async def test_withdrawing_what_is_not_there_is_welcome(place: Place) -> None:
    await place.publisher.publish([OLD], ["never-seen"])
    await place.publisher.publish([OLD], ["never-seen"])
    assert place.keys() == [OLD]


async def test_a_key_may_be_shown_with_a_certificate_later(place: Place) -> None:
    await place.publisher.publish([OLD, NEW], [])
    certified = {**OLD, "x5c": ["certificate"]}
    await place.publisher.publish([certified, NEW], [])
    assert place.keys() == [certified, NEW]


async def test_no_publisher_shows_an_issuer_without_keys(place: Place) -> None:
    with pytest.raises(PublishingFailed):
        await place.publisher.publish([], [])
    assert place.read(JWKS_PATH) is None
    await place.publisher.publish([OLD], [])
    with pytest.raises(PublishingFailed):
        await place.publisher.publish([], [str(OLD["kid"])])
    assert place.keys() == [OLD]
