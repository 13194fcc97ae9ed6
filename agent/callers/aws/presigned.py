"""Is this a presigned GetCallerIdentity that was made for us? Pure.

AWS Signature Version 4 in the query (IAM User Guide, "Create a signed AWS API request"). Whoever has signed such a
request lets us send it, so that STS tells us who signed it. Anybody can show us a URL, so nothing of it is
interpreted: it has to be, to the letter, what a signer of this one request writes, and is taken apart only to see that.
What is in doubt is refused; a signer who does as botocore does is never in doubt.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, unquote

from agent.callers.aws import NONCE_HEADER, SERVER_HEADER, rejected
from agent.errors import TokenRejected
from agent.secret import Secret

#: The longest URL that is read, in bytes. Session tokens have no limit that AWS would promise, and are below 2 kB.
LONGEST_URL: Final = 4096
LONGEST_PROOF: Final = -(-LONGEST_URL * 4 // 3)
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
#: STS takes what is signed for a quarter of an hour, whatever X-Amz-Expires says (aws-iam-authenticator found out), so
#: it is for us to go by that as well; more than that is never asked for.
LONGEST_LIFE: Final = timedelta(minutes=15)
#: By how much the signer's clock may be ahead of ours.
AHEAD: Final = timedelta(minutes=5)

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
#: What is to stand in the query, each once: how its value looks, once decoded.
_NEEDED: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(value, re.ASCII)
    for name, value in {
        "Action": r"GetCallerIdentity",
        "Version": r"2011-06-15",
        "X-Amz-Algorithm": r"AWS4-HMAC-SHA256",
        "X-Amz-Credential": r"(A[A-Z0-9]{15,127})/([0-9]{8})/([a-z0-9-]{3,40})/sts/aws4_request",
        "X-Amz-Date": r"[0-9]{8}T[0-9]{6}Z",
        "X-Amz-Expires": r"[1-9][0-9]{0,2}",
        "X-Amz-SignedHeaders": r"[a-z0-9;-]{1,256}",
        "X-Amz-Signature": r"[0-9a-f]{64}",
    }.items()
}
_SESSION: Final = "X-Amz-Security-Token"
_SESSION_TOKEN: Final = re.compile(r"[A-Za-z0-9+/=]{1,4000}", re.ASCII)
#: How the ids of temporary keys begin; only these come with a session token, and never without.
_TEMPORARY: Final = "ASIA"
_SIGNED: Final = f"host;{SERVER_HEADER}"
_SIGNED_WITH_NONCE: Final = f"host;{NONCE_HEADER};{SERVER_HEADER}"
_STAMP: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Presigned:
    """A request that may be sent to STS as it is.

    Attributes:
        url: the whole of it; a secret as long as it lives.
        nonce: what was signed in the header for it; "" if there is none.
        region: the one it is signed for.
        signed_at, expires_at: from when to when it is good, by what the signer says and by our own limit.
        mark: the signature. Who has no key makes no other signature for the same request, so it marks the proof.
    """

    url: Secret
    nonce: str
    region: str
    signed_at: datetime
    expires_at: datetime
    mark: Secret

    def check_time(self, now: datetime) -> None:
        """Raises TokenRejected unless it is good now."""
        if now >= self.expires_at:
            raise rejected("the presigned request is too old", "expired", hint="sign a new one for each request")
        if self.signed_at - now > AHEAD:
            raise rejected(
                "the presigned request was signed in the future", "not_yet_valid", hint="compare the clocks of both"
            )


def read_presigned(shown: bytes, origins: Mapping[str, frozenset[str]]) -> Presigned:
    """Read what was shown: the URL in base64url without padding, and a nonce after a dot, if one was signed.

    `origins` are as `hosts.origins` gives them. Raises TokenRejected.
    """
    encoded, dot, rest = shown.partition(b".")
    nonce = rest.decode("latin-1")
    if dot and not _NONCE.fullmatch(nonce):
        raise _malformed()
    origin, query = _taken_apart(_url(encoded))
    if origin not in origins:
        raise rejected(
            "the presigned request is for another host than the STS of a region that is configured", "wrong_endpoint",
            hint="sign for one of aws_callers.regions",
        )  # fmt: skip
    values = _values(query)
    signed = _SIGNED_WITH_NONCE if nonce else _SIGNED
    if values["X-Amz-SignedHeaders"] != signed:
        raise rejected(
            f"the presigned request does not have {signed} for its signed headers, no more and no less",
            "not_bound_here",
            hint="sign the header X-Rolecall-Server-Id together with the host",
        )
    region = _region(values)
    if region not in origins[origin]:
        raise rejected(
            "the presigned request is signed for another region than that of its host", "wrong_endpoint",
            hint="sign for the region of the endpoint",
        )  # fmt: skip
    signed_at = _moment(values["X-Amz-Date"])
    life = min(timedelta(seconds=int(values["X-Amz-Expires"])), LONGEST_LIFE)
    whole = Secret(f"{origin}/?{query}")
    return Presigned(whole, nonce, region, signed_at, signed_at + life, Secret(values["X-Amz-Signature"]))


def _url(shown: bytes) -> str:
    text = shown.decode("latin-1")
    if len(text) > LONGEST_PROOF or _BASE64URL.fullmatch(text) is None:
        raise _malformed()
    try:
        url = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raise _malformed() from None
    if base64.urlsafe_b64encode(url).rstrip(b"=") != shown:
        raise _malformed()  # bits beyond the last byte: one URL would have several spellings
    try:
        return url.decode("ascii")
    except UnicodeDecodeError:
        raise _malformed() from None


def _taken_apart(url: str) -> tuple[str, str]:
    """Scheme and authority as they stand there, and the query; the path is / and there is no fragment."""
    origin, slash, query = url.partition("/?")
    if not slash:
        raise rejected("the presigned request has another path than /", "wrong_endpoint")
    return origin, query


def _values(query: str) -> Mapping[str, str]:
    """The parameters, decoded: those that have to be there, each once, and perhaps the session token."""
    values: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, raw = pair.partition("=")
        pattern = _SESSION_TOKEN if name == _SESSION else _NEEDED.get(name)
        value = unquote(raw)
        # Encoded as AWS signs it and in no other way: so there is nothing that two readers could read differently.
        if pattern is None or name in values or quote(value, safe="-_.~") != raw or not pattern.fullmatch(value):
            raise _other_parameters()
        values[name] = value
    if not values.keys() >= _NEEDED.keys():
        raise _other_parameters()
    if values["X-Amz-Credential"].startswith(_TEMPORARY) != (_SESSION in values):
        raise _other_parameters()
    return values


def _region(values: Mapping[str, str]) -> str:
    credential = _NEEDED["X-Amz-Credential"].fullmatch(values["X-Amz-Credential"])
    if credential is None or not values["X-Amz-Date"].startswith(credential[2]):
        raise _other_parameters()
    return credential[3]


def _moment(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise _other_parameters() from None


def _malformed() -> TokenRejected:
    return rejected(
        "the proof is no URL of at most 4 KiB in base64url without padding", "malformed",
        hint="see docs/aws-callers.md for how a proof is made",
    )  # fmt: skip


def _other_parameters() -> TokenRejected:
    return rejected(
        "the proof is no presigned GetCallerIdentity as AWS's SDKs write it", "wrong_parameters",
        hint="presign GET /?Action=GetCallerIdentity&Version=2011-06-15 with an X-Amz-Expires of at most 900",
    )  # fmt: skip
