"""What does it mean when S3 refuses, and what can be done about it?

Sources: S3 API Reference, "Error responses"; S3 User Guide, "Conditional requests" and "Troubleshoot access denied".
"""

import re
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import ClientError, ConnectionClosedError

from agent.causes import causes
from agent.errors import PublishingFailed

_REGION: Final = re.compile(r"[a-z]{2,5}(-[a-z]+)+-[0-9]{1,2}")
#: Somebody else wrote, or took the object away, or is just writing.
_CONFLICTS: Final = {"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted", "412", "409"}
_ELSEWHERE: Final = {
    *("PermanentRedirect", "AuthorizationHeaderMalformed", "TemporaryRedirect", "IllegalLocationConstraintException"),
    *("301", "307"),
}
_TIRED: Final = {
    *("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException"),
    *("500", "502", "503", "504", "429"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What S3 was asked: an action in the words of IAM, and of which object."""

    action: str
    bucket: str
    key: str

    @property
    def where(self) -> str:
        """The object, as people write it."""
        return f"s3://{self.bucket}/{self.key}"

    def is_missing(self, error: ClientError) -> bool:
        """Whether S3 said that the object is not there, having been asked to show it."""
        return self.action == "s3:GetObject" and _code(error) in {"NoSuchKey", "404"}


class Again(Exception):
    """It may work if it is tried again, from the start; if it never does, it comes to `problem`."""

    def __init__(self, problem: PublishingFailed) -> None:
        super().__init__(problem.what)
        self.problem = problem


def refusal(error: ClientError, asked: Asked) -> PublishingFailed | Again:
    """What an answer of S3 comes to. Its own message is not quoted: it may name whoever asks."""
    code = _code(error)
    if code in _CONFLICTS or (asked.action == "s3:PutObject" and code in {"NoSuchKey", "404"}):
        return Again(
            PublishingFailed(
                f"{asked.where} is written by others all the time, and never the same for long enough",
                hint="see what else writes there; hosts that share an issuer write a few times in months",
            )
        )
    if code in _TIRED:
        return Again(PublishingFailed(f"S3 is out of order ({code})", hint="try it again later"))
    if code in _ELSEWHERE:
        return _elsewhere(error, asked)
    told = _TOLD.get(code)
    if told is None:
        return PublishingFailed(f"S3 refused {asked.action} for {asked.where}: {code}", hint="see S3's documentation")
    what, hint = (text.format(where=asked.where, asked=asked) for text in told)
    if code in {"AccessDenied", "403"} and asked.action == "s3:GetObject":
        hint += f", and s3:ListBucket on arn:aws:s3:::{asked.bucket}, without which a missing object looks forbidden"
    return PublishingFailed(what, hint=hint)


_DENIED: Final = (
    "S3 does not let us use {where}: {asked.action} is denied",
    "allow {asked.action} on arn:aws:s3:::{asked.bucket}/{asked.key}",
)
_NOT_IMPLEMENTED: Final = (
    "the store that holds {where} does not know conditional writes, and hosts that share it would lose keys",
    "use S3 itself or a store that does, and no proxy in front of it that takes If-Match away",
)
_UNKNOWN: Final = (
    "the AWS credentials for S3 are not known there",
    "renew those that publishing.credentials names; see that they belong to the partition of publishing.region",
)
_EXPIRED: Final = (
    "the AWS credentials for S3 have expired",
    "renew those that publishing.credentials names, or name others",
)
#: S3's codes; where an answer has none, botocore gives the HTTP status in its place.
_TOLD: Final = {
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "NoSuchBucket": (
        "there is no bucket {asked.bucket}",
        "correct publishing.bucket and publishing.region, or make the bucket",
    ),
    "NotImplemented": _NOT_IMPLEMENTED,
    "501": _NOT_IMPLEMENTED,
    "InvalidAccessKeyId": _UNKNOWN,
    "InvalidToken": _UNKNOWN,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestTimeTooSkewed": (
        "S3 finds that this machine's clock is wrong",
        "put it right: S3 takes requests that are at most 15 minutes off",
    ),
    "SignatureDoesNotMatch": (
        "S3 does not believe the signature of our request",
        "see that the secret key of what publishing.credentials names is right, and that no proxy changes requests",
    ),
}


def _elsewhere(error: ClientError, asked: Asked) -> PublishingFailed:
    about = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = str(about.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region") or "")
    known = region if _REGION.fullmatch(region) else ""
    return PublishingFailed(
        f"the bucket {asked.bucket} is in another region than publishing.region" + (f": in {known}" if known else ""),
        hint=f'write publishing.region = "{known or "…"}"' + ("" if known else ", as the S3 console shows it"),
    )


def silence(error: BaseException) -> PublishingFailed | Again:
    """What it comes to that S3 did not answer; nothing is quoted but what the system said."""
    chain = list(causes(error))
    certificate = next((told for cause in chain if (told := getattr(cause, "verify_message", None))), None)
    if certificate:
        return PublishingFailed(
            f"the certificate of S3 is not trusted: {certificate}",
            hint="if a private CA or an inspecting proxy signs it, name that CA's certificate in publishing.ca_bundle",
        )
    if isinstance(error, ConnectionClosedError):
        problem = PublishingFailed("S3 broke off before its answer was complete", hint="try it again later")
        return Again(problem)
    said = [cause.strerror for cause in chain if isinstance(cause, OSError) and cause.strerror]
    kind = said[-1] if said else type(error).__name__
    return PublishingFailed(
        f"S3 cannot be reached: {kind}",
        hint="check the network, publishing.region, publishing.endpoint_url and publishing.proxy",
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code") or "no code")
