"""Is a streamed upload read only if every chunk of it is as it was signed?"""

import base64
import hashlib
import hmac
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.credentials import Credentials

from agent.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.unit.sandbox.scene import Scene, scene
from tests.unit.sandbox.signing import sign

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
WITH_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
NEWLINE = b"\n"
BODY = b"first chunk, " + b"second chunk"


@dataclass(frozen=True)
class Upload:
    """What is sent; each field but the first can be made wrong."""

    mode: str
    decoded: int = len(BODY)
    trailer: str = "x-amz-checksum-crc32"
    checksum: bytes = zlib.crc32(BODY).to_bytes(4, "big")
    tamper: tuple[bytes, bytes] = (b"", b"")


class Signer:
    """The chain of chunk signatures, as the documentation of S3 describes it; written apart from the sandbox's."""

    def __init__(self, secret: str, stamp: str, seed: str) -> None:
        date = stamp[:8]
        key = f"AWS4{secret}".encode()
        for part in (date, "eu-central-1", "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self.key, self.stamp, self.previous = key, stamp, seed
        self.scope = f"{date}/eu-central-1/s3/aws4_request"

    def chunk(self, data: bytes) -> str:
        empty = hashlib.sha256(b"").hexdigest()
        return self._next("AWS4-HMAC-SHA256-PAYLOAD", empty, hashlib.sha256(data).hexdigest())

    def trailer(self, data: bytes) -> str:
        return self._next("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(data).hexdigest())

    def _next(self, kind: str, *rest: str) -> str:
        lines = "\n".join([kind, self.stamp, self.scope, self.previous, *rest])
        self.previous = hmac.new(self.key, lines.encode(), "sha256").hexdigest()
        return self.previous


async def upload(here: Scene, what: Upload) -> tuple[int, str]:
    """Put the object `k`; the status and, if refused, the code."""
    answer = await here.assume()
    given = Credentials(*(answer.text(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")))
    headers = {"x-amz-content-sha256": what.mode, "x-amz-decoded-content-length": str(what.decoded)}
    if what.trailer:
        headers["x-amz-trailer"] = what.trailer
    request = sign(
        "PUT", f"{here.sandbox.endpoint_url}/demo-bucket/k", service="s3", headers=headers, credentials=given
    )
    seed = request.headers["Authorization"].rpartition("Signature=")[2]
    signer = Signer(given.secret_key, request.headers["X-Amz-Date"], seed)
    raw = b""
    for chunk in (BODY[:13], BODY[13:], b""):
        mark = b"" if what.mode == UNSIGNED else f";chunk-signature={signer.chunk(chunk)}".encode()
        raw += b"%x%b\r\n%b%b" % (len(chunk), mark, chunk, b"\r\n" if chunk else b"")
    if what.mode != SIGNED:
        line = f"x-amz-checksum-crc32:{base64.b64encode(what.checksum).decode()}"
        raw += f"{line}\r\n".encode()
        if what.mode == WITH_TRAILER:
            raw += f"x-amz-trailer-signature:{signer.trailer(line.encode() + NEWLINE)}\r\n".encode()
    raw = (raw + b"\r\n").replace(*what.tamper) if what.tamper[0] else raw + b"\r\n"
    async with here.http.put(request.url, data=raw, headers=request.headers) as reply:
        text = await reply.text()
        return reply.status, text.partition("<Code>")[2].partition("</Code>")[0]


@pytest.mark.parametrize("mode", [SIGNED, WITH_TRAILER, UNSIGNED])
async def test_a_streamed_upload_arrives(mode: str, tmp_path: Path) -> None:
    trailer = "" if mode == SIGNED else "x-amz-checksum-crc32"
    async with scene(tmp_path, clock=FakeClock(SystemClock().now())) as here:
        assert await upload(here, Upload(mode, trailer=trailer)) == (200, "")
        assert here.sandbox.world.objects["k"] == BODY


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        (Upload(SIGNED, trailer="", tamper=(b"second", b"tamper")), (403, "SignatureDoesNotMatch")),
        (Upload(SIGNED, trailer="", tamper=(b";chunk-signature=", b";chunk-signature=0")), (400, "IncompleteBody")),
        (Upload(WITH_TRAILER, tamper=(b"first", b"worst")), (403, "SignatureDoesNotMatch")),
        (Upload(WITH_TRAILER, tamper=(b"crc32:", b"crc32:A")), (403, "SignatureDoesNotMatch")),
        (Upload(WITH_TRAILER, tamper=(b"x-amz-trailer-signature:", b"x-amz-other:")), (403, "SignatureDoesNotMatch")),
        (Upload(WITH_TRAILER, checksum=b"zzzz"), (400, "BadDigest")),
        (Upload(UNSIGNED, tamper=(b"second", b"tamper")), (400, "BadDigest")),
        (Upload(UNSIGNED, checksum=b"zzzz"), (400, "BadDigest")),
        (Upload(UNSIGNED, trailer=""), (400, "MalformedTrailerError")),
        (Upload(UNSIGNED, trailer="x-amz-checksum-sha256"), (400, "MalformedTrailerError")),
        (Upload(UNSIGNED, decoded=3), (400, "IncompleteBody")),
        (Upload(UNSIGNED, tamper=(b"d\r\nfirst", b"ffff\r\nfirst")), (400, "IncompleteBody")),
        (Upload(UNSIGNED, tamper=(b"d\r\nfirst", b"c\r\nfirst")), (400, "IncompleteBody")),
        (Upload(UNSIGNED, tamper=(b"d\r\nfirst", b"x\r\nfirst")), (400, "IncompleteBody")),
        (Upload(UNSIGNED, tamper=(b"chunk, \r\n", b"chunk, x\r\n")), (400, "IncompleteBody")),
        (Upload(UNSIGNED, tamper=(b"\r\n", b"\n")), (400, "IncompleteBody")),
        (Upload(UNSIGNED, tamper=(b"x-amz-checksum-crc32:", b"x-amz-checksum-crc32")), (400, "MalformedTrailerError")),
    ],
)
async def test_a_streamed_upload_that_is_not_as_signed_is_refused(
    wrong: Upload, refusal: tuple[int, str], tmp_path: Path
) -> None:
    async with scene(tmp_path, clock=FakeClock(SystemClock().now())) as here:
        assert await upload(here, wrong) == refusal
        assert "k" not in here.sandbox.world.objects


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-content-sha256": "0" * 64}, "XAmzContentSHA256Mismatch"),
        ({"x-amz-content-sha256": "SOMETHING"}, "InvalidArgument"),
    ],
)
async def test_a_payload_hash_that_does_not_fit_is_refused(headers: dict[str, str], code: str, tmp_path: Path) -> None:
    async with scene(tmp_path, clock=FakeClock(SystemClock().now())) as here:
        answer = await here.assume()
        given = Credentials(*(answer.text(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")))
        url = f"{here.sandbox.endpoint_url}/demo-bucket/k"
        request = sign("PUT", url, service="s3", headers=headers, credentials=given)
        async with here.http.put(url, data=b"body", headers=request.headers) as reply:
            assert (reply.status, code in await reply.text()) == (400, True)


async def test_a_header_that_was_added_on_the_way_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path, clock=FakeClock(SystemClock().now())) as here:
        answer = await here.assume()
        given = Credentials(*(answer.text(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")))
        url = f"{here.sandbox.endpoint_url}/demo-bucket/k"
        request = sign("PUT", url, service="s3", credentials=given)
        async with here.http.put(url, headers={**request.headers, "x-amz-acl": "public-read"}) as reply:
            assert reply.status == 403
            assert "There were headers present in the request which were not signed" in await reply.text()
