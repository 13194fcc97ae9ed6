import copy
import json
import logging
import pickle
import traceback

import pytest

from agent.secret import Secret

CANARY = "canary-6b1f"
SECRET = Secret(CANARY)


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>40}",
        "%s %r" % (SECRET, SECRET),  # noqa: UP031 - a way of printing, too
        repr([SECRET]),
        repr({"key": SECRET}),
        ascii(SECRET),
    ],
)
def test_no_way_of_printing_shows_a_secret(shown: str) -> None:
    assert CANARY not in shown


def test_only_reveal_gives_it_away() -> None:
    assert SECRET.reveal() == CANARY


def test_a_log_does_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("held: %s, %r", SECRET, SECRET)

    assert "held: Secret(…)" in caplog.text
    assert CANARY not in caplog.text


def test_a_traceback_with_local_variables_does_not_show_it() -> None:
    def fail(secret: Secret) -> None:
        raise ValueError(secret)

    with pytest.raises(ValueError, match="Secret") as caught:
        fail(SECRET)

    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "secret = Secret(…)" in shown
    assert CANARY not in shown


def test_it_cannot_be_written_anywhere() -> None:
    with pytest.raises(TypeError, match="not to be pickled"):
        pickle.dumps(SECRET)
    with pytest.raises(TypeError):
        json.dumps({"key": SECRET})


def test_equal_secrets_are_equal_and_one_key() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("ä") == Secret("ä")
    assert Secret("a") != "a"
    assert {Secret("a"), Secret("a"), Secret("b")} == {Secret("a"), Secret("b")}


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("a")


def test_a_copy_is_the_secret_itself() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy([SECRET])[0] is SECRET


def test_it_takes_no_further_attributes() -> None:
    with pytest.raises(AttributeError):
        SECRET.note = "x"  # type: ignore[attr-defined]  # which is the point
