"""Is a member of a body what it should be, or refused?"""

from collections.abc import Callable

import pytest

from agent.sandbox.identity_center.asked import Asked
from agent.sandbox.refusals import Refusal

ASKED = Asked(
    b'{"text": "a", "empty": "", "null": null, "number": 1, "list": ["a", "b"], "mixed": ["a", 1], "half": "\\ud800"}'
)


def test_members_are_read_as_what_they_are() -> None:
    assert ASKED.text("text") == "a"
    assert ASKED.perhaps("missing") == ASKED.perhaps("null") == ""
    assert ASKED.texts("list") == ("a", "b")
    assert ASKED.texts("missing") == ASKED.texts("null") == ()


@pytest.mark.parametrize(
    "read",
    [
        lambda: ASKED.text("missing"),
        lambda: ASKED.text("empty"),
        lambda: ASKED.text("null"),
        lambda: ASKED.text("number"),
        lambda: ASKED.perhaps("list"),
        lambda: ASKED.perhaps("half"),  # half a character: nothing that could be written again
        lambda: ASKED.texts("text"),
        lambda: ASKED.texts("mixed"),
    ],
)
def test_what_is_something_else_is_refused(read: Callable[[], object]) -> None:
    with pytest.raises(Refusal, match="InvalidRequestException"):
        read()
