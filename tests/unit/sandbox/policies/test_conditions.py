"""Do conditions hold exactly where IAM says that they do?"""

import fnmatch
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox.policies.conditions import Condition, Context, arn_like, like, operator_named, substitute


def holds(operator: str, wanted: Sequence[str], present: Sequence[str] | None, key: str = "aws:Key") -> bool:
    context: Context = {} if present is None else {key.lower(): tuple(present)}
    return Condition(operator_named(operator), key, tuple(wanted)).holds(context)


@pytest.mark.parametrize(
    ("operator", "wanted", "present", "outcome"),
    [
        ("StringEquals", ["a"], ["a"], True),
        ("StringEquals", ["a", "b"], ["b"], True),
        ("StringEquals", ["a"], ["A"], False),
        ("StringEquals", ["a*"], ["abc"], False),
        ("StringEquals", ["a*"], ["a*"], True),
        ("StringEquals", ["a"], None, False),
        ("StringEqualsIfExists", ["a"], None, True),
        ("StringEqualsIfExists", ["a"], ["b"], False),
        ("StringNotEquals", ["a"], ["b"], True),
        ("StringNotEquals", ["a", "b"], ["b"], False),
        ("StringNotEquals", ["a"], None, True),
        ("StringNotEquals", ["a"], ["a", "b"], False),
        ("StringEqualsIgnoreCase", ["aB"], ["Ab"], True),
        ("StringNotEqualsIgnoreCase", ["aB"], ["Ab"], False),
        ("StringLike", ["host:*"], ["host:web-1"], True),
        ("StringLike", ["host:?"], ["host:12"], False),
        ("StringLike", ["a.c"], ["abc"], False),
        ("StringLike", ["*"], [""], True),
        ("StringLike", ["a*"], ["a\nb"], True),
        ("StringNotLike", ["a*"], ["b"], True),
        ("StringNotLike", ["a*"], None, True),
        ("Bool", ["true"], ["true"], True),
        ("Bool", ["True"], ["true"], True),
        ("Bool", ["true"], ["false"], False),
        ("Bool", ["false"], None, False),
        ("BoolIfExists", ["true"], None, True),
        ("Null", ["true"], None, True),
        ("Null", ["false"], None, False),
        ("Null", ["true"], ["x"], False),
        ("Null", ["false"], ["x"], True),
        ("NumericLessThan", ["10"], ["9"], True),
        ("NumericLessThan", ["10"], ["10"], False),
        ("NumericLessThanEquals", ["10"], ["10.0"], True),
        ("NumericGreaterThan", ["10"], ["9"], False),
        ("NumericGreaterThanEquals", ["10"], ["10"], True),
        ("NumericEquals", ["10"], ["1e1"], True),
        ("NumericEquals", ["x"], ["x"], False),
        ("NumericEquals", ["NaN"], ["NaN"], False),
        ("NumericNotEquals", ["10"], ["9"], True),
        ("DateLessThan", ["2026-11-20T12:00:00Z"], ["2026-11-20T11:59:59Z"], True),
        ("DateGreaterThan", ["2026-11-20"], ["1795132800"], False),
        ("DateEquals", ["1970-01-01T00:00:00Z"], ["0"], True),
        ("IpAddress", ["10.0.0.0/8"], ["10.1.2.3"], True),
        ("IpAddress", ["10.0.0.0/8"], ["11.1.2.3"], False),
        ("IpAddress", ["10.0.0.0/8"], ["nowhere"], False),
        ("IpAddress", ["2001:db8::/32"], ["2001:db8::1"], True),
        ("NotIpAddress", ["10.0.0.0/8"], ["11.1.2.3"], True),
        ("ArnLike", ["arn:aws:iam::*:role/a*"], ["arn:aws:iam::1:role/abc"], True),
        ("ArnLike", ["arn:*"], ["arn:aws:iam::1:role/abc"], False),
        ("ArnEquals", ["arn:aws:iam::1:role/*"], ["arn:aws:iam::1:role/abc"], True),
        ("ArnNotLike", ["arn:aws:iam::1:role/*"], ["arn:aws:iam::2:role/abc"], True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["x", "b"], True),
        ("ForAnyValue:StringEquals", ["a"], ["x", "y"], False),
        ("ForAnyValue:StringEquals", ["a"], None, False),
        ("ForAnyValue:StringEqualsIfExists", ["a"], None, True),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b", "a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAllValues:StringEquals", ["a"], [], True),
        ("ForAllValues:StringLike", ["a*"], ["ab", "ac"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["b", "a"], False),
        ("forallvalues:stringequals", ["a"], ["a"], True),
    ],
)
def test_an_operator(operator: str, wanted: Sequence[str], present: Sequence[str] | None, *, outcome: bool) -> None:
    assert holds(operator, wanted, present) is outcome


@pytest.mark.parametrize("name", ["StringAlmost", "ForSomeValues:StringEquals", "ForAllValues:Null", "", "IfExists"])
def test_an_operator_that_iam_does_not_have_is_an_error(name: str) -> None:
    with pytest.raises(KeyError):
        operator_named(name)


def test_keys_are_the_same_in_any_case() -> None:
    condition = Condition(operator_named("StringEquals"), "OIDC.Example.com:SUB", ("me",))
    assert condition.holds({"oidc.example.com:sub": ("me",)})


CONTEXT: Context = {"aws:principaltag/team": ("web",), "aws:tagkeys": ("a", "b"), "wild": ("*",)}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("${aws:PrincipalTag/Team}/x", "web/x"),
        ("${aws:PrincipalTag/Other}", None),
        ("${aws:PrincipalTag/Other, 'none'}", "none"),
        ("${aws:TagKeys}", None),
    ],
)
def test_a_variable_is_filled_in(text: str, filled: str | None) -> None:
    assert substitute(text, CONTEXT) == filled


def test_what_is_filled_in_is_no_pattern() -> None:
    filled = substitute("${wild}", CONTEXT)
    assert filled is not None
    assert like("*", filled)
    assert not like("anything", filled)
    literal = substitute("a${*}b${?}c${$}", {})
    assert literal is not None
    assert like("a*b?c$", literal)
    assert not like("axbyc$", literal)


def test_a_variable_without_value_matches_nothing() -> None:
    condition = Condition(operator_named("StringEquals"), "aws:Key", ("${aws:PrincipalTag/Other}",))
    assert not condition.holds({"aws:key": ("",)})
    assert not condition.holds({"aws:key": ("${aws:PrincipalTag/Other}",)})


SHORT = st.text("ab*?.[]\\\n", max_size=8)


def matches(value: str, pattern: str) -> bool:
    """Match wildcards in the most obvious way there is."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return matches(value, pattern[1:]) or (bool(value) and matches(value[1:], pattern))
    return bool(value) and pattern[0] in ("?", value[0]) and matches(value[1:], pattern[1:])


@given(SHORT, SHORT)
def test_wildcards_match_what_they_obviously_match(value: str, pattern: str) -> None:
    assert like(value, pattern) is matches(value, pattern)


@given(st.text("ab", max_size=6), st.text("ab*?", max_size=6))
def test_wildcards_match_as_a_shell_would(value: str, pattern: str) -> None:
    assert like(value, pattern) is bool(re.fullmatch(fnmatch.translate(pattern), value))


def test_a_wildcard_does_not_cross_the_colons_of_an_arn() -> None:
    assert arn_like("arn:aws:s3:::a:b", "arn:aws:s3:::*")
    assert not arn_like("arn:aws:s3:::a", "arn:*:a")


VALUES = st.lists(st.sampled_from(["a", "b", "ab", "A"]), max_size=3)
BASES = st.sampled_from(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"])


def reference(base: str, quantifier: str, wanted: list[str], present: list[str] | None, *, if_exists: bool) -> bool:
    """The rules of IAM, one sentence each."""
    if present is None and if_exists:
        return True

    def one(value: str) -> bool:
        if "Like" in base:
            hit = any(matches(value, pattern) for pattern in wanted)
        elif "IgnoreCase" in base:
            hit = value.lower() in [each.lower() for each in wanted]
        else:
            hit = value in wanted
        return not hit if "Not" in base else hit

    if quantifier == "ForAllValues:":
        return not [value for value in present or [] if not one(value)]
    if quantifier == "ForAnyValue:":
        return bool([value for value in present or [] if one(value)])
    if not present:
        return "Not" in base
    return all(map(one, present)) if "Not" in base else any(map(one, present))


@given(
    base=BASES,
    quantifier=st.sampled_from(["", "ForAllValues:", "ForAnyValue:"]),
    wanted=st.lists(st.sampled_from(["a", "a*", "?", "b"]), min_size=1, max_size=3),
    present=st.none() | VALUES,
    if_exists=st.booleans(),
)
def test_operators_agree_with_the_reference(
    base: str, quantifier: str, wanted: list[str], present: list[str] | None, *, if_exists: bool
) -> None:
    name = f"{quantifier}{base}{'IfExists' if if_exists else ''}"
    assert holds(name, wanted, present) is reference(base, quantifier, wanted, present, if_exists=if_exists)
