"""How do the issuer's documents get into a bucket of S3 that many hosts write to?

Each host reads the key set, puts its own keys in and takes its own away, and writes it back on condition that nobody
else has written meanwhile (S3 User Guide, "Conditional requests"). If somebody has, it starts over. So whatever many do
at once comes to the same as if they had done it one after the other, and nobody's keys are lost.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Final, Literal, Protocol, TypeVar

from botocore.exceptions import ClientError

from agent.clock import Clock, within
from agent.errors import AgentError, PublishingFailed
from agent.publishing import Document, Jwk, Placed
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, documents, merged
from agent.publishing.s3.refusals import Again, Asked, refusal, silence

T = TypeVar("T")

#: How often a document is tried to be brought into place, and for how many seconds, while others write it too. Of 64
#: hosts at once the last needs a dozen tries; past this something else is wrong.
_TRIES, _PATIENCE = 60, 120.0
#: The pause after the first try and the longest one, in seconds: each doubles, and a random part of it is waited.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 1.0
#: How many seconds one request may take, finding credentials for it included.
_REQUEST = 30.0
#: No key set has more bytes: 200 keys with chains of certificates come to half of it.
_LARGEST: Final = 1 << 21


class S3(Protocol):
    """What we need of S3, as botocore has it: its exceptions, and ours where there are no credentials."""

    async def get_object(self, **about: Any) -> Mapping[str, Any]: ...  # noqa: D102 - S3 API Reference

    async def put_object(self, **about: Any) -> Mapping[str, Any]: ...  # noqa: D102 - the same


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where in S3 the documents are: `prefix` begins the keys of the objects, with no slash at either end, if any."""

    name: str
    prefix: str = ""

    def key(self, path: str) -> str:
        """The key of the object that holds the document at `path`."""
        return f"{self.prefix}/{path}" if self.prefix else path

    def where(self, path: str) -> str:
        """The object, as people write it."""
        return f"s3://{self.name}/{self.key(path)}"


@dataclass(frozen=True, slots=True)
class _Stands:
    """What stands in a place; nothing, where `etag` is None."""

    body: bytes | None = field(default=None, repr=False)
    etag: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)

    def shows(self, document: Document) -> bool:
        return self.body == document.body and self.headers == document.headers

    @property
    def condition(self) -> Mapping[str, str]:
        """On what a write depends: that this stands there still."""
        return {"IfNoneMatch": "*"} if self.etag is None else {"IfMatch": self.etag}


class S3Publisher:
    """Keeps a bucket that something, such as CloudFront, shows at the issuer's URL.

    Args:
        s3: a client for the bucket's region; whoever opened it closes it.
        bucket: where.
        issuer: the issuer's URL, exactly as the tokens have it.
        max_age: how long readers may keep a copy.
        clock: by which pauses are made.
        rng: by which they differ from host to host.
    """

    def __init__(self, s3: S3, bucket: Bucket, issuer: str, *, max_age: timedelta, clock: Clock, rng: Random) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._issuer = issuer
        self._max_age = max_age
        self._clock = clock
        self._rng = rng

    async def publish(self, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Placed]:
        """Show these keys, and no longer those of ours in `withdrawn`, whatever other hosts do meanwhile.

        A document that is right already, with its headers, is not written. Raises PublishingFailed; what stood there
        then stands there still, unless it is the second document that failed.
        """
        keys, placed = await self._place_keys(shown, withdrawn)
        return [placed, await self._place_configuration(keys)]

    async def _place_keys(self, shown: Sequence[Jwk], withdrawn: Collection[str]) -> tuple[Sequence[Jwk], Placed]:
        """Bring our keys into the key set, however often it takes; all keys that it then shows."""
        tries = _Tries(self._clock, self._rng)
        while True:
            try:
                stands = await self._read(JWKS_PATH)
                keys = self._merged(stands, shown, withdrawn)
                return keys, await self._put(self._document(keys, JWKS_PATH), stands)
            except Again as again:
                await tries.another(again)

    async def _place_configuration(self, keys: Sequence[Jwk]) -> Placed:
        """Bring the other document into line with the key set, which others may change while we do.

        Everybody who changes the key set looks at this document afterwards, so that it is enough to find it right
        once. What we write, though, may already be out of date when it arrives: others may have looked just before.
        So after writing it, look at both anew.
        """
        tries = _Tries(self._clock, self._rng)
        state: Literal["new", "changed", "unchanged"] = "unchanged"
        while True:
            try:
                stands = await self._read(DISCOVERY_PATH)
                document = self._document(keys, DISCOVERY_PATH)
                if stands.shows(document):
                    return Placed(document, state, self._bucket.where(DISCOVERY_PATH))
                keys = self._merged(await self._read(JWKS_PATH), (), ())
                placed = await self._put(self._document(keys, DISCOVERY_PATH), stands)
                state = placed.state if state == "unchanged" else state
                keys = self._merged(await self._read(JWKS_PATH), (), ())
                tries.count()
            except Again as again:
                await tries.another(again)

    def _merged(self, stands: _Stands, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Jwk]:
        try:
            return merged(stands.body, shown, withdrawn)
        except PublishingFailed as error:
            told = f"{self._bucket.where(JWKS_PATH)} stays as it is: {error.what}"
            raise PublishingFailed(told, hint=error.hint) from error

    def _document(self, keys: Sequence[Jwk], path: str) -> Document:
        both = documents(self._issuer, keys, max_age=self._max_age)
        return next(document for document in both if document.path == path)

    async def _read(self, path: str) -> _Stands:
        """What stands there now. Raises PublishingFailed and Again."""
        asked = Asked("s3:GetObject", self._bucket.name, self._bucket.key(path))
        answer = await self._ask(asked, lambda: self._s3.get_object(Bucket=asked.bucket, Key=asked.key))
        if answer is None:
            return _Stands()
        body = await self._ask(asked, lambda: _whole(answer["Body"]))
        etag = answer.get("ETag")
        if etag is None or body is None:
            raise PublishingFailed(
                f"{asked.where} is longer than any key set, or has no ETag by which to tell whether it changes",
                hint="see who wrote it, and that publishing.endpoint_url, if set, knows conditional writes",
            )
        headers = {"Content-Type": str(answer.get("ContentType")), "Cache-Control": str(answer.get("CacheControl"))}
        return _Stands(body, str(etag), headers)

    async def _put(self, document: Document, stands: _Stands) -> Placed:
        """Put a document where `stands` stood, if it still does. Raises PublishingFailed and Again."""
        where = self._bucket.where(document.path)
        if stands.shows(document):
            return Placed(document, "unchanged", where)
        asked = Asked("s3:PutObject", self._bucket.name, self._bucket.key(document.path))
        await self._ask(
            asked,
            lambda: self._s3.put_object(
                Bucket=asked.bucket,
                Key=asked.key,
                Body=document.body,
                ContentType=document.headers["Content-Type"],
                CacheControl=document.headers["Cache-Control"],
                **stands.condition,
            ),
        )
        return Placed(document, "new" if stands.etag is None else "changed", where)

    async def _ask(self, asked: Asked, call: Callable[[], Awaitable[T]]) -> T | None:
        """Ask S3; None where the object that was asked for is not there. Raises PublishingFailed and Again."""
        try:
            return await within(self._clock, _REQUEST, call())
        except ClientError as error:
            if asked.is_missing(error):
                return None
            raise refusal(error, asked) from error
        except AgentError as error:
            raise PublishingFailed(
                f"{asked.where} cannot be reached without AWS credentials: {error.what}", hint=error.hint
            ) from error
        except Exception as error:  # the edge of a library whose parsers raise whatever they stumble on
            raise silence(error) from error


class _Tries:
    """How often has something been tried, and is it worth another try?"""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._since = clock.steady()
        self._count = 0

    def count(self) -> None:
        """Count one that was no failure, and yet not the last. Raises PublishingFailed if there were too many."""
        self._count += 1
        if self._count >= _TRIES or self._clock.steady() - self._since >= _PATIENCE:
            raise PublishingFailed(
                "the issuer's documents keep changing under our hands",
                hint="see what else writes to that bucket; two programs may be undoing each other's work",
            )

    async def another(self, again: Again) -> None:
        """Wait before the next one. Raises what `again` would come to, if it was tried often enough."""
        self._count += 1
        if self._count >= _TRIES or self._clock.steady() - self._since >= _PATIENCE:
            raise again.problem from again
        pause = min(_FIRST_PAUSE * 2 ** min(self._count - 1, 10), _LONGEST_PAUSE)
        await self._clock.sleep(pause * self._rng.random())


async def _whole(body: Any) -> bytes | None:
    """All of an object, and None if that is more than any key set. Closes the connection unless it was read whole."""
    read = bytearray()
    try:
        while piece := await body.read(1 << 16):
            read += piece
            if len(read) > _LARGEST:
                body.close()
                return None
    except BaseException:
        body.close()
        raise
    return bytes(read)
