"""Who asks S3, for which object, and with which body?"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from agent.sandbox.cloud import Cloud
from agent.sandbox.issued import Issued
from agent.sandbox.refusals import Refusal
from agent.sandbox.s3.checksums import check_body
from agent.sandbox.s3.chunks import STREAMING, read_stream
from agent.sandbox.sigv4 import Signature, Unreadable, is_signed_by, read_signature
from agent.sandbox.sts.signed import WINDOW
from agent.sandbox.wire import Wire

_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_WRONG_SIGNATURE: Final = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)


@dataclass(frozen=True, slots=True)
class Addressed:
    """Which bucket and object a request is about; "" for none."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Body:
    """What was uploaded, and the checksums that proved right."""

    content: bytes
    checksums: Mapping[str, str]


def addressed(wire: Wire, bucket: str) -> Addressed:
    """Read path-style addresses, and virtual-host ones where the host begins with the bucket's name."""
    path = unquote(wire.path).removeprefix("/")
    if wire.headers.get("host", "").startswith(f"{bucket}."):
        return Addressed(bucket, path)
    named, _, key = path.partition("/")
    return Addressed(named, key)


def authenticate(wire: Wire, cloud: Cloud) -> tuple[Issued, Body]:
    """Whose request this is, and its body, if all signatures and checksums are right. Raises Refusal."""
    try:
        signature = read_signature(wire)
    except Unreadable as unreadable:
        raise Refusal("AuthorizationHeaderMalformed", f"The authorization header is malformed; {unreadable}") from (
            unreadable
        )
    if signature is None:
        raise Refusal("AccessDenied", "Access Denied", 403)
    if signature.service != "s3":
        raise Refusal(
            "AuthorizationHeaderMalformed",
            f'The authorization header is malformed; incorrect service "{signature.service}". '
            'This endpoint belongs to "s3".',
        )
    issued = _session(signature, cloud)
    _check_moment(signature, cloud)
    _check_headers(signature, wire)
    mode = _UNSIGNED if signature.lifetime is not None else wire.headers.get("x-amz-content-sha256", "")
    if not mode:
        raise Refusal("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if mode != _UNSIGNED and mode not in STREAMING and not re.fullmatch(r"[0-9a-f]{64}", mode):
        raise Refusal(
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING form or a valid sha256 value.",
        )
    if not is_signed_by(issued.secret_access_key, signature, wire, mode):
        raise Refusal("SignatureDoesNotMatch", _WRONG_SIGNATURE, 403)
    return issued, _body(wire, mode, issued, signature)


def _has_role(issued: Issued, cloud: Cloud) -> bool:
    return issued.made_elsewhere or cloud.world.role_of(issued.role_arn) is not None


def _session(signature: Signature, cloud: Cloud) -> Issued:
    """The session behind an access key and its token. Raises Refusal."""
    issued = cloud.register.find(signature.access_key_id)
    if issued is None or not signature.session_token or not _has_role(issued, cloud):
        raise Refusal("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403)
    if issued.session_token.reveal() != signature.session_token:
        raise Refusal("InvalidToken", "The provided token is malformed or otherwise invalid.")
    if cloud.now() >= issued.expires_at:
        raise Refusal("ExpiredToken", "The provided token has expired.")
    return issued


def _check_moment(signature: Signature, cloud: Cloud) -> None:
    """A header's signature is good for a quarter of an hour either way, a presigned URL for as long as it says."""
    age = cloud.now() - signature.moment
    if signature.lifetime is not None and age > signature.lifetime:
        raise Refusal("AccessDenied", "Request has expired", 403)
    if -age > WINDOW or (signature.lifetime is None and age > WINDOW):
        raise Refusal(
            "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", 403
        )


def _check_headers(signature: Signature, wire: Wire) -> None:
    """Every x-amz- header has to be under the signature: it could have been added on the way. Raises Refusal."""
    loose = [name for name in wire.headers if name.startswith("x-amz-") and name not in signature.signed_headers]
    if loose and signature.lifetime is None:
        raise Refusal("AccessDenied", "There were headers present in the request which were not signed", 403)


def _body(wire: Wire, mode: str, issued: Issued, signature: Signature) -> Body:
    """The body itself, its encoding undone and its checksums verified. Raises Refusal."""
    if mode not in STREAMING:
        if mode != _UNSIGNED and hashlib.sha256(wire.body).hexdigest() != mode:
            raise Refusal(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        return Body(wire.body, check_body(wire.body, wire.headers))
    streamed = read_stream(wire.body, mode, issued.secret_access_key, signature)
    if wire.headers.get("x-amz-decoded-content-length", "") != str(len(streamed.body)):
        raise Refusal("IncompleteBody", "The request body terminated unexpectedly")
    declared = {name.strip().lower() for name in wire.headers.get("x-amz-trailer", "").split(",") if name.strip()}
    if declared != set(streamed.trailers):
        raise Refusal("MalformedTrailerError", "The request contained trailing data that was not well-formed.")
    return Body(streamed.body, check_body(streamed.body, {**wire.headers, **streamed.trailers}))
