from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.settings import Settings, Verify
from agent.settings.doubts import warnings
from agent.settings.verifying import HEADERS

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

RULE = 'issuer = "https://login.example.com"\naudiences = ["https://api.example.com"]\n'


def rule(read: Read, words: str) -> Verify:
    return read(("", f"\n[verify.api]\n{words}\n")).verify["api"]


def test_a_rule_has_what_is_usual_unless_it_says_otherwise(read: Read) -> None:
    found = rule(read, RULE)
    assert found.taken == ("RS256",)
    assert found.leeway == timedelta(seconds=30)
    assert found.told == HEADERS
    assert (found.scopes, found.claims, found.longest) == ((), {}, None)


def test_claims_are_compared_as_they_are_spelt(read: Read) -> None:
    found = rule(read, f'{RULE}claims = {{ a = "x", b = ["y", "z"], c = true, d = 7, "realm_access.roles" = "admin" }}')
    assert found.claims == {
        "a": ("x",),
        "b": ("y", "z"),
        "c": ("true",),
        "d": ("7",),
        "realm_access.roles": ("admin",),
    }


def test_headers_that_are_named_are_all_that_are_told(read: Read) -> None:
    assert rule(read, f'{RULE}headers = {{ X-Auth-User = "email" }}').told == {"X-Auth-User": "email"}


def test_our_own_tokens_are_taken_by_any_algorithm_of_our_keys(read: Read) -> None:
    assert "ES256" in rule(read, 'issuer = "own"\naudiences = "a"').taken


def test_rules_are_asked_for_at_an_address_of_their_own(read: Read) -> None:
    rules = ("", f"\n[verify.api]\n{RULE}")
    assert str(read(rules).listen.verify_address) == "127.0.0.1:9173"
    assert str(read(("[listen]", '[listen]\nverify = "[::1]:9999"'), rules).listen.verify_address) == "[::1]:9999"


def test_a_listener_without_rules_and_one_at_an_address_that_is_taken_are_mistakes(mistakes: Mistakes) -> None:
    assert mistakes(("[listen]", '[listen]\nverify = "127.0.0.1:9173"')) == [
        "listen.verify: needs rules to verify by: add [verify.NAME] with its issuer and audiences"
    ]
    rules = ("", f"\n[verify.api]\n{RULE}")
    assert mistakes(("[listen]", '[listen]\nadmin = "127.0.0.1:9173"'), rules) == [
        "listen.verify: is the address of listen.admin, too; give it another port"
    ]
    assert mistakes(("[listen]", '[listen]\nverify = "127.0.0.1:9170"'), rules) == [
        "listen.verify: cannot be 127.0.0.1:9170 while listen.credentials is 127.0.0.1:9170; give it another port"
    ]


def test_a_listener_that_others_can_reach_is_doubted(read: Read) -> None:
    settings = read(("[listen]", '[listen]\nverify = "0.0.0.0:9173"'), ("", f"\n[verify.api]\n{RULE}"))
    assert [line for line in warnings(settings) if line.startswith("listen.verify: 0.0.0.0:9173 is not a loopback")]


def test_our_own_tokens_can_be_meant_only_where_we_make_some(mistakes: Mistakes) -> None:
    told = mistakes(("[issuer]", "[sts.x]"), ("", '\n[verify.api]\nissuer = "own"\naudiences = ["a"]\n'))
    assert [line for line in told if line.startswith('verify.api.issuer: is "own", but there is no [issuer]')]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f'{RULE}algorithms = ["HS256"]', 'algorithms#1: "HS256" is signed with a secret'),
        (f'{RULE}algorithms = ["none"]', 'algorithms#1: "none" is no signature at all'),
        (f'{RULE}algorithms = ["RS265"]', 'algorithms#1: "RS265" is unknown (did you mean "RS256"?)'),
        (f'{RULE}algorithms = ["rs256"]', 'algorithms#1: "rs256" is unknown (did you mean "RS256"?)'),
        ('issuer = "https://login.example.com"', "audiences: is missing; name whom the tokens are made for"),
        ('issuer = "https://login.example.com"\naudiences = []', "audiences: is missing"),
        ('issuer = "login.example.com"\naudiences = ["a"]', 'issuer: "login.example.com" is no issuer'),
        ('issuer = "http://login.example.com"\naudiences = ["a"]', "issuer: would send tokens"),
        ('audiences = ["a"]', 'issuer: is missing; for example issuer = "https://login.example.com"'),
        (f'{RULE}jwks_url = "http://login.example.com/keys"', "jwks_url: would send tokens"),
        (f'{RULE}scopes = ["read write"]', "scopes#1: is no scope: one word each"),
        (f"{RULE}claims = {{ a = [] }}", "claims.a: is empty"),
        (f"{RULE}claims = {{ a = 1.5 }}", "claims.a: must be an array of values"),
        (f'{RULE}claims = "a"', "claims: must be a table"),
        (f'{RULE}leeway = "10m"', 'leeway: "10m" is out of bounds'),
        (f'{RULE}longest = "1s"', 'longest: "1s" is out of bounds'),
        (f'{RULE}headers = {{ X_User = "sub" }}', "headers.X_User: is no name that a header should have"),
        (
            f'{RULE}headers = {{ Content-Length = "sub" }}',
            "headers.Content-Length: says something of the answer itself",
        ),
        (
            f'{RULE}headers = {{ content-encoding = "sub" }}',
            "headers.content-encoding: says something of the answer itself",
        ),
        (
            f'{RULE}headers = {{ X-Accel-Limit-Rate = "sub" }}',
            "headers.X-Accel-Limit-Rate: says something of the answer itself",
        ),
        (f'{RULE}headers = {{ X-A = "sub", x-a = "iss" }}', "headers: has names that differ only in upper and lower"),
        (f"{RULE}headers = {{ X-A = 7 }}", "headers.X-A: must be text in quotes"),
        (
            'issuer = "own"\naudiences = ["a"]\njwks_url = "https://a.example.com"',
            "jwks_url: means nothing with issuer",
        ),
        (f"{RULE}audience = 7", 'audience: is unknown (did you mean "audiences"?)'),
    ],
)
def test_a_rule_that_cannot_be_kept_is_told_of_with_what_would_be_right(
    words: str, said: str, mistakes: Mistakes
) -> None:
    told = mistakes(("", f"\n[verify.api]\n{words}\n"))
    assert len(told) == 1
    assert told[0].startswith(f"verify.api.{said}")


def test_more_headers_than_any_proxy_copies_are_a_mistake(mistakes: Mistakes) -> None:
    many = ", ".join(f'X-A{number} = "sub"' for number in range(21))
    assert mistakes(("", f"\n[verify.api]\n{RULE}headers = {{ {many} }}\n")) == [
        "verify.api.headers: has 21 members; at most 20 are taken"
    ]


@pytest.mark.parametrize("name", ["API", '"a b"', '"a/b"', '""'])
def test_a_rule_has_a_name_that_can_stand_in_a_path(name: str, mistakes: Mistakes) -> None:
    (told,) = mistakes(("", f"\n[verify.{name}]\n{RULE}"))
    assert "is no name for a rule" in told


def test_rules_are_tables_by_name(mistakes: Mistakes) -> None:
    assert mistakes(("", '\n[verify]\nissuer = "own"\n')) == [
        "verify.issuer: must be a table, begun by a line [verify.issuer], not text"
    ]


def test_what_is_allowed_and_probably_not_meant_is_told(read: Read) -> None:
    settings = read(
        ("", '\n[verify.a]\nissuer = "http://127.0.0.1:8080"\naudiences = ["a"]\nclient_ids = ["b"]\nleeway = "5m"\n'),
        ("", "headers = {}\n"),
    )
    told = [line for line in warnings(settings) if line.startswith("verify.a.")]
    assert [line.split(":")[0] for line in told] == [
        "verify.a.issuer",
        "verify.a.leeway",
        "verify.a.headers",
        "verify.a.client_ids",
    ]
    usual = read(("", f"\n[verify.api]\n{RULE}"))
    assert not [line for line in warnings(usual) if line.startswith("verify")]
