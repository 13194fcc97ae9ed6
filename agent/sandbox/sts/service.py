"""What does STS answer?

The query protocol: actions by name, XML back, or JSON to those who accept it.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.documents import STS_NAMESPACE, Value, as_json, as_xml
from agent.sandbox.issued import Issued
from agent.sandbox.refusals import NO_KEY, Refusal, invalid_token
from agent.sandbox.sigv4 import Signature, Unreadable, is_signed_by, read_signature
from agent.sandbox.sts.assume import WebIdentity
from agent.sandbox.sts.parameters import read_assume_role
from agent.sandbox.wire import Reply, Wire

VERSION: Final = "2011-06-15"
#: How old a signed request may be, and how far from the future.
WINDOW: Final = timedelta(minutes=15)
_WRONG_SIGNATURE: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_UNKNOWN_KEY: Final = "The security token included in the request is invalid."


class Sts:
    """The Security Token Service."""

    def __init__(self, cloud: Cloud, web_identity: WebIdentity) -> None:
        self._cloud = cloud
        self._web_identity = web_identity

    async def answer(self, action: str, arguments: Mapping[str, str], wire: Wire) -> Value:
        """Perform an action: the members of its result. Raises Refusal."""
        if not action:
            raise Refusal("MissingAction", "Missing Action")
        version = arguments.get("Version", "NO_VERSION_SPECIFIED")
        if version != VERSION or action not in ("AssumeRoleWithWebIdentity", "GetCallerIdentity"):
            raise Refusal("InvalidAction", f"Could not find operation {action} for version {version}")
        if action == "GetCallerIdentity":
            issued = self.authenticate(wire)
            return {"Arn": issued.arn, "UserId": issued.user_id, "Account": issued.arn.split(":")[4]}
        asked = read_assume_role(arguments)
        if "x-amz-security-token" in wire.headers:
            # Credentials on this call, which is to be unsigned, lead STS astray: seen at aws-sdk-php#1725.
            raise invalid_token(NO_KEY)
        return await self._web_identity.assume(asked, wire.peer)

    def authenticate(self, wire: Wire) -> Issued:
        """Whose request this is. Raises Refusal with STS's own codes."""
        try:
            signature = read_signature(wire)
        except Unreadable as unreadable:
            raise Refusal("IncompleteSignature", str(unreadable)) from unreadable
        if signature is None:
            raise Refusal("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        if signature.service != "sts":
            raise Refusal("SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'. ", 403)
        issued = self._cloud.register.find(signature.access_key_id)
        if issued is None or issued.session_token.reveal() != signature.session_token:
            raise Refusal("InvalidClientTokenId", _UNKNOWN_KEY, 403)
        if not issued.made_elsewhere and self._cloud.world.role_of(issued.role_arn) is None:
            raise Refusal("InvalidClientTokenId", _UNKNOWN_KEY, 403)
        if self._cloud.now() >= issued.expires_at:
            raise Refusal("ExpiredToken", "The security token included in the request is expired", 403)
        self._check_moment(signature)
        if not is_signed_by(issued.secret_access_key, signature, wire, hashlib.sha256(wire.body).hexdigest()):
            raise Refusal("SignatureDoesNotMatch", _WRONG_SIGNATURE, 403)
        return issued

    def _check_moment(self, signature: Signature) -> None:
        """A signature is good for a quarter of an hour, a presigned URL for as long as it says."""
        now = self._cloud.now()
        window = WINDOW if signature.lifetime is None else signature.lifetime
        stamp = "%Y%m%dT%H%M%SZ"
        if now - signature.moment > window:
            minutes = int(window.total_seconds() // 60)
            raise Refusal(
                "SignatureDoesNotMatch",
                f"Signature expired: {signature.stamp} is now earlier than {(now - window).strftime(stamp)} "
                f"({now.strftime(stamp)} - {minutes} min.)",
                403,
            )
        if signature.moment - now > WINDOW:
            raise Refusal(
                "SignatureDoesNotMatch",
                f"Signature not yet current: {signature.stamp} is still later than {(now + WINDOW).strftime(stamp)} "
                f"({now.strftime(stamp)} + 15 min.)",
                403,
            )


def success(action: str, result: Value, request_id: str, *, json: bool) -> Reply:
    """Wrap a result as the query protocol does."""
    members: Value = {f"{action}Result": result, "ResponseMetadata": {"RequestId": request_id}}
    if json:
        return Reply(200, as_json({f"{action}Response": members}), "application/json")
    return Reply(200, as_xml(f"{action}Response", members, STS_NAMESPACE))


def failure(refusal: Refusal, request_id: str, *, json: bool) -> Reply:
    """Wrap a refusal."""
    error = {"Type": refusal.fault, "Code": refusal.code, "Message": refusal.message}
    members: Value = {"Error": error, "RequestId": request_id}
    if json:
        return Reply(refusal.status, as_json(members), "application/json")
    return Reply(refusal.status, as_xml("ErrorResponse", members, STS_NAMESPACE))
