"""Is a request taken as it was sent?"""

from pathlib import Path
from urllib.parse import urlencode

from agent.sandbox.wire import Wire
from tests.unit.sandbox.scene import scene


async def test_a_get_does_as_well_as_a_post(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        answer = await here.get(f"{here.sandbox.endpoint_url}/?{urlencode(here.parameters())}")
        assert answer.status == 200
        assert answer.text("Audience") == "sts.amazonaws.com"


FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def test_arguments_come_from_query_and_form_and_the_first_counts() -> None:
    wire = Wire("POST", "/", "a=1&b=&c=x%20y+z", FORM, b"a=2&d=%C3%BC&d=3")
    assert wire.arguments() == {"a": "1", "b": "", "c": "x y z", "d": "ü"}


def test_what_is_no_form_has_no_arguments() -> None:
    assert Wire("POST", "/", "a=1", {"content-type": "text/plain"}, b"b=2").arguments() == {"a": "1"}
    assert Wire("POST", "/", "", {}, b"b=2").arguments() == {}


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert Wire("POST", "/", "", FORM, b"a=%ff&b=\xff").arguments() == {"a": "\ufffd", "b": "\ufffd"}
