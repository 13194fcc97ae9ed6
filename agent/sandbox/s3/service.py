"""What does S3 answer?

One bucket: list it, and get, put and delete what is in it. Enough to see a role do something, no more.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import format_datetime
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.documents import S3_NAMESPACE, Value, as_xml, iso_millis
from agent.sandbox.issued import Issued
from agent.sandbox.refusals import Refusal
from agent.sandbox.s3.listing import Stored, list_objects
from agent.sandbox.s3.permissions import check_permission
from agent.sandbox.s3.request import Addressed, Body, addressed, authenticate
from agent.sandbox.wire import Reply, Wire

#: What a query may say besides its signature and the operation's own parameters; anything else is a feature we lack.
_LISTING: Final = frozenset(
    {
        "list-type",
        "prefix",
        "delimiter",
        "max-keys",
        "continuation-token",
        "start-after",
        "encoding-type",
        "fetch-owner",
    }
)
_HARMLESS: Final = frozenset({"x-id"})
_RANGE: Final = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


class S3:
    """The storage service."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._start = cloud.clock.now()

    def answer(self, wire: Wire, request_id: str) -> Reply:
        """Answer a request; refusals are answers too, without a body for HEAD."""
        headers = {"x-amz-request-id": request_id, "x-amz-id-2": request_id}
        where = addressed(wire, self._cloud.world.bucket)
        try:
            issued, body = authenticate(wire, self._cloud)
            reply = self._operate(wire, where, issued, body)
        except Refusal as refusal:
            members: Value = {
                "Code": refusal.code,
                "Message": refusal.message,
                "Resource": wire.path,
                "RequestId": request_id,
                "HostId": request_id,
            }
            text = b"" if wire.method == "HEAD" else as_xml("Error", members)
            reply = Reply(refusal.status, text, "application/xml")
        return replace(reply, headers={**headers, **reply.headers})

    def _operate(self, wire: Wire, where: Addressed, issued: Issued, body: Body) -> Reply:
        """Find the operation and perform it. Raises Refusal."""
        query = {name: value for name, value in wire.query_pairs if not name.lower().startswith("x-amz-")}
        asked = set(query) - _HARMLESS
        if not where.bucket:
            self._only("GET", wire, asked)
            return self._list_buckets(issued)
        if where.key:
            return self._object(wire, where.key, issued, body, asked)
        if wire.method == "HEAD" and not asked:
            self._check(issued, "s3:ListBucket", "", where.bucket)
            self._check_bucket(where.bucket)
            return Reply(200, headers={"x-amz-bucket-region": "us-east-1"})
        self._only("GET", wire, asked - _LISTING)
        if query.get("list-type") != "2":
            raise _lacking()
        return self._list(where.bucket, issued, query)

    def _object(self, wire: Wire, key: str, issued: Issued, body: Body, asked: set[str]) -> Reply:
        """An operation on one object. Raises Refusal."""
        where = addressed(wire, self._cloud.world.bucket)
        if asked:
            raise _lacking()
        match wire.method:
            case "GET" | "HEAD":
                self._check(issued, "s3:GetObject", key, where.bucket)
                self._check_bucket(where.bucket)
                return self._get(wire, key, issued)
            case "PUT" if "x-amz-copy-source" not in wire.headers:
                self._check(issued, "s3:PutObject", key, where.bucket)
                self._check_bucket(where.bucket)
                return self._put(wire, key, body)
            case "DELETE":
                self._check(issued, "s3:DeleteObject", key, where.bucket)
                self._check_bucket(where.bucket)
                self._store({name: one for name, one in self._cloud.world.objects.items() if name != key})
                return Reply(204)
        raise _lacking()

    def _list_buckets(self, issued: Issued) -> Reply:
        check_permission(issued, self._cloud.world, "s3:ListAllMyBuckets", "*", {})
        bucket: Value = {"Name": self._cloud.world.bucket, "CreationDate": iso_millis(self._start)}
        owner: Value = {"ID": self._cloud.world.account_id}
        return _xml("ListAllMyBucketsResult", {"Owner": owner, "Buckets": {"Bucket": [bucket]}})

    def _list(self, bucket: str, issued: Issued, query: Mapping[str, str]) -> Reply:
        keys = {f"s3:{name}": (query[name],) for name in ("prefix", "delimiter", "max-keys") if name in query}
        check_permission(issued, self._cloud.world, "s3:ListBucket", self._arn(bucket), keys)
        self._check_bucket(bucket)
        stored = {key: self._stored(key) for key in self._cloud.world.objects}
        return _xml("ListBucketResult", list_objects(bucket, stored, query))

    def _get(self, wire: Wire, key: str, issued: Issued) -> Reply:
        """The object, or a part of it. Who may not list is not told that it is missing. Raises Refusal."""
        world = self._cloud.world
        if key not in world.objects:
            self._check(issued, "s3:ListBucket", "", world.bucket)
            raise Refusal("NoSuchKey", "The specified key does not exist.", 404)
        stored = self._stored(key)
        headers = {
            "ETag": stored.etag,
            "Last-Modified": format_datetime(stored.modified, usegmt=True),
            "Accept-Ranges": "bytes",
        }
        if wire.headers.get("if-none-match") in (stored.etag, "*"):
            return Reply(304, headers=headers)
        if wire.headers.get("if-match", stored.etag) not in (stored.etag, "*"):
            raise _precondition()
        part, status = stored.body, 200
        if wanted := _RANGE.fullmatch(wire.headers.get("range", "")):
            first, end = _span(wanted[1], wanted[2], len(stored.body))
            part, status = stored.body[first:end], 206
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(stored.body)}"
        return Reply(status, part, "binary/octet-stream", headers)

    def _put(self, wire: Wire, key: str, body: Body) -> Reply:
        """Store the object. Raises Refusal."""
        objects = self._cloud.world.objects
        if wire.headers.get("if-none-match") == "*" and key in objects:
            raise _precondition()
        expected = wire.headers.get("if-match")
        if expected is not None and (key not in objects or self._stored(key).etag != expected):
            raise _precondition()
        self._cloud.modified[key] = self._cloud.now()
        self._store({**objects, key: body.content})
        return Reply(200, headers={"ETag": self._stored(key).etag, **body.checksums})

    def _store(self, objects: Mapping[str, bytes]) -> None:
        """A world is replaced, never changed: whoever holds the old one still sees it as it was."""
        self._cloud.world = replace(self._cloud.world, objects=objects)

    def _stored(self, key: str) -> Stored:
        body = self._cloud.world.objects[key]
        return Stored(body, self._cloud.modified.get(key, self._start).replace(microsecond=0))

    def _arn(self, bucket: str, key: str = "") -> str:
        return f"arn:{self._cloud.world.partition}:s3:::{bucket}" + (f"/{key}" if key else "")

    def _check(self, issued: Issued, action: str, key: str, bucket: str) -> None:
        check_permission(issued, self._cloud.world, action, self._arn(bucket, key), {})

    def _check_bucket(self, bucket: str) -> None:
        if bucket != self._cloud.world.bucket:
            raise Refusal("NoSuchBucket", "The specified bucket does not exist", 404)

    def _only(self, method: str, wire: Wire, asked: set[str]) -> None:
        if wire.method != method or asked:
            raise _lacking()


def _xml(name: str, members: Value) -> Reply:
    return Reply(200, as_xml(name, members, S3_NAMESPACE), "application/xml")


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """Where a byte range begins and ends (exclusive). Raises Refusal."""
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(size - int(last or 0), 0), size
    if start >= end:
        raise Refusal("InvalidRange", "The requested range is not satisfiable", 416)
    return start, end


def _precondition() -> Refusal:
    return Refusal("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)


def _lacking() -> Refusal:
    """501, in S3's words: the sandbox does not have this operation."""
    return Refusal("NotImplemented", "A header you provided implies functionality that is not implemented", 501)
