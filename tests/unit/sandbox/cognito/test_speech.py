import json
from collections.abc import Callable

import pytest

from agent.sandbox.cognito.speech import Spoken, failure, operation_of, spoken, success
from agent.sandbox.refusals import Refusal
from agent.sandbox.wire import Wire

HEADERS = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Service.Do"}


def wire(body: bytes = b"{}", method: str = "POST", **headers: str) -> Wire:
    return Wire(
        method, "/", "", {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}, body
    )


def refused(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code, caught.value.message


def test_the_target_names_service_and_operation() -> None:
    assert operation_of(wire(), "Service") == "Do"
    assert operation_of(wire(), "Other") is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_body_is_a_json_object(body: bytes) -> None:
    assert refused(lambda: spoken(wire(body), "Do"))[0] == "SerializationException"


def test_a_request_is_a_post_of_the_right_type() -> None:
    assert refused(lambda: spoken(wire(method="GET"), "Do"))[0] == "UnknownOperationException"
    assert refused(lambda: spoken(wire(content_type="application/json"), "Do"))[0] == "UnknownOperationException"
    assert spoken(wire(content_type="application/x-amz-json-1.1; charset=utf-8"), "Do").members == {}


def test_members_are_of_their_type_length_and_pattern() -> None:
    said = Spoken("Do", {"Text": "abc", "Number": 7, "Table": {"a": "b"}, "Bad": {"a": 1}, "List": []})
    assert said.text("Text") == "abc"
    assert said.maybe("Gone") is None
    assert said.table("Table") == {"a": "b"}
    assert said.table("Gone") == {}
    assert said.one_of("Text", ("abc",)) == "abc"
    assert refused(lambda: said.text("Gone"))[1].endswith(
        "Value at 'gone' failed to satisfy constraint: Member must not be null"
    )
    assert "length greater than or equal to 4" in refused(lambda: said.text("Text", least=4))[1]
    assert "length less than or equal to 2" in refused(lambda: said.text("Text", most=2))[1]
    assert "regular expression pattern: x+" in refused(lambda: said.text("Text", "x+"))[1]
    assert "enum value set: [x, y]" in refused(lambda: said.one_of("Text", ("x", "y")))[1]
    assert "length less than or equal to 0" in refused(lambda: said.table("Table", 0))[1]
    for name in ("Bad", "List"):
        assert refused(lambda name=name: said.table(name))[0] == "SerializationException"  # type: ignore[misc]  # a default
    assert refused(lambda: said.text("Number"))[0] == "SerializationException"


def test_answers_are_wrapped() -> None:
    good, bad = success({"A": "b", "C": None}, "1"), failure(Refusal("XException", "why"), "2")
    assert (good.status, json.loads(good.body)) == (200, {"A": "b"})
    assert (bad.status, json.loads(bad.body)) == (400, {"__type": "XException", "message": "why"})
    assert bad.headers == {"x-amzn-requestid": "2", "x-amzn-errortype": "XException:"}
