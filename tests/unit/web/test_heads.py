import time

import pytest

from agent.web.heads import UNREADABLE, read_head


def head(*lines: str) -> bytes:
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def test_a_head_says_what_is_asked_and_how() -> None:
    found = read_head(head("GET /token?aud=a&scope=b?c HTTP/1.1", "Host: example.com", "X-Some:  two words \t"))
    assert (found.method, found.path, found.query) == ("GET", "/token", "aud=a&scope=b?c")
    assert found.fields == {b"host": [b"example.com"], b"x-some": [b"two words"]}
    assert found.sound
    assert not found.last


def test_several_of_one_name_are_one_list() -> None:
    found = read_head(head("GET / HTTP/1.1", "Host: a", "X-Some: 1", "x-some: 2"))
    assert found.words(b"x-some") == "1,2"
    assert found.words(b"x-other") == ""


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("GET /",),
        ("get / HTTP/1.1", "Host: a"),
        ("GET  / HTTP/1.1", "Host: a"),
        ("GET / HTTP/2", "Host: a"),
        ("GET token HTTP/1.1", "Host: a"),
        ("GET / HTTP/1.1", "Host : a"),
        ("GET / HTTP/1.1", "Host: a", " folded"),
        ("GET / HTTP/1.1", "Host: a\nX: b"),
        ("GET / HTTP/1.1", "Host: a\x00"),
        ("GET / HTTP/1.1", ": a"),
    ],
)
def test_what_cannot_be_read_is_nothing(lines: tuple[str, ...]) -> None:
    assert read_head(head(*lines)) == UNREADABLE


@pytest.mark.parametrize(
    ("lines", "sound", "last"),
    [
        (("GET / HTTP/1.1",), False, True),
        (("GET / HTTP/1.1", "Host: a", "Host: b"), False, True),
        (("GET / HTTP/1.0",), True, True),
        (("GET / HTTP/1.1", "Host: a", "Connection: keep-alive, close"), True, True),
        (("GET / HTTP/1.1", "Host: a", "Content-Length: 0"), True, False),
        (("GET / HTTP/1.1", "Host: a", "Content-Length: 5"), False, True),
        (("GET / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), False, True),
        (("POST / HTTP/1.1", "Host: a", "Content-Length: 5"), True, True),
    ],
)
def test_what_is_doubtful_ends_the_connection(lines: tuple[str, ...], sound: bool, last: bool) -> None:  # noqa: FBT001
    found = read_head(head(*lines))
    assert (found.sound, found.last) == (sound, last)


def test_what_may_be_a_secret_is_not_shown() -> None:
    found = read_head(head("GET /token?aud=hidden HTTP/1.1", "Host: a", "Authorization: hidden"))
    assert "hidden" not in repr(found)


@pytest.mark.parametrize("value", [" " * 2000 + "\x01", " " * 16_000 + "\x01", "a" + " " * 16_000 + "b", " \t" * 8000])
def test_blanks_without_end_are_read_in_no_time(value: str) -> None:
    began = time.process_time()
    read_head(head("GET / HTTP/1.1", "Host: a", f"X-Some:{value}"))
    assert time.process_time() - began < 0.1
