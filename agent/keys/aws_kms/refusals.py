"""What does it mean when AWS KMS refuses, and what can be done about it?

Sources: KMS API Reference, "Common Error Types" and the errors of each action; IAM User Guide, "Troubleshooting
Signature Version 4". KMS's own messages are not quoted: they may name what is asked for, and by whom.
"""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointProviderError,
    ReadTimeoutError,
)

from agent.causes import causes
from agent.errors import KeyUnavailable

_DENIED: Final = ("AccessDeniedException", "AccessDenied")
_NO_ACCESS = "allow {action} on it, in its key policy or in an IAM policy of whoever key.credentials are"
_CREDENTIALS = "renew those that key.credentials names, or name others"
_CLOCK = "put this machine's clock right: KMS takes requests that are at most 5 minutes off"
_LATER = "this should pass; the request is repeated with the next token"


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An answer of KMS: its codes, how we put it, what to do."""

    codes: frozenset[str]
    what: str
    hint: str


def _is(*codes: str, what: str, hint: str) -> _Refusal:
    return _Refusal(frozenset(codes), what, hint)


_REFUSALS: Final = (
    _is(
        "NotFoundException",
        what="{key} is not there",
        hint="correct key.key_id, key.region and the account: aws kms describe-key --key-id …",
    ),
    _is("InvalidArnException", what="{key} is no key of KMS", hint="correct key.key_id"),
    _is("DisabledException", what="{key} is disabled", hint="enable it: aws kms enable-key"),
    _is(
        "KMSInvalidStateException",
        what="{key} cannot be used in the state it is in",
        hint="see whether it is to be deleted: aws kms describe-key; then aws kms cancel-key-deletion",
    ),
    _is(
        *("InvalidKeyUsageException", "UnsupportedOperationException"),
        what="{key} is not a key that signs in this way",
        hint="use an asymmetric key for SIGN_VERIFY, and an algorithm that it has",
    ),
    _is(
        *_DENIED,
        what="KMS does not let us use {key}: {action} is denied",
        hint=_NO_ACCESS,
    ),
    _is(
        "LimitExceededException",
        what="the account has as many keys of KMS in this region as it may have",
        hint="schedule the deletion of those that nobody uses, or have AWS raise the quota",
    ),
    _is(
        *("ThrottlingException", "Throttling", "TooManyRequestsException"),
        what="KMS has had too many requests from this account",
        hint="this should pass; if it does not, raise the account's quota for KMS in the region",
    ),
    _is(
        *("ExpiredTokenException", "ExpiredToken"),
        what="the AWS credentials that KMS is asked with have expired",
        hint=_CREDENTIALS,
    ),
    _is(
        *("UnrecognizedClientException", "InvalidClientTokenId", "OptInRequired", "IncompleteSignature"),
        what="the AWS credentials that KMS is asked with are not known there",
        hint="renew those that key.credentials names; see that they belong to the partition of key.region",
    ),
    _is(
        *("RequestTimeTooSkewed", "RequestExpired"),
        what="KMS finds that this machine's clock is wrong",
        hint=_CLOCK,
    ),
    _is(
        *("InvalidSignatureException", "SignatureDoesNotMatch"),
        what="KMS does not believe the signature of our request",
        hint="see whether this machine's clock is right, and the secret key of what key.credentials names",
    ),
    _is(
        *("KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException", "InternalFailure"),
        *("ServiceUnavailable", "ServiceUnavailableException", "InternalServerError"),
        what="KMS is out of order",
        hint=_LATER,
    ),
)


def refusal(error: ClientError, key: str, action: str) -> KeyUnavailable:
    """Our error for an answer of KMS about `key`, which `action` was asked of."""
    answer = error.response.get("Error", {})
    code = str(answer.get("Code") or "no code")
    if code == "InvalidSignatureException" and "xpired" in str(answer.get("Message")):
        code = "RequestTimeTooSkewed"  # for both it has one code, but "Signature expired: …" is about the time
    if code in _DENIED and action.startswith("kms:CreateKey"):
        return KeyUnavailable(
            f"KMS does not let us make a key: {action} is denied",
            hint=f"allow {action} in an IAM policy of whoever key.credentials are; or set key.make_keys = false",
        )
    for each in _REFUSALS:
        if code in each.codes:
            return KeyUnavailable(each.what.format(key=key, action=action), hint=each.hint.format(action=action))
    return KeyUnavailable(f"KMS refused {action}: {code}", hint="see AWS's documentation for that code")


def pending(state: str) -> bool:
    """Whether a key in this state (KeyState) is on its way out."""
    return state in {"PendingDeletion", "PendingReplicaDeletion"}


def silence(error: BaseException) -> KeyUnavailable:
    """Our error where KMS did not answer at all; nothing is quoted but what the system said."""
    if isinstance(error, EndpointProviderError):
        return KeyUnavailable("there is no KMS for what is configured", hint="correct key.region")
    chain = list(causes(error))
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_message"):
            return KeyUnavailable(
                f"the certificate of KMS is not trusted: {cause.verify_message}",
                hint="if a private CA signs it, name that CA's certificate in key.ca_bundle",
            )
        if isinstance(cause, socket.gaierror):
            return KeyUnavailable(
                "the name of KMS does not resolve", hint="check name resolution, key.region and key.endpoint_url"
            )
    if any(isinstance(cause, ConnectTimeoutError | ReadTimeoutError | TimeoutError) for cause in chain):
        return KeyUnavailable("KMS did not answer in time", hint="check the way to KMS: firewall, key.endpoint_url")
    return _cut_off(error, [cause.strerror for cause in chain if isinstance(cause, OSError) and cause.strerror])


def _cut_off(error: BaseException, said: Sequence[str]) -> KeyUnavailable:
    if said:
        return KeyUnavailable(f"KMS cannot be reached: {said[-1]}", hint="check the network and key.endpoint_url")
    if isinstance(error, ConnectionClosedError):
        return KeyUnavailable("KMS broke off before its answer was complete", hint=_LATER)
    return nonsense()


def nonsense() -> KeyUnavailable:
    """Our error where something answered that is not KMS."""
    return KeyUnavailable(
        "what came is no answer that KMS would give",
        hint="see that key.endpoint_url, if set, is really KMS, and that no sign-in page answers instead",
    )
