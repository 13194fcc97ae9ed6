"""Are errors written as AWS writes them?"""

import json

from agent.sandbox.identity_center.refusals import oidc_failure, oidc_refusal, portal_failure, portal_refusal


def test_sso_oidc_writes_as_oauth_does() -> None:
    reply = oidc_failure(oidc_refusal("InvalidGrantException", "the reason"))
    assert json.loads(reply.body) == {"error": "invalid_grant", "error_description": "Invalid grant provided"}
    assert reply.headers["x-amzn-errortype"] == "InvalidGrantException"
    assert (reply.status, reply.media_type) == (400, "application/json")


def test_the_portal_writes_as_it_has_been_seen_to() -> None:
    reply = portal_failure(portal_refusal("ForbiddenException", "the reason"))
    assert json.loads(reply.body) == {
        "message": "No access",
        "__type": "com.amazonaws.switchboard.portal#ForbiddenException",
    }
    assert reply.status == 403


def test_the_reason_is_not_told() -> None:
    refusal = oidc_refusal("InvalidClientException", "the reason")
    assert str(refusal.__cause__) == "the reason"
    assert b"reason" not in oidc_failure(refusal).body
