from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.settings import Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]


def test_a_table_without_a_word_is_enough(read: Read) -> None:
    found = read(("", "\n[unit_tokens]\n")).unit_tokens
    assert found is not None
    assert (found.socket, found.secret) == (
        Path("/run/rolecall/unit-tokens.sock"),
        Path("/var/lib/rolecall/unit-tokens.json"),
    )
    assert (found.rotate, found.overlap) == (timedelta(days=30), timedelta(days=90))


@pytest.mark.parametrize(("length", "good"), [(107, True), (108, False)])
def test_a_socket_has_the_path_that_the_system_takes(length: int, good: bool, read: Read, mistakes: Mistakes) -> None:  # noqa: FBT001 - a row
    path = "/run/" + "x" * (length - 5)
    change = ("", f'\n[unit_tokens]\nsocket = "{path}"\n')
    if good:
        found = read(change).unit_tokens
        assert found is not None
        assert found.socket == Path(path)
    else:
        assert mistakes(change) == [
            "unit_tokens.socket: is 108 bytes long as an absolute path; a socket's takes at most 107"
        ]


def test_it_is_bytes_that_count(mistakes: Mistakes) -> None:
    assert len(mistakes(("", f'\n[unit_tokens]\nsocket = "/{"é" * 54}"\n'))) == 1


@pytest.mark.parametrize(
    ("word", "value"), [("rotate", "23h"), ("rotate", "1096d"), ("overlap", "59m"), ("overlap", "1096d")]
)
def test_lifetimes_have_bounds(word: str, value: str, mistakes: Mistakes) -> None:
    (told,) = mistakes(("", f'\n[unit_tokens]\n{word} = "{value}"\n'))
    assert told.startswith(f'unit_tokens.{word}: "{value}" is out of bounds')
