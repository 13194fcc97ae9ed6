import json

import pytest

from agent.errors import AgentUnreachable
from agent.outputs import documents, process
from tests.unit.outputs.test_documents import HELD


def test_what_the_listener_answered_becomes_a_document_whose_version_is_a_number() -> None:
    assert json.loads(process.from_ecs(documents.ecs(HELD))) == {
        "Version": 1,
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
        "SessionToken": "IQoJb3JpZ2luX2VjEXAMPLE/token==",
        "Expiration": "2026-11-20T13:00:00Z",
        "AccountId": "123456789012",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"not JSON",
        b"\xff",
        b'{"Code":"CredentialsNotReady"}',
        documents.ecs(HELD).replace(b"ASIAEXAMPLE", b""),
        documents.ecs(HELD).replace(b'"AccountId":"123456789012",', b""),
        json.dumps(json.loads(documents.ecs(HELD)) | {"Token": None}).encode(),
    ],
)
def test_half_a_set_is_never_passed_on(body: bytes) -> None:
    with pytest.raises(AgentUnreachable) as refused:
        process.from_ecs(body)
    assert refused.value.hint
    assert "wJalr" not in str(refused.value)
    assert refused.value.__cause__ is None
