from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from agent.clients.signed import SignedEndpoint, kms_client
from agent.errors import KeyUnavailable
from agent.keys.aws_kms.custodian import AwsKms, Held
from agent.keys.aws_kms.refusals import pending, refusal, silence
from tests.fakes.certificate import certificate
from tests.fakes.clock import FakeClock
from tests.fakes.moto import REGION, held
from tests.fakes.sts_server import Reply, StsServer, http

KEY = "the KMS key 1234abcd"


def told(code: str, message: str = "canary-message", action: str = "kms:Sign") -> KeyUnavailable:
    return refusal(ClientError({"Error": {"Code": code, "Message": message}}, "Sign"), KEY, action)


@pytest.mark.parametrize(
    ("code", "what", "hint"),
    [
        ("NotFoundException", f"{KEY} is not there", "key.region"),
        ("InvalidArnException", f"{KEY} is no key of KMS", "key.key_id"),
        ("DisabledException", f"{KEY} is disabled", "enable-key"),
        ("KMSInvalidStateException", f"{KEY} cannot be used in the state it is in", "cancel-key-deletion"),
        ("InvalidKeyUsageException", f"{KEY} is not a key that signs in this way", "SIGN_VERIFY"),
        ("AccessDeniedException", f"KMS does not let us use {KEY}: kms:Sign is denied", "allow kms:Sign on it"),
        ("ThrottlingException", "KMS has had too many requests from this account", "quota"),
        ("LimitExceededException", "the account has as many keys of KMS in this region as it may have", "quota"),
        ("ExpiredTokenException", "the AWS credentials that KMS is asked with have expired", "key.credentials"),
        ("UnrecognizedClientException", "the AWS credentials that KMS is asked with are not known there", "partition"),
        ("RequestTimeTooSkewed", "KMS finds that this machine's clock is wrong", "clock right"),
        ("SignatureDoesNotMatch", "KMS does not believe the signature of our request", "secret key"),
        ("KMSInternalException", "KMS is out of order", "should pass"),
        ("SomethingNewException", "KMS refused kms:Sign: SomethingNewException", "documentation"),
    ],
)
def test_each_refusal_has_its_own_sentence_and_says_what_to_do(code: str, what: str, hint: str) -> None:
    error = told(code)
    assert error.what == what
    assert hint in error.hint
    assert "canary-message" not in f"{error.what} {error.hint}"


def test_the_action_that_is_denied_is_named() -> None:
    error = told("AccessDeniedException", action="kms:GetPublicKey")
    assert "kms:GetPublicKey" in error.what
    assert "kms:GetPublicKey" in error.hint


def test_who_may_not_make_keys_is_told_what_that_takes() -> None:
    error = told("AccessDeniedException", action="kms:CreateKey and kms:TagResource")
    assert error.what == "KMS does not let us make a key: kms:CreateKey and kms:TagResource is denied"
    assert "make_keys = false" in error.hint


def test_a_signature_that_expired_is_a_matter_of_the_clock() -> None:
    error = told("InvalidSignatureException", "Signature expired: 20261120T120000Z is now earlier than …")
    assert error.what == "KMS finds that this machine's clock is wrong"
    assert "secret key" in told("InvalidSignatureException", "The request signature we calculated …").hint


def test_keys_on_their_way_out_are_told_from_others() -> None:
    states = ("Enabled", "Disabled", "PendingDeletion", "PendingReplicaDeletion", "PendingImport")
    assert [state for state in states if pending(state)] == ["PendingDeletion", "PendingReplicaDeletion"]


async def asked(endpoint_url: str, region: str = REGION) -> KeyUnavailable:
    """Ask something that is no KMS."""
    async with kms_client(SignedEndpoint(region, held, endpoint_url=endpoint_url)) as client:
        with pytest.raises(KeyUnavailable) as caught:
            await AwsKms(client, Held("alias/rolecall", region), FakeClock()).names()
    return caught.value


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (Reply(b"", "reset"), "KMS broke off before its answer was complete"),
        (Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "KMS broke off before its answer was complete"),
        (http("<html>sign in", content_type="text/html"), "what came is no answer that KMS would give"),
        (http("{}"), "what came is no answer that KMS would give"),
        (http("[" * 100_000), "what came is no answer that KMS would give"),
        (http('{"__type": "AccessDeniedException"}', 400), "kms:DescribeKey is denied"),
    ],
)
async def test_whatever_comes_instead_of_an_answer_is_our_error(reply: Reply, what: str) -> None:
    async with StsServer([reply]) as server:
        error = await asked(server.url)
    assert what in error.what
    assert error.hint


async def test_a_name_that_does_not_resolve_is_said() -> None:
    assert (await asked("http://kms.invalid")).what == "the name of KMS does not resolve"


async def test_a_certificate_that_is_not_trusted_is_said(tmp_path: Path) -> None:
    async with StsServer([http("{}")], tls=certificate(tmp_path)[1]) as server:
        error = await asked(server.url)
    assert error.what == "the certificate of KMS is not trusted: self-signed certificate"
    assert "key.ca_bundle" in error.hint


def test_a_time_that_is_over_is_said() -> None:
    assert silence(TimeoutError()).what == "KMS did not answer in time"
