"""Requests as AWS's own client library signs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from agent.sandbox.wire import Wire

CREDENTIALS = Credentials(
    "ASIAEXAMPLEEXAMPLEEX", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token+with=signs"
)


@dataclass(frozen=True)
class Signed:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class _AsStated(S3SigV4Auth):
    """Signs the payload hash that stands in the headers, whatever the body is."""

    def __init__(self, stated: str, credentials: Credentials) -> None:
        super().__init__(credentials, "s3", "eu-central-1")
        self._stated = stated

    def payload(self, _: AWSRequest) -> str:
        return self._stated


def sign(
    method: str,
    url: str,
    *,
    service: str = "sts",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    credentials: Credentials = CREDENTIALS,
    presigned_for: int = 0,
) -> Signed:
    """Sign now; presigned if `presigned_for` so many seconds, else by header."""
    request = AWSRequest(method, url, headers=dict(headers or {}), data=body)
    if presigned_for:
        query_auth = S3SigV4QueryAuth if service == "s3" else SigV4QueryAuth
        query_auth(credentials, service, "eu-central-1", presigned_for).add_auth(request)
    elif headers and "x-amz-content-sha256" in headers:
        _AsStated(headers["x-amz-content-sha256"], credentials).add_auth(request)
    else:
        header_auth = S3SigV4Auth if service == "s3" else SigV4Auth
        header_auth(credentials, service, "eu-central-1").add_auth(request)
    assert request.url
    return Signed(method, str(request.url), dict(request.headers.items()), body)


def wire_of(request: Signed) -> Wire:
    """The same as it comes over the wire."""
    parts = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Wire(request.method, parts.path, parts.query, {"host": parts.netloc, **headers}, request.body)
