"""JSON out, a form or JSON in."""

import pytest

from agent.sandbox.relying_parties.answers import answer, json_members, members
from agent.sandbox.wire import Wire

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        (FORM, b"a=1&b=2+3&a=4&c=", {"a": "1", "b": "2 3", "c": ""}),
        ({}, b'{"a": "1", "b": 2}', {"a": "1"}),
        ({}, b"", {}),
        ({}, b"[1]", {}),
        ({}, b"no json", {}),
        ({}, b"[" * 100_000, {}),
    ],
)
def test_what_was_sent_is_read(headers: dict[str, str], body: bytes, found: dict[str, str]) -> None:
    assert members(Wire("POST", "/", "", headers, body)) == found


def test_json_is_read_whatever_it_is_called() -> None:
    assert json_members(Wire("POST", "/", "", FORM, b'{"a": "1"}')) == {"a": "1"}
    assert json_members(Wire("POST", "/", "", FORM, b"a=1")) == {}


def test_an_answer_is_json_that_is_not_kept() -> None:
    reply = answer(401, {"message": "no"}, {"x": "y"})
    assert (reply.status, reply.body, reply.media_type) == (401, b'{"message":"no"}', "application/json")
    assert reply.headers == {"Cache-Control": "no-store", "x": "y"}
