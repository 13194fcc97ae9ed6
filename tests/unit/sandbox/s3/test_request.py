"""Is S3 refused to whoever cannot show who they are, in S3's words?"""

import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError

import pytest
from botocore.config import Config

from tests.unit.sandbox.desk import BUCKET, MISMATCH, desk, refused


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        (
            {"AccessKeyId": "ASIAAAAAAAAAAAAAAAAA"},
            (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
        ),
        (
            {"SecretAccessKey": "A" * 40},
            (
                403,
                "SignatureDoesNotMatch",
                MISMATCH,
            ),
        ),
        (
            {"SessionToken": "another"},
            (400, "InvalidToken", "The provided token is malformed or otherwise invalid."),
        ),
        (
            {"SessionToken": ""},
            (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
        ),
    ],
    ids=["key", "secret", "token", "no token"],
)
def test_wrong_credentials_are_refused(changed: dict[str, str], refusal: tuple[int, str, str], tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        s3 = at.s3({**at.credentials(), **changed})
        assert refused(lambda: s3.list_objects_v2(Bucket=BUCKET)) == refusal


def test_expired_credentials_are_refused(tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        at.clock.step(timedelta(minutes=-10))
        s3 = at.s3(DurationSeconds=900)
        at.clock.step(timedelta(minutes=14, seconds=59))
        s3.list_objects_v2(Bucket=BUCKET)
        at.clock.step(timedelta(seconds=1))
        assert refused(lambda: s3.list_objects_v2(Bucket=BUCKET)) == (
            400,
            "ExpiredToken",
            "The provided token has expired.",
        )


@pytest.mark.parametrize("minutes", [16, -16])
def test_a_clock_that_is_wrong_by_a_quarter_of_an_hour_is_refused(minutes: int, tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        s3 = at.s3()
        at.clock.step(timedelta(minutes=minutes))
        assert refused(lambda: s3.list_objects_v2(Bucket=BUCKET)) == (
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        )


def read(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=dict(headers or {}))) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def test_presigned_urls_work_until_they_expire(tmp_path: Path) -> None:
    config = Config(signature_version="s3v4")
    with desk(tmp_path) as at:
        s3 = at.s3(config=config)
        where = {"Bucket": BUCKET, "Key": "hello.txt"}
        url = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
        assert read(url) == (200, b"Hello from the sandbox.\n")
        assert read(url.replace("hello.txt", "other.txt"))[0] == 403
        at.clock.step(timedelta(seconds=62))
        status, body = read(url)
        assert status == 403
        assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in body


def test_unsigned_requests_are_refused(tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        for path in ("/", f"/{BUCKET}", f"/{BUCKET}/hello.txt"):
            status, body = read(at.sandbox.endpoint_url + path)
            assert status == 403
            assert b"<Code>AccessDenied</Code><Message>Access Denied</Message>" in body
            assert f"<Resource>{path}</Resource>".encode() in body
        assert read(f"{at.sandbox.endpoint_url}/{BUCKET}/hello.txt", "HEAD") == (403, b"")
