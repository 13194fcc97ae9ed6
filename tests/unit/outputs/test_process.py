import json

import pytest

from agent.errors import AgentUnreachable
from agent.outputs import documents, process
from tests.unit.outputs.test_documents import HELD


def test_what_the_listener_answered_becomes_the_same_document_as_the_credentials_themselves() -> None:
    assert process.from_ecs(documents.ecs(HELD)) == documents.process(HELD)


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
