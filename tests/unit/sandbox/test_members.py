"""Is an object of a world read with its own members alone, each of its type?"""

import pytest

from agent.errors import ConfigurationError
from agent.sandbox.members import members

KNOWN = {"name": str, "many": int, "right": bool}


def test_members_are_what_was_written() -> None:
    assert members({"name": "a", "right": False}, KNOWN, "thing", "name") == {"name": "a", "right": False}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "a thing is a JSON object"),
        ({"name": "a", "nome": "b"}, "has no 'nome'"),
        ({"name": 1}, "of the type int"),
        ({"name": "a", "many": True}, "of the type bool"),
        ({"name": "a", "right": 1}, "of the type int"),
        ({"many": 1}, "needs name"),
    ],
)
def test_anything_else_is_refused(document: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        members(document, KNOWN, "thing", "name")
