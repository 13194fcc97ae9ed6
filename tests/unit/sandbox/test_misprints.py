"""Is a good answer spoilt in exactly the way that was asked for?"""

import gzip
import json
from typing import Any, get_args

import pytest

from agent.sandbox import Fault
from agent.sandbox.faults import SiteAnswer
from agent.sandbox.misprints import Shown, document_at, misprinted

DISCOVERY = "/site-a/.well-known/openid-configuration"
KEYS = "/site-a/keys.json"
GOOD = {"Content-Type": "application/json", "Cache-Control": "public, max-age=300"}
CONFIGURATION = {
    "issuer": "https://oidc.example.com/site-a",
    "jwks_uri": "https://oidc.example.com/site-a/keys.json",
    "response_types_supported": ["id_token"],
    "subject_types_supported": ["public"],
}
RSA = {"kty": "RSA", "kid": "a", "n": "AQIDBA", "e": "AQAB"}
EC = {"kty": "EC", "kid": "b", "crv": "P-256", "x": "BQYHCA", "y": "CQoLDA"}


def spoilt(fault: Fault, path: str) -> Shown:
    document: dict[str, Any] = CONFIGURATION if document_at(path) == "discovery" else {"keys": [RSA, EC]}
    return misprinted(Shown(200, GOOD, json.dumps(document).encode()), fault, path)


def edited(site: SiteAnswer, about: str = "", path: str = KEYS) -> Any:
    return json.loads(spoilt(Fault("site", site=site, about=about), path).body)


def test_what_is_not_the_discovery_document_is_the_key_set() -> None:
    assert [document_at(path) for path in (DISCOVERY, KEYS, "/")] == ["discovery", "jwks", "jwks"]


def test_one_key_is_changed_by_one_bit_the_first_or_the_one_that_is_named() -> None:
    assert edited("key_changed") == {"keys": [{**RSA, "n": "AQICBA"}, EC]}
    assert edited("key_changed", "b") == {"keys": [RSA, {**EC, "x": "BQYGCA"}]}


@pytest.mark.parametrize(
    ("site", "keys"),
    [
        ("key_dropped", [RSA]),
        ("key_foreign", [RSA, EC, {**EC, "kid": "somebody-elses"}]),
        ("kid_twice", [{**EC, "x": "BQYGCA"}, RSA, EC]),
        ("kid_missing", [RSA, {name: value for name, value in EC.items() if name != "kid"}]),
        ("keys_none", []),
    ],
)
def test_keys_are_added_taken_and_repeated(site: SiteAnswer, keys: list[object]) -> None:
    assert edited(site, "b") == {"keys": keys}


def test_a_crowd_is_one_more_than_sts_reads() -> None:
    keys = edited("keys_too_many")["keys"]
    assert sum(key["kty"] == "RSA" for key in keys) == 101
    assert len({key["kid"] for key in keys}) == 102


@pytest.mark.parametrize(
    ("site", "member", "value"),
    [
        ("issuer_slash", "issuer", "https://oidc.example.com/site-a/"),
        ("issuer_case", "issuer", "HTTPS://oidc.example.com/site-a"),
        ("issuer_http", "issuer", "http://oidc.example.com/site-a"),
        ("issuer_missing", "issuer", None),
        ("jwks_elsewhere", "jwks_uri", "https://keys.example.net/jwks.json"),
        ("jwks_http", "jwks_uri", "http://oidc.example.com/site-a/keys.json"),
        ("jwks_missing", "jwks_uri", None),
        ("members_missing", "subject_types_supported", None),
    ],
)
def test_a_member_of_the_discovery_document_is_wrong(site: SiteAnswer, member: str, value: str | None) -> None:
    document = edited(site, path=DISCOVERY)
    assert document.get(member) == value
    assert document["response_types_supported" if site != "members_missing" else "issuer"]


@pytest.mark.parametrize(
    ("fault", "headers"),
    [
        (Fault("site", site="bytes"), {"Content-Type": "application/octet-stream"}),
        (Fault("site", site="week"), {"Cache-Control": "public, max-age=604800"}),
        (Fault("site", site="no_store"), {"Cache-Control": "no-store"}),
        (Fault("site", site="stale"), {"Age": "7200", "X-Cache": "Hit from cloudfront"}),
    ],
)
def test_a_header_is_another(fault: Fault, headers: dict[str, str]) -> None:
    assert spoilt(fault, KEYS).headers == {**GOOD, **headers}


def test_answers_are_of_another_kind() -> None:
    assert spoilt(Fault("site", site="redirect", about="/there"), KEYS).headers["Location"] == "/there"
    assert spoilt(Fault("site", site="status", status=404), KEYS).status == 404
    assert b"<form" in spoilt(Fault("site", site="html"), KEYS).body
    assert spoilt(Fault("site", site="empty"), KEYS).body == b""
    assert spoilt(Fault("site", site="slow"), KEYS).wait == 6.0
    assert spoilt(Fault("site", site="slow", seconds=9), KEYS).wait == 9.0
    assert spoilt(Fault("site", site="truncated"), KEYS).hang_up == "midway"
    assert spoilt(Fault("site", site="drop"), KEYS).hang_up == "before"
    assert "Cache-Control" not in spoilt(Fault("site", site="no_cache_control"), KEYS).headers
    assert json.loads(gzip.decompress(spoilt(Fault("site", site="gzip"), KEYS).body)) == {"keys": [RSA, EC]}
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(spoilt(Fault("site", site="not_json"), KEYS).body)


def test_what_a_fault_has_nothing_to_do_with_stays_as_it_is() -> None:
    assert edited("issuer_slash") == {"keys": [RSA, EC]}
    assert edited("key_dropped", path=DISCOVERY) == CONFIGURATION
    missing = Shown(404, {}, b"not found\n")
    assert misprinted(missing, Fault("site", site="key_dropped"), KEYS) == missing
    for body in (b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": 7}', b'{"keys": [7]}'):
        odd = Shown(200, GOOD, body)
        assert misprinted(odd, Fault("site", site="key_changed"), KEYS) == odd


@pytest.mark.parametrize("site", get_args(SiteAnswer))
def test_every_fault_of_an_answer_changes_something(site: SiteAnswer) -> None:
    spared = Fault("site", site="expired")  # what is wrong with TLS leaves answers alone
    assert any(spoilt(Fault("site", site=site), path) != spoilt(spared, path) for path in (DISCOVERY, KEYS))
