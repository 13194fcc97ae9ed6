"""What does every publisher promise? One suite; each implementation is one more parameter."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from agent.clients.signed import s3_client
from agent.clock import SystemClock
from agent.errors import PublishingFailed
from agent.publishing import Jwk, Placed, Publisher
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, documents, published
from agent.publishing.s3.publisher import Bucket, S3Publisher
from agent.publishing.shelf import Shelf
from tests.fakes.memory_key import MemoryKey
from tests.fakes.moto import REGION, endpoint
from tests.fakes.places import moto_on_demand

ISSUER = "https://oidc.example.com/site-a"
AGE = timedelta(minutes=5)
OLD, NEW = (published(MemoryKey().public) for _ in range(2))


@dataclass(frozen=True, slots=True)
class Place:
    """A publisher and the eyes of the world on what it publishes; None where there is nothing."""

    publisher: Publisher
    read: Callable[[str], Awaitable[bytes | None]]

    async def keys(self) -> list[Jwk]:
        body = await self.read(JWKS_PATH)
        assert body is not None
        found: list[Jwk] = json.loads(body)["keys"]
        return found


@asynccontextmanager
async def a_directory(folder: Path, _: Callable[[], str]) -> AsyncIterator[Place]:
    async def read(path: str) -> bytes | None:
        file = folder / "site" / path
        return file.read_bytes() if file.exists() else None

    yield Place(DirectoryPublisher(folder / "site", ISSUER, max_age=AGE), read)


@asynccontextmanager
async def a_shelf(_: Path, __: Callable[[], str]) -> AsyncIterator[Place]:
    shelf = Shelf(ISSUER, max_age=AGE)

    async def read(path: str) -> bytes | None:
        document = shelf.document(path)
        return None if document is None else document.body

    yield Place(shelf, read)


@asynccontextmanager
async def a_bucket(folder: Path, aws: Callable[[], str]) -> AsyncIterator[Place]:
    bucket = Bucket(folder.name.replace("_", "-").lower(), "site-a")
    async with s3_client(endpoint(aws())) as client:
        await client.create_bucket(Bucket=bucket.name, CreateBucketConfiguration={"LocationConstraint": REGION})

        async def read(path: str) -> bytes | None:
            try:
                answer = await client.get_object(Bucket=bucket.name, Key=bucket.key(path))
            except client.exceptions.NoSuchKey:
                return None
            body: bytes = await answer["Body"].read()
            return body

        yield Place(S3Publisher(client, bucket, ISSUER, max_age=AGE, clock=SystemClock(), rng=Random(1)), read)


@pytest.fixture(scope="module")
def aws() -> Iterator[Callable[[], str]]:
    with moto_on_demand() as where:
        yield where


@pytest.fixture(params=[a_directory, a_shelf, a_bucket])
async def place(request: pytest.FixtureRequest, tmp_path: Path, aws: Callable[[], str]) -> AsyncIterator[Place]:
    async with request.param(tmp_path, aws) as place:
        yield place


def kids(keys: list[Jwk]) -> list[object]:
    return [key["kid"] for key in keys]


def states(placed: object) -> list[str]:
    assert isinstance(placed, list)
    return [one.state for one in placed if isinstance(one, Placed)]


async def test_what_is_published_can_be_read_byte_for_byte(place: Place) -> None:
    placed = await place.publisher.publish([OLD, NEW], [])
    assert [one.document for one in placed] == list(documents(ISSUER, [OLD, NEW], max_age=AGE))
    for one in placed:
        assert await place.read(one.document.path) == one.document.body
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
    before = [await place.read(path) for path in (JWKS_PATH, DISCOVERY_PATH)]
    for _ in range(3):
        await place.publisher.publish([OLD, NEW], [])
    assert [await place.read(path) for path in (JWKS_PATH, DISCOVERY_PATH)] == before


async def test_a_key_stays_until_it_is_withdrawn(place: Place) -> None:
    await place.publisher.publish([OLD], [])
    await place.publisher.publish([NEW], [])
    assert await place.keys() == [OLD, NEW]
    await place.publisher.publish([NEW], [str(OLD["kid"])])
    assert await place.keys() == [NEW]


async def test_withdrawing_what_is_not_there_is_welcome(place: Place) -> None:
    await place.publisher.publish([OLD], ["never-seen"])
    await place.publisher.publish([OLD], ["never-seen"])
    assert await place.keys() == [OLD]


async def test_a_key_may_be_shown_with_a_certificate_later(place: Place) -> None:
    await place.publisher.publish([OLD, NEW], [])
    certified = {**OLD, "x5c": ["certificate"]}
    await place.publisher.publish([certified, NEW], [])
    assert await place.keys() == [certified, NEW]


async def test_no_publisher_shows_an_issuer_without_keys(place: Place) -> None:
    with pytest.raises(PublishingFailed):
        await place.publisher.publish([], [])
    assert await place.read(JWKS_PATH) is None
    await place.publisher.publish([OLD], [])
    with pytest.raises(PublishingFailed):
        await place.publisher.publish([], [str(OLD["kid"])])
    assert await place.keys() == [OLD]
