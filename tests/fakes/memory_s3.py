"""A bucket in memory, which does what the S3 User Guide says of conditional requests; and a clock for its publisher."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from agent.publishing.s3.publisher import Bucket
from tests.fakes.clock import FakeClock

HEADERS = {"ContentType": "application/json", "CacheControl": "public, max-age=300"}


def failed(code: str, **about: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPHeaders": about}}, "PutObject")  # type: ignore[typeddict-item]  # its other members


class Body:
    def __init__(self, body: bytes) -> None:
        self.left = body
        self.closed = False

    async def read(self, amount: int) -> bytes:
        piece, self.left = self.left[:amount], self.left[amount:]
        return piece

    def close(self) -> None:
        self.closed = True


class MemoryS3:
    """Objects; `before` is called before each request takes effect, and may raise, or change what stands there."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.failing: dict[str, list[Exception]] = {"get": [], "put": []}
        self.rng: Random | None = None
        self.bodies: list[Body] = []

    def has(self, path: str, body: bytes, **headers: str) -> None:
        self._store(self.bucket.key(path), body, **headers)

    def _store(self, key: str, body: bytes, **headers: str) -> None:
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self.objects[key] = {"body": body, "ETag": f'"{etag}"', **HEADERS, **headers}

    def read(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.objects[self.bucket.key(path)]["body"])
        return found

    async def get_object(self, **about: Any) -> Mapping[str, Any]:
        await self._arrive("get", about)
        if about["Key"] not in self.objects:
            raise failed("NoSuchKey")
        stands = dict(self.objects[about["Key"]])
        await self._travel()
        self.bodies.append(Body(stands.pop("body")))
        return {"Body": self.bodies[-1], **stands}

    async def put_object(self, **about: Any) -> Mapping[str, Any]:
        await self._arrive("put", about)
        etag = self.objects.get(about["Key"], {}).get("ETag")
        if ("IfNoneMatch" in about and etag) or ("IfMatch" in about and etag and etag != about["IfMatch"]):
            raise failed("PreconditionFailed")
        if "IfMatch" in about and not etag:
            raise failed("NoSuchKey")
        self._store(about["Key"], about["Body"], ContentType=about["ContentType"], CacheControl=about["CacheControl"])
        await self._travel()
        return {"ETag": self.objects[about["Key"]]["ETag"]}

    async def _arrive(self, verb: str, about: Mapping[str, Any]) -> None:
        await self._travel()
        self.asked.append((verb, about))
        if self.failing[verb]:
            raise self.failing[verb].pop(0)

    async def _travel(self) -> None:
        for _ in range(self.rng.randrange(6) if self.rng else 0):
            await asyncio.sleep(0)


class HurriedClock(FakeClock):
    """Short pauses are over after a few turns of the loop; those of alarms never are."""

    slept = 0.0

    async def sleep(self, seconds: float) -> None:
        if seconds > 10:
            await asyncio.Event().wait()
        self.slept += seconds
        self.suspend(timedelta(seconds=seconds))
        for _ in range(int(seconds * 20)):
            await asyncio.sleep(0)
