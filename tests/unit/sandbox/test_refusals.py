"""Whose fault does AWS say it is?"""

import pytest

from agent.sandbox.refusals import (
    Refusal,
    idp_unreachable,
    malformed_policy,
    missing_claim,
    not_authorized,
    throttled,
    validation,
)


@pytest.mark.parametrize(
    ("refusal", "code", "status", "fault"),
    [
        (missing_claim("iat"), "InvalidIdentityToken", 400, "Sender"),
        (validation("x"), "ValidationError", 400, "Sender"),
        (malformed_policy("x"), "MalformedPolicyDocument", 400, "Sender"),
        (throttled(), "Throttling", 400, "Sender"),
        (idp_unreachable(), "IDPCommunicationError", 400, "Sender"),
        (not_authorized("sts:TagSession"), "AccessDenied", 403, "Sender"),
        (Refusal("InternalFailure", "x", 500), "InternalFailure", 500, "Receiver"),
        (Refusal("ServiceUnavailable", "x", 503), "ServiceUnavailable", 503, "Receiver"),
    ],
)
def test_a_refusal_has_the_status_and_the_fault_of_its_kind(
    refusal: Refusal, code: str, status: int, fault: str
) -> None:
    assert (refusal.code, refusal.status, refusal.fault) == (code, status, fault)
    assert str(refusal) == f"{code}: {refusal.message}"


def test_access_denied_names_the_action_and_nothing_else() -> None:
    assert not_authorized("sts:TagSession").message == "Not authorized to perform sts:TagSession"
