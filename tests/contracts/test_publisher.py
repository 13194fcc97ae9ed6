"""What does every publisher promise? One suite; each implementation is one more parameter."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.publishing import Document, Publisher
from agent.publishing.directory import DirectoryPublisher


@dataclass(frozen=True, slots=True)
class Place:
    """A publisher and the eyes of the world on what it publishes."""

    publisher: Publisher
    read: Callable[[str], bytes]


def a_directory(folder: Path) -> Place:
    return Place(DirectoryPublisher(folder / "site"), lambda path: (folder / "site" / path).read_bytes())


@pytest.fixture(params=[a_directory])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    built = request.param(tmp_path)
    assert isinstance(built, Place)
    return built


def a_document(body: bytes, path: str = ".well-known/jwks.json") -> Document:
    return Document(path, body, "application/json", 300)


async def test_what_is_published_can_be_read_byte_for_byte(place: Place) -> None:
    body = bytes(range(256)) * 1000
    await place.publisher.publish([a_document(body), a_document(b"", "deep/er/empty"), a_document(b"top", "top")])
    assert place.read(".well-known/jwks.json") == body
    assert place.read("deep/er/empty") == b""
    assert place.read("top") == b"top"


async def test_publishing_again_replaces_what_was_there(place: Place) -> None:
    await place.publisher.publish([a_document(b"a much longer text than the next")])
    await place.publisher.publish([a_document(b"short")])
    assert place.read(".well-known/jwks.json") == b"short"


async def test_publishing_the_same_again_is_welcome(place: Place) -> None:
    for _ in range(3):
        await place.publisher.publish([a_document(b"same")])
    assert place.read(".well-known/jwks.json") == b"same"


async def test_what_is_not_named_stays(place: Place) -> None:
    await place.publisher.publish([a_document(b"one", "one"), a_document(b"two", "two")])
    await place.publisher.publish([a_document(b"ONE", "one")])
    assert (place.read("one"), place.read("two")) == (b"ONE", b"two")


async def test_publishing_nothing_changes_nothing(place: Place) -> None:
    await place.publisher.publish([a_document(b"kept")])
    await place.publisher.publish([])
    assert place.read(".well-known/jwks.json") == b"kept"
