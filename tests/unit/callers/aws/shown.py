"""Presigned requests as botocore writes them, and changed by those who mean no good; none is signed truly."""

import base64
from datetime import datetime, timedelta
from urllib.parse import quote

from tests.fakes.clock import START

SERVER = "https://tokens.example.com"
REGION = "eu-central-1"
ORIGIN = f"https://sts.{REGION}.amazonaws.com"


def parameters(at: datetime = START, **changes: str | None) -> list[tuple[str, str]]:
    """Those of a request that was signed at that moment; changes are by name with underscores, None leaves one out."""
    usual = {
        "Action": "GetCallerIdentity",
        "Version": "2011-06-15",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"ASIAEXAMPLEEXAMPLEEX/{at:%Y%m%d}/{REGION}/sts/aws4_request",
        "X-Amz-Date": f"{at:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": "300",
        "X-Amz-SignedHeaders": "host;x-rolecall-server-id",
        "X-Amz-Security-Token": "FwoGZXIvYXdzEXAMPLE/+token==",
        "X-Amz-Signature": "0123456789abcdef" * 4,
    }
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return [(name, value) for name, value in (usual | named).items() if value is not None]


def query(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in pairs)


def url(origin: str = ORIGIN, at: datetime = START, **changes: str | None) -> str:
    return f"{origin}/?{query(parameters(at, **changes))}"


def shown(text: str | bytes) -> bytes:
    """As it is shown: base64url without padding."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def header(text: str) -> bytes:
    """The value of the Authorization header."""
    return b"AWS-Presigned " + shown(text)


def numbered(number: int, at: datetime = START + timedelta(seconds=1)) -> bytes:
    """One of many proofs, each with a signature of its own."""
    return header(url(at=at, X_Amz_Signature=f"{number:064x}"))
