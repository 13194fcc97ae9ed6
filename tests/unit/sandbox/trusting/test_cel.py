"""As much of CEL as is understood, and what is not."""

import pytest

from agent.sandbox.trusting.cel import Unanswered, Unclear, read_expression

NAMES = {
    "assertion": {"sub": 'host:"web"', "groups": ["a", "b"], "n": 7, "flag": True, "deep": {"x y": "z"}},
    "google": {"subject": "s"},
    "attribute": {},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("assertion.sub", 'host:"web"'),
        ("assertion['sub']", 'host:"web"'),
        ('assertion.deep["x y"]', "z"),
        ('assertion.sub == "host:\\"web\\""', True),
        ("assertion.sub == 'host:\"web\"'", True),
        ("'it\\'s' == \"it's\"", True),
        ("assertion.sub != 'x'", True),
        ("'u:' + google.subject", "u:s"),
        ("assertion.n == 7", True),
        ("'a' in assertion.groups", True),
        ("'c' in assertion.groups", False),
        ("assertion.sub in ['x', 'host:\"web\"']", True),
        ("'sub' in assertion", True),
        ("assertion.sub.startsWith('host:') && !assertion.sub.endsWith('x')", True),
        ("assertion.sub.contains('web')", True),
        ("false || assertion.flag && true", True),
        ("(true || false) && false", False),
        ("true || false && false", True),
        ("has(assertion.sub)", True),
        ("has(assertion.other)", False),
        ("('a' + 'b').startsWith('ab')", True),
        ('"\\u00e9" == "é"', True),
    ],
)
def test_an_expression_comes_to_this(text: str, value: object) -> None:
    assert read_expression(text)(NAMES) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "assertion.",
        "assertion.sub ==",
        "other.sub",
        "assertion.sub.matches('x')",
        "assertion.sub.startsWith()",
        "assertion.sub.startsWith('a', 'b')",
        "assertion.sub == 'x",
        "assertion[sub]",
        "(true",
        "true true",
        "['a'",
        "a ? b : c",
        "'\\q'",
        "has(assertion.sub",
    ],
)
def test_what_is_not_understood_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(Unclear):
        read_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "assertion.other",
        "assertion.sub.x",
        "assertion.n + 'x'",
        "assertion.n.startsWith('7')",
        "'a' in assertion.sub",
        "!assertion.n",
        "assertion.n || true",
        "true && 'x'",
    ],
)
def test_what_a_token_does_not_have_is_no_answer(text: str) -> None:
    with pytest.raises(Unanswered):
        read_expression(text)(NAMES)
