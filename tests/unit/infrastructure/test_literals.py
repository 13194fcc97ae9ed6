import hcl2
import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from agent.infrastructure.literals import aligned, comment, filled, hcl, hcl_quoted, identifier, quoted, yaml

#: Every character that JSON may carry; halves of surrogate pairs are no characters.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TRICKY = st.lists(
    st.sampled_from(["$", "%", "{", "}", '"', "\\", "#", ":", "\n", "\x85", "\ufeff", "é", "😀", "x"])
).map("".join)
DATA = st.recursive(
    TEXT | TRICKY,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(TEXT, inner, min_size=1, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", '"plain"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("${a}", '"$${a}"'),
        ("%{a}", '"\\u0025{a}"'),
        ("$${a}", '"\\u0024\\u0024{a}"'),
        ("%${a}", '"\\u0025\\u0024{a}"'),
        ("$a {b}", '"$a {b}"'),
        ("é\n😀", '"\\u00e9\\u000a\\U0001f600"'),
    ],
)
def test_nothing_in_an_hcl_string_is_a_template(text: str, written: str) -> None:
    assert hcl_quoted(text) == written


@given(TEXT | TRICKY)
def test_yaml_reads_back_the_string_it_was_given(text: str) -> None:
    assert pyyaml.safe_load(quoted(text)) == text


@given(DATA)
def test_yaml_reads_back_the_data_it_was_given(data: object) -> None:
    assert pyyaml.safe_load("key:" + yaml(data, 2)) == {"key": data}


@given(TEXT | TRICKY)
def test_a_comment_stays_on_its_line(text: str) -> None:
    assert pyyaml.safe_load(f"a: 1  # {comment(text)}\nb: 2\n") == {"a": 1, "b": 2}
    assert hcl2.loads(f"# {comment(text)}\na = 1\n")["a"] == 1


def test_data_is_laid_out_as_terraform_fmt_would() -> None:
    assert hcl({"a": "1", "long": ["x", "y"], "deep": {"b": "2"}, "list": [{"c": "3"}], "d": "4"}) == (
        '{\n  "a"    = "1"\n  "long" = ["x", "y"]\n  "deep" = {\n    "b" = "2"\n  }\n'
        '  "list" = [\n    {\n      "c" = "3"\n    },\n  ]\n  "d" = "4"\n}'
    )


def test_assignments_are_aligned_as_far_as_they_are_short() -> None:
    assert aligned([("a", "1"), ("long", "2"), ("x", "{\n}"), ("b", "3")]) == [
        "a    = 1",
        "long = 2",
        "x = {\n}",
        "b = 3",
    ]


@pytest.mark.parametrize(
    ("text", "allowed", "name"),
    [
        ("backup", "_-", "backup"),
        ("nightly backup.v2", "_-", "nightly_backup_v2"),
        ("9up", "_-", "role_9up"),
        ("é", "_-", "role_"),
        ("nightly-backup_v2", "", "NightlyBackupV2"),
        ("9up", "", "Role9up"),
        ("é", "", "Role"),
    ],
)
def test_a_name_is_made_from_any_text(text: str, allowed: str, name: str) -> None:
    assert identifier(text, [], allowed=allowed) == name


def test_no_name_is_given_twice() -> None:
    taken: list[str] = []
    for text in ("a-b", "a.b", "ab", "A b", "AB", "AB2"):
        taken.append(identifier(text, taken, allowed=""))
    assert taken == ["AB", "AB2", "Ab", "AB3", "AB4", "AB22"]


def test_a_value_that_looks_like_a_place_to_fill_is_left_alone() -> None:
    assert filled("@A@ and @B@", a="@B@", b="@A@") == "@B@ and @A@"
