from datetime import date

import pytest

from agent.settings.mistakes import (
    Mistake,
    comes_to,
    inline_secret,
    kind_of,
    listed,
    nearest,
    secrets_in,
    shown,
    shown_word,
    suspicious,
)

SECRETS = [
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AKIAIOSFODNN7EXAMPLE",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "0123456789abcdef0123456789abcdef",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ3ZWItMSJ9.c2lnbmF0dXJl",
    "https://me:hunter2@example.com",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_secret_is_not_quoted(secret: str) -> None:
    assert suspicious(secret)
    assert shown(secret) == "this"
    assert shown_word(secret) == "…"
    assert comes_to(f"host:{secret}") == "does not fit when filled in"


@pytest.mark.parametrize(
    "harmless",
    [
        "eu-central-1",
        "arn:aws:iam::123456789012:role/backup",
        "https://oidc.example.com/team",
        "127.0.0.1:9170",
        "5 minutes",
    ],
)
def test_what_is_harmless_is_quoted(harmless: str) -> None:
    assert not suspicious(harmless)
    assert shown(harmless) == f'"{harmless}"'


def test_long_values_are_cut_and_unprintable_ones_left_out() -> None:
    assert shown("é " * 100) == '"' + ("é " * 100)[:99] + '…"'
    assert shown("a\x1b[31mb") == "this"
    assert shown_word("a\nb") == "…"


def test_words_are_shown_as_toml_writes_them() -> None:
    assert [shown_word(word) for word in ("plain-1", "with space", "aws:team")] == [
        "plain-1",
        '"with space"',
        '"aws:team"',
    ]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (True, "true or false"), (1, "a number"), (1.5, "a number"), ("a", "text"), ({}, "a table"), ([], "an array"),
        (date(2026, 11, 20), "a date or a time"), (None, "something else"),
    ],
)  # fmt: skip
def test_types_have_plain_names(value: object, name: str) -> None:
    assert kind_of(value) == name


def test_lists_read_as_sentences_do() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_the_nearest_word_is_offered_whatever_its_capitals() -> None:
    assert nearest("regoin", ["region", "proxy"]) == ' (did you mean "region"?)'
    assert nearest("es256", ["RS256", "ES256"]) == ' (did you mean "ES256"?)'
    assert nearest("zzz", ["region"]) == ""


def test_secrets_are_found_however_deep_in_names_and_values() -> None:
    found = list(secrets_in({"a": [{"b": "x AKIAIOSFODNN7EXAMPLE y"}], "AKIAIOSFODNN7EXAMPLE": 1, "c": "harmless"}))
    assert [mistake.path for mistake in found] == ["a#1.b", "…"]
    assert all("an AWS access key stands here in the open" in mistake.said for mistake in found)


def test_a_public_key_is_no_secret() -> None:
    assert inline_secret("-----BEGIN PUBLIC KEY-----") == ""


def test_a_mistake_without_a_path_is_its_sentence() -> None:
    assert str(Mistake("", "all is wrong")) == "all is wrong"
    assert str(Mistake("sts.region", "is missing")) == "sts.region: is missing"
