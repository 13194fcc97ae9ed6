import ssl
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from agent.clients.signed import SignedEndpoint, s3_client
from agent.errors import PublishingFailed
from agent.publishing.s3.refusals import Again, Asked, refusal, silence
from tests.fakes.certificate import certificate
from tests.fakes.moto import REGION, endpoint, held, moto
from tests.fakes.sts_server import Reply, StsServer, http

BUCKET, KEY = "oidc-example-com", "site-a/.well-known/jwks.json"
GET, PUT = Asked("s3:GetObject", BUCKET, KEY), Asked("s3:PutObject", BUCKET, KEY)


def answer(code: str, **headers: str) -> ClientError:
    about = {"Error": {"Code": code, "Message": "canary-message"}, "ResponseMetadata": {"HTTPHeaders": headers}}
    return ClientError(about, "PutObject")  # type: ignore[arg-type]  # its other members


def told(code: str, asked: Asked = PUT, *, region: str = "") -> PublishingFailed:
    found = refusal(answer(code, **{"x-amz-bucket-region": region}), asked)
    assert isinstance(found, PublishingFailed)
    assert "canary-message" not in f"{found.what} {found.hint}"
    return found


@pytest.mark.parametrize(
    ("code", "what", "hint"),
    [
        ("AccessDenied", f"S3 does not let us use s3://{BUCKET}/{KEY}: s3:PutObject is denied", f"{BUCKET}/{KEY}"),
        ("403", "s3:PutObject is denied", "allow s3:PutObject"),
        ("NoSuchBucket", f"there is no bucket {BUCKET}", "publishing.bucket"),
        ("NotImplemented", "does not know conditional writes", "If-Match"),
        ("501", "does not know conditional writes", "If-Match"),
        ("InvalidAccessKeyId", "the AWS credentials for S3 are not known there", "partition"),
        ("ExpiredToken", "the AWS credentials for S3 have expired", "publishing.credentials"),
        ("RequestTimeTooSkewed", "S3 finds that this machine's clock is wrong", "put it right"),
        ("SignatureDoesNotMatch", "S3 does not believe the signature of our request", "secret key"),
        ("SomethingNew", f"S3 refused s3:PutObject for s3://{BUCKET}/{KEY}: SomethingNew", "documentation"),
    ],
)
def test_each_refusal_has_its_own_sentence_and_says_what_to_do(code: str, what: str, hint: str) -> None:
    failure = told(code)
    assert what in failure.what
    assert hint in failure.hint


def test_who_may_not_read_is_told_that_a_missing_object_looks_forbidden_without_listing() -> None:
    failure = told("AccessDenied", GET)
    assert "s3:GetObject" in failure.what
    assert f"s3:ListBucket on arn:aws:s3:::{BUCKET}" in failure.hint
    assert "ListBucket" not in told("AccessDenied", PUT).hint


@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed", "301"])
def test_the_region_that_the_bucket_is_in_is_told(code: str) -> None:
    failure = told(code, region="us-west-2")
    assert failure.what.endswith("is in another region than publishing.region: in us-west-2")
    assert failure.hint == 'write publishing.region = "us-west-2"'


@pytest.mark.parametrize("region", ["", "<script>", "canary-message"])
def test_a_region_that_is_none_is_not_told(region: str) -> None:
    failure = told("PermanentRedirect", region=region)
    assert failure.what.endswith("than publishing.region")
    assert "the S3 console" in failure.hint


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "412", "SlowDown", "503", "500"])
def test_what_may_pass_is_worth_another_try(code: str) -> None:
    found = refusal(answer(code), PUT)
    assert isinstance(found, Again)
    assert found.problem.hint


def test_an_object_that_is_not_there_is_nothing_to_who_reads_and_a_conflict_to_who_replaces() -> None:
    assert GET.is_missing(answer("NoSuchKey"))
    assert not PUT.is_missing(answer("NoSuchKey"))
    assert not GET.is_missing(answer("NoSuchBucket"))
    assert isinstance(refusal(answer("NoSuchKey"), PUT), Again)


# --- as they come from a server


async def put(url: str, region: str = REGION) -> PublishingFailed | Again:
    async with s3_client(SignedEndpoint(region, held, endpoint_url=url)) as client:
        try:
            await client.put_object(Bucket=BUCKET, Key=KEY, Body=b"{}")
        except ClientError as error:
            return refusal(error, PUT)
        except Exception as error:  # noqa: BLE001 - as the publisher does
            return silence(error)
    raise AssertionError("it was taken")


async def what(url: str) -> str:
    found = await put(url)
    return found.problem.what if isinstance(found, Again) else found.what


async def test_a_bucket_that_is_missing_is_said() -> None:
    with moto() as url:
        assert await what(url) == f"there is no bucket {BUCKET}"


async def test_a_bucket_in_another_region_is_not_followed_there() -> None:
    body = "<Error><Code>PermanentRedirect</Code><Message>go elsewhere</Message><Endpoint>x</Endpoint></Error>"
    reply = http(body, 301, content_type="application/xml")
    region = b"x-amz-bucket-region: us-west-2\r\nLocation: http://127.0.0.1:9/\r\nContent-Type"
    async with StsServer([Reply(reply.data.replace(b"Content-Type", region, 1))]) as server:
        found = await put(server.url)
        assert len(server.requests) == 1
    assert isinstance(found, PublishingFailed)
    assert found.hint == 'write publishing.region = "us-west-2"'


async def test_a_proxy_that_does_not_know_conditions_is_said() -> None:
    async with StsServer([http("<html>no", 501, content_type="text/html")]) as server:
        assert "conditional writes" in await what(server.url)


async def test_nobody_there_is_said() -> None:
    found = await put("http://127.0.0.1:1")
    assert isinstance(found, PublishingFailed)
    assert found.what.startswith("S3 cannot be reached: ")
    assert "publishing.proxy" in found.hint


async def test_an_answer_that_broke_off_is_worth_another_try() -> None:
    async with StsServer([Reply(b"", "reset")]) as server:
        assert isinstance(await put(server.url), Again)


async def test_a_certificate_that_is_not_trusted_is_said_and_nothing_is_sent(tmp_path: Path) -> None:
    async with StsServer([http("")], tls=certificate(tmp_path)[1]) as server:
        assert await what(server.url) == "the certificate of S3 is not trusted: self-signed certificate"
        assert server.requests == []


def test_a_broken_tls_connection_is_no_certificate() -> None:
    found = silence(ssl.SSLError(1, "wrong version number"))
    assert isinstance(found, PublishingFailed)
    assert found.what.startswith("S3 cannot be reached")


async def test_a_healthy_store_refuses_nothing() -> None:
    with moto() as url:
        async with s3_client(endpoint(url)) as client:
            await client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        with pytest.raises(AssertionError, match="it was taken"):
            await put(url)
