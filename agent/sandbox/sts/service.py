"""What does STS answer?

The query protocol: actions by name, XML back, or JSON to those who accept it.
"""

from collections.abc import Mapping
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.documents import STS_NAMESPACE, Value, as_json, as_xml
from agent.sandbox.refusals import NO_KEY, Refusal, invalid_token
from agent.sandbox.sts.assume import WebIdentity
from agent.sandbox.sts.parameters import read_assume_role
from agent.sandbox.sts.signed import authenticate
from agent.sandbox.wire import Reply, Wire

VERSION: Final = "2011-06-15"


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
            issued = authenticate(self._cloud, wire)
            return {"Arn": issued.arn, "UserId": issued.user_id, "Account": issued.arn.split(":")[4]}
        asked = read_assume_role(arguments)
        if "x-amz-security-token" in wire.headers:
            # Credentials on this call, which is to be unsigned, lead STS astray: seen at aws-sdk-php#1725.
            raise invalid_token(NO_KEY)
        return await self._web_identity.assume(asked, wire.peer)


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
