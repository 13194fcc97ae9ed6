"""What does STS answer to GetWebIdentityToken?

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html, and "Understanding token claims" in
the IAM User Guide. What is marked as a guess there is nowhere to be read.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from agent.sandbox.cloud import Call, Cloud
from agent.sandbox.documents import Value
from agent.sandbox.federation import Outbound
from agent.sandbox.issued import Issued
from agent.sandbox.outbound.issuer import KIDS, AccountIssuer
from agent.sandbox.refusals import Refusal, validation
from agent.sandbox.s3.permissions import check_permission
from agent.sandbox.sts.service import VERSION, failure, success
from agent.sandbox.sts.signed import authenticate
from agent.sandbox.wire import Reply, Wire

ACTION: Final = "GetWebIdentityToken"
#: Under this claim stands what AWS says besides the claims that every token has.
NAMESPACE: Final = "https://sts.amazonaws.com/"
_DEFAULT: Final = 300
_SHORTEST, _LONGEST = 60, 3600
_MOST_AUDIENCES: Final = 10
_MOST_TAGS: Final = 50
#: The most that the claims may come to, in characters. AWS says that there is a limit, not which: a guess.
_LARGEST: Final = 8192
_TAG_MARKS: Final = "_.:/=+-@"
_NUMBERED: Final = re.compile(r"(Audience|Tags)\.member\.([1-9][0-9]?)(?:\.(Key|Value))?")


@dataclass(frozen=True, slots=True)
class _Asked:
    audiences: tuple[str, ...]
    seconds: int
    algorithm: str
    tags: Mapping[str, str]


class OutboundService:
    """The issuer of this account, which speaks through STS."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._issuers: dict[str, AccountIssuer] = {}

    def concerns(self, wire: Wire) -> bool:
        """Whether this is the one action."""
        return wire.path in ("", "/") and wire.arguments().get("Action") == ACTION

    async def answer(self, wire: Wire, request_id: str) -> Reply:
        """Perform it; refusals are answers too."""
        json = "application/json" in wire.headers.get("accept", "")
        try:
            reply = success(ACTION, self._token(wire), request_id, json=json)
            code = "Success"
        except Refusal as refusal:
            reply, code = failure(refusal, request_id, json=json), refusal.code
        self._cloud.note(Call(ACTION, code, reply.status, "", "", self._cloud.now()))
        return Reply(reply.status, reply.body, reply.media_type, {"x-amzn-requestid": request_id})

    def publish(self, directory: Path) -> str | None:
        """Write the documents of the account's issuer, and give its URL; None if it has none."""
        outbound = self._cloud.world.outbound
        if outbound is None:
            return None
        self._issuer(outbound).publish(directory)
        return outbound.issuer

    def _issuer(self, outbound: Outbound) -> AccountIssuer:
        return self._issuers.setdefault(outbound.issuer, AccountIssuer(outbound.issuer))

    def _token(self, wire: Wire) -> Value:
        arguments = wire.arguments()
        version = arguments.get("Version", "NO_VERSION_SPECIFIED")
        if version != VERSION:
            raise Refusal("InvalidAction", f"Could not find operation {ACTION} for version {version}")
        issued = authenticate(self._cloud, wire)
        asked = _read(arguments)
        world, now = self._cloud.world, self._cloud.now()
        keys = {"sts:identitytokenaudience": asked.audiences, "sts:signingalgorithm": (asked.algorithm,)}
        keys |= {"sts:durationseconds": (str(asked.seconds),)}
        keys |= {f"aws:requesttag/{name.lower()}": (value,) for name, value in asked.tags.items()}
        check_permission(issued, world, f"sts:{ACTION}", "*", keys)
        outbound = world.outbound
        if outbound is None:
            raise Refusal(
                "OutboundWebIdentityFederationDisabledException",
                "Outbound web identity federation is not enabled for this account.", 403,
            )  # fmt: skip
        life = timedelta(seconds=asked.seconds)
        if now + life > issued.expires_at:
            raise Refusal(
                "SessionDurationEscalationException",
                "The requested token duration would extend the session beyond its original expiration time.", 403,
            )  # fmt: skip
        claims = self._claims(issued, outbound, asked)
        if len(str(claims)) > _LARGEST:
            raise Refusal("JWTPayloadSizeExceededException", "The requested token payload size exceeds the limit.")
        token = self._issuer(outbound).sign(claims, asked.algorithm)
        return {"WebIdentityToken": token, "Expiration": now + life}

    def _claims(self, issued: Issued, outbound: Outbound, asked: _Asked) -> dict[str, object]:
        seconds = int(self._cloud.now().timestamp())
        prefix = "aws:principaltag/"
        tags = {name.removeprefix(prefix): one[0] for name, one in issued.context.items() if name.startswith(prefix)}
        about: dict[str, object] = {"aws_account": issued.arn.split(":")[4], "source_region": outbound.region}
        about |= {"org_id": outbound.organization} if outbound.organization else {}
        about |= {"ou_path": outbound.ou_path} if outbound.ou_path else {}
        about |= {"principal_tags": tags} if tags else {}
        about |= {"request_tags": dict(asked.tags)} if asked.tags else {}
        return {
            "iss": outbound.issuer,
            "sub": issued.role_arn,
            "aud": asked.audiences[0] if len(asked.audiences) == 1 else list(asked.audiences),
            "iat": seconds,
            "exp": seconds + asked.seconds,
            "jti": str(uuid.UUID(int=self._cloud.rng.getrandbits(128), version=4)),
            NAMESPACE: about,
        }


def _read(arguments: Mapping[str, str]) -> _Asked:
    """Check the parameters against the service's model. Raises Refusal."""
    audiences = _list(arguments, "Audience")
    if not 1 <= len(audiences) <= _MOST_AUDIENCES or not all(1 <= len(one) <= 1000 for one in audiences):
        raise validation("Value at 'audience' failed to satisfy constraint: 1 to 10 members of 1 to 1000 characters")
    algorithm = arguments.get("SigningAlgorithm", "")
    if algorithm not in KIDS:
        raise validation("Value at 'signingAlgorithm' failed to satisfy constraint: Member must be RS256 or ES384")
    duration = arguments.get("DurationSeconds", str(_DEFAULT))
    if not re.fullmatch(r"[0-9]{1,6}", duration) or not _SHORTEST <= int(duration) <= _LONGEST:
        raise validation("Value at 'durationSeconds' failed to satisfy constraint: Member must be from 60 to 3600")
    names, values = _list(arguments, "Tags", "Key"), _list(arguments, "Tags", "Value")
    fitting = all(0 < len(one) <= 128 and _is_tag(one) for one in names)
    if len(names) != len(values) or len(names) > _MOST_TAGS or len({one.lower() for one in names}) != len(names):
        raise validation("Value at 'tags' failed to satisfy constraint: at most 50 members, each with its own key")
    if not fitting or not all(len(one) <= 256 and _is_tag(one) for one in values):
        raise validation("Value at 'tags' failed to satisfy constraint: Member must satisfy regular expression pattern")
    return _Asked(audiences, int(duration), algorithm, dict(zip(names, values, strict=True)))


def _list(arguments: Mapping[str, str], name: str, member: str = "") -> tuple[str, ...]:
    """The members of a list, as the query protocol numbers them."""
    found: dict[int, str] = {}
    for key, value in arguments.items():
        match = _NUMBERED.fullmatch(key)
        if match and match[1] == name and (match[3] or "") == member:
            found[int(match[2])] = value
    return tuple(found[number] for number in sorted(found))


def _is_tag(text: str) -> bool:
    return all(mark.isalnum() or mark.isspace() or mark in _TAG_MARKS for mark in text)
