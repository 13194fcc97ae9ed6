"""The words of each mistake are in mistakes.toml; here, what is taken, and what comes of it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.settings import Settings
from agent.settings.token_words import largest, texts, too_large
from agent.wording import Wording

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
TOKEN = 'roles = ["backup"]\ntoken_file = "/etc/rolecall/tokens/backup"'


def wording(read: Read, *words: str) -> Wording:
    lines = "\n".join(('audiences = "vault"', 'unit = "web@*.service"', *words))
    (grant,) = read((TOKEN, lines)).grants
    assert (grant.roles, grant.audiences) == ((), ("vault",))
    return grant.wording("host:web-1")


def test_a_token_says_little_unless_it_is_told_to(read: Read) -> None:
    assert wording(read) == Wording("host:web-1", timedelta(minutes=10))


def test_what_is_written_is_said(read: Read) -> None:
    made = wording(
        read,
        'scopes = ["b", "a"]',
        'subject = "${HOST}/${UNIT}"',
        'lifetime = "24h"',
        'claims = { n = 1, f = 1.5, t = true, s = "${HOST}$$", a = ["${INSTANCE}", { b = [] }], "https://x/y" = "" }',
    )
    assert made.subject == "web-1/${UNIT}"
    assert (made.scopes, made.lifetime) == (("b", "a"), timedelta(hours=24))
    assert made.variables == {"UNIT", "INSTANCE"}
    assert made.as_claims() == {
        "scope": "b a",
        "n": 1,
        "f": 1.5,
        "t": True,
        "s": "web-1$",
        "a": ["${INSTANCE}", {"b": []}],
        "https://x/y": "",
    }


def test_the_order_of_claims_makes_no_other_token(read: Read) -> None:
    assert wording(read, "claims = { a = 1, b = 2 }") == wording(read, "claims = { b = 2, a = 1 }")


@pytest.mark.parametrize("audience", ["a", "x" * 255, "api://AzureADTokenExchange", "//iam.googleapis.com/projects/1"])
def test_audiences_are_taken_to_the_letter(audience: str, read: Read) -> None:
    (grant,) = read((TOKEN, f'audiences = "{audience}"\nanyone = true')).grants
    assert grant.audiences == (audience,)


@pytest.mark.parametrize("audience", ["", "x" * 256, "a b", "a\\tb", "\\u00a0", "sts.amazonaws.com.cn"])
def test_what_is_no_audience_is_refused(audience: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((TOKEN, f'audiences = ["{audience}"]\nanyone = true'))
    assert told.startswith("grants#1.audiences#1: ")


@pytest.mark.parametrize("lifetime", ["2m", "24h"])
def test_the_bounds_of_a_lifetime_are_in_it(lifetime: str, read: Read) -> None:
    assert wording(read, f'lifetime = "{lifetime}"').lifetime in {timedelta(minutes=2), timedelta(hours=24)}


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "nbf", "iat", "jti", "client_id", "scp", "", "x" * 129])
def test_no_claim_is_ours_or_nameless(name: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((TOKEN, f'audiences = "a"\nanyone = true\nclaims = {{ "{name}" = 1 }}'))
    assert told.startswith("grants#1.claims")


def test_a_claim_may_be_nested_five_deep(read: Read) -> None:
    assert wording(read, 'claims = { a = [[[["b"]]]] }').as_claims() == {"a": [[[["b"]]]]}


def test_texts_are_found_however_deep_in_what_was_written() -> None:
    assert list(texts({"a": ["b", {"c": "d", "e": 1}], "f": "g"})) == ["b", "d", "g"]
    assert list(texts(None)) == list(texts(7)) == []


@pytest.mark.parametrize(("count", "good"), [(10, True), (16, False)])
def test_a_token_is_measured_as_long_as_any_caller_can_make_it(count: int, good: bool, read: Read) -> None:  # noqa: FBT001 - a row
    """Names of units are up to 255 characters, and JSON writes some of them with two."""
    claims = ", ".join(f'c{number} = "${{UNIT}}"' for number in range(count))
    made = Wording("host:web-1", timedelta(minutes=5), claims=wording(read, "claims = { x = 1 }").claims)
    assert largest(made, "https://oidc.example.com", "vault") < 1300
    words = f'audiences = "vault"\nunit = "web@*.service"\nclaims = {{ {claims} }}'
    if good:
        (grant,) = read((TOKEN, words)).grants
        worst = grant.wording("host:web-1").filled([("systemd.unit", '"' * 255)])
        assert too_large(worst, "https://oidc.example.com", "vault") == ""
    else:
        with pytest.raises(Exception, match="makes tokens of up to"):
            read((TOKEN, words))
