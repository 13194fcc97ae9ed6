"""Does S3 do for boto3 what S3 does, and refuse what it refuses?"""

import base64
import io
import threading
from pathlib import Path

import pytest

from tests.unit.sandbox.desk import BUCKET, desk, may, permitted, refused


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_objects_are_put_listed_read_and_deleted(tls: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    key = "a b/ü+c~(1)&%.txt"
    with desk(tmp_path, tls=tls) as at:
        s3 = at.s3()
        put = s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 100_000)
        assert put["ChecksumCRC32"]
        s3.upload_fileobj(io.BytesIO(b"streamed"), BUCKET, "up/one")
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"x" * 100_000
        assert at.sandbox.world.objects["up/one"] == b"streamed"
        listed = s3.list_objects_v2(Bucket=BUCKET)
        assert [one["Key"] for one in listed["Contents"]] == [key, "hello.txt", "up/one"]
        assert listed["Contents"][0]["ETag"] == put["ETag"]
        assert listed["Contents"][0]["Size"] == 100_000
        head = s3.head_object(Bucket=BUCKET, Key=key)
        assert (head["ContentLength"], head["ETag"]) == (100_000, put["ETag"])
        s3.delete_object(Bucket=BUCKET, Key=key)
        assert refused(lambda: s3.get_object(Bucket=BUCKET, Key=key)) == (
            404,
            "NoSuchKey",
            "The specified key does not exist.",
        )


def test_the_bucket_is_there_and_no_other(tmp_path: Path) -> None:
    everything = may("s3:*", "*")
    with desk(tmp_path, permitted(everything)) as at:
        s3 = at.s3()
        s3.head_bucket(Bucket=BUCKET)
        assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == [BUCKET]
        missing = (404, "NoSuchBucket", "The specified bucket does not exist")
        assert refused(lambda: s3.get_object(Bucket="other", Key="k")) == missing
        assert refused(lambda: s3.list_objects_v2(Bucket="other")) == missing
        assert refused(lambda: s3.head_bucket(Bucket="other"))[0] == 404


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("CRC32", "cbf43926"),
        ("CRC32C", "e3069283"),
        ("CRC64NVME", "ae8b14860a799888"),
        ("SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("SHA256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ],
)
def test_checksums_are_verified_and_repeated(algorithm: str, digest: str, tmp_path: Path) -> None:
    checksum = {f"Checksum{algorithm}": base64.b64encode(bytes.fromhex(digest)).decode()}
    with desk(tmp_path) as at:
        put = at.s3().put_object(Bucket=BUCKET, Key="k", Body=b"123456789", **checksum)
        assert put.items() >= checksum.items()


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        status, code, _ = refused(
            lambda: at.s3().put_object(Bucket=BUCKET, Key="k", Body=b"body", ChecksumCRC32="AAAAAA==")
        )
        assert (status, code) == (400, "BadDigest")
        assert "k" not in at.sandbox.world.objects


def test_parts_and_conditions(tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        s3 = at.s3()
        tag = s3.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")["ETag"]
        part = s3.get_object(Bucket=BUCKET, Key="k", Range="bytes=2-4")
        assert (part["Body"].read(), part["ContentRange"]) == (b"234", "bytes 2-4/10")
        assert s3.get_object(Bucket=BUCKET, Key="k", Range="bytes=-3")["Body"].read() == b"789"
        assert s3.get_object(Bucket=BUCKET, Key="k", Range="bytes=8-")["Body"].read() == b"89"
        assert refused(lambda: s3.get_object(Bucket=BUCKET, Key="k", Range="bytes=10-"))[0] == 416
        assert refused(lambda: s3.get_object(Bucket=BUCKET, Key="k", IfNoneMatch=tag))[0] == 304
        assert refused(lambda: s3.get_object(Bucket=BUCKET, Key="k", IfMatch='"x"'))[0] == 412
        assert refused(lambda: s3.put_object(Bucket=BUCKET, Key="k", IfNoneMatch="*"))[:2] == (
            412,
            "PreconditionFailed",
        )
        s3.put_object(Bucket=BUCKET, Key="k", IfMatch=tag, Body=b"new")
        assert refused(lambda: s3.put_object(Bucket=BUCKET, Key="k", IfMatch=tag))[0] == 412


def test_what_the_sandbox_does_not_have_is_said_to_be_missing(tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        s3 = at.s3()
        for call in (
            lambda: s3.create_multipart_upload(Bucket=BUCKET, Key="k"),
            lambda: s3.get_bucket_acl(Bucket=BUCKET),
            lambda: s3.get_object_tagging(Bucket=BUCKET, Key="hello.txt"),
            lambda: s3.list_objects(Bucket=BUCKET),
            lambda: s3.create_bucket(Bucket=BUCKET),
            lambda: s3.copy_object(Bucket=BUCKET, Key="k", CopySource=f"{BUCKET}/hello.txt"),
        ):
            assert refused(call)[:2] == (501, "NotImplemented")


def test_many_threads_at_once(tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        s3 = at.s3()
        threads = [
            threading.Thread(target=s3.put_object, kwargs={"Bucket": BUCKET, "Key": f"k{number}", "Body": b"x"})
            for number in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(at.sandbox.world.objects) == 21
