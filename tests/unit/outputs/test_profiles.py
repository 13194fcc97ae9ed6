import configparser
import time

import pytest

from agent.outputs.profiles import Unclear, entries_of, holds_others, with_entries

SET = {"aws_access_key_id": "ASIA1", "aws_secret_access_key": "s/1+=", "aws_session_token": "t=="}
NEXT = {"aws_access_key_id": "ASIA2", "aws_secret_access_key": "s2", "aws_session_token": "t2"}
OURS = b"""\
[rolecall]
# rolecall keeps these entries fresh
aws_access_key_id = ASIA1
aws_secret_access_key = s/1+=
aws_session_token = t==
"""


def test_a_new_file_holds_one_profile() -> None:
    assert with_entries(b"", "rolecall", SET) == OURS


def test_a_profile_goes_to_the_end_of_what_others_have_written() -> None:
    others = b"# mine\n[default]\naws_access_key_id = AKIA\n"
    assert with_entries(others, "rolecall", SET) == others + OURS


def test_a_last_line_without_an_end_is_given_one() -> None:
    assert with_entries(b"[a]\nregion=x", "rolecall", SET) == b"[a]\nregion=x\n" + OURS
    assert with_entries(b"[rolecall]", "rolecall", SET) == OURS


def test_a_file_from_windows_stays_one() -> None:
    told = with_entries(b"[a]\r\nregion=x\r\n", "rolecall", SET)
    assert told == b"[a]\r\nregion=x\r\n" + OURS.replace(b"\n", b"\r\n")


def test_the_next_set_replaces_the_last_and_nothing_else() -> None:
    before, after = b"[a]\nx = 1\n\n; notes\n", b"\n# of b\n[b]\ny = 2"
    told = with_entries(before + OURS + after, "rolecall", NEXT)
    assert told == before + with_entries(b"", "rolecall", NEXT) + after


def test_the_same_set_again_changes_nothing() -> None:
    once = with_entries(b"[a]\nx=1\n", "rolecall", SET)
    assert with_entries(once, "rolecall", SET) == once


def test_what_others_say_in_our_profile_stays() -> None:
    told = with_entries(b"[rolecall]\nregion = x\naws_access_key_id = old\n# note\ns3 =\n  a = 1\n", "rolecall", SET)
    assert told == OURS + b"region = x\n# note\ns3 =\n  a = 1\n"


def test_our_entries_are_found_however_they_are_spelt() -> None:
    """A reader takes upper case, colons and lines that go on; and one of the old names would count before ours."""
    old = b"[rolecall]\nAWS_ACCESS_KEY_ID: a\n  more\naws_security_token=x\naws_session_token = y\n"
    assert with_entries(old, "rolecall", SET) == OURS


def test_when_the_set_is_over_the_profile_goes() -> None:
    assert with_entries(OURS, "rolecall", {}) == b""
    assert with_entries(b"[a]\nx=1\n" + OURS + b"# of b\n[b]\n", "rolecall", {}) == b"[a]\nx=1\n# of b\n[b]\n"


def test_when_the_set_is_over_what_others_say_in_the_profile_stays() -> None:
    assert with_entries(OURS + b"region = x\n", "rolecall", {}) == b"[rolecall]\nregion = x\n"


def test_where_nothing_of_ours_is_nothing_is_taken_out() -> None:
    for content in (b"", b"\n", b"[a]\nx=1", b"[rolecall]\nregion=x\n"):
        assert with_entries(content, "rolecall", {}) == content


@pytest.mark.parametrize(
    "content",
    [
        OURS + OURS,
        b"[rolecall]\n[a]\n[rolecall]\n",
        b"[ rolecall ]\nregion = x\n",
        b"region = x\n",
        b"\xef\xbb\xbf[default]\nregion = x\n",
        b"[rolecall]\n  region = x\n",
        b"[rolecall]\nregion = x\n" + b"[a]\nk = v\n  [rolecall]\n  k = v\n[rolecall]\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_left_alone(content: bytes) -> None:
    with pytest.raises(Unclear) as unclear:
        with_entries(content, "rolecall", SET)
    assert "region" not in str(unclear.value)
    assert unclear.value.__cause__ is None


def test_what_cannot_be_read_quotes_no_secret() -> None:
    with pytest.raises(Unclear) as unclear:
        with_entries(b"wJalrXUtnFEMI\n", "rolecall", SET)
    assert "wJalr" not in repr(unclear.value)
    assert unclear.value.__suppress_context__


@pytest.mark.parametrize(
    "content", [b"[a]\nno delimiter\n", b"[a]\nx=1\n[a]\nx=2\n", b"[\xe9]\nx=\xff\n", b"[a]\n\x00=1\n"]
)
def test_what_is_odd_elsewhere_is_no_hindrance(content: bytes) -> None:
    assert with_entries(content, "rolecall", SET) == content + OURS


@pytest.mark.parametrize("value", ["", "a b", "a\nb", "a\n[default]", " a", "é", "a\x00"])
def test_a_value_that_a_reader_could_take_for_more_is_not_written(value: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        with_entries(b"", "rolecall", {**SET, "aws_session_token": value})


def test_what_stands_in_our_profile_can_be_read_again() -> None:
    assert entries_of(b"[a]\naws_access_key_id = no\n" + OURS + b"region = x\n", "rolecall") == SET
    assert entries_of(b"[a]\n", "rolecall") == {}


def test_whether_a_file_is_ours_alone() -> None:
    assert not holds_others(b"", "rolecall")
    assert not holds_others(OURS + b"\n", "rolecall")
    assert holds_others(OURS + b"# note\n", "rolecall")
    assert holds_others(OURS + b"region = x\n", "rolecall")
    assert holds_others(b"[a]\n" + OURS, "rolecall")


def test_a_profile_is_told_from_one_whose_name_begins_with_it() -> None:
    other = b"[rolecall-b]\naws_access_key_id = b\n"
    told = with_entries(other, "rolecall", SET)
    parser = configparser.RawConfigParser()
    parser.read_string(told.decode())
    assert parser["rolecall-b"]["aws_access_key_id"] == "b"
    assert with_entries(told, "rolecall", {}) == other


def test_a_megabyte_of_line_ends_takes_no_minutes() -> None:
    others = b"[rolecall]\naws_access_key_id = old\n" + b"\n" * 500_000
    began = time.process_time()
    changed = with_entries(others, "rolecall", {"aws_access_key_id": "new"})
    assert time.process_time() - began < 5  # a second, as it is; twenty if each line copied all before it
    assert changed.endswith(b"aws_access_key_id = new\n" + b"\n" * 500_000)
