"""Whose is a request that is signed for STS?"""

import hashlib
from datetime import timedelta
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.issued import Issued
from agent.sandbox.refusals import Refusal
from agent.sandbox.sigv4 import Signature, Unreadable, is_signed_by, read_signature
from agent.sandbox.wire import Wire

#: How old a signed request may be, and how far from the future. For a presigned URL it is the same, whatever its
#: X-Amz-Expires says: so aws-iam-authenticator, which sets 60 seconds, has found STS to be.
WINDOW: Final = timedelta(minutes=15)
_WRONG_SIGNATURE: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_UNKNOWN_KEY: Final = "The security token included in the request is invalid."


def authenticate(cloud: Cloud, wire: Wire) -> Issued:
    """Whose request this is. Raises Refusal with STS's own codes."""
    try:
        signature = read_signature(wire)
    except Unreadable as unreadable:
        raise Refusal("IncompleteSignature", str(unreadable)) from unreadable
    if signature is None:
        raise Refusal("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    if signature.service != "sts":
        raise Refusal("SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'. ", 403)
    if missing := [name for name in signature.signed_headers if name not in wire.headers]:
        # The text is a guess; that a header which was signed has to be there is in the definition of the signature.
        raise Refusal("SignatureDoesNotMatch", f"The signed header {missing[0]} is not in the request. ", 403)
    issued = cloud.register.find(signature.access_key_id)
    if issued is None or issued.session_token.reveal() != signature.session_token:
        raise Refusal("InvalidClientTokenId", _UNKNOWN_KEY, 403)
    if not issued.made_elsewhere and cloud.world.role_of(issued.role_arn) is None:
        raise Refusal("InvalidClientTokenId", _UNKNOWN_KEY, 403)
    if cloud.now() >= issued.expires_at:
        raise Refusal("ExpiredToken", "The security token included in the request is expired", 403)
    _check_moment(cloud, signature)
    if not is_signed_by(issued.secret_access_key, signature, wire, hashlib.sha256(wire.body).hexdigest()):
        raise Refusal("SignatureDoesNotMatch", _WRONG_SIGNATURE, 403)
    return issued


def _check_moment(cloud: Cloud, signature: Signature) -> None:
    """A signature is good for a quarter of an hour."""
    now = cloud.now()
    stamp = "%Y%m%dT%H%M%SZ"
    if now - signature.moment > WINDOW:
        raise Refusal(
            "SignatureDoesNotMatch",
            f"Signature expired: {signature.stamp} is now earlier than {(now - WINDOW).strftime(stamp)} "
            f"({now.strftime(stamp)} - 15 min.)",
            403,
        )
    if signature.moment - now > WINDOW:
        raise Refusal(
            "SignatureDoesNotMatch",
            f"Signature not yet current: {signature.stamp} is still later than {(now + WINDOW).strftime(stamp)} "
            f"({now.strftime(stamp)} + 15 min.)",
            403,
        )
