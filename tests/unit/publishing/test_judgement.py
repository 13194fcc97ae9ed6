"""Is everything that was seen judged, and nothing invented?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import IssuerUnreadable
from agent.publishing import Sighting
from agent.publishing.inspection import Answer, Certificate, Failure, Inspection, Tls
from agent.publishing.judgement import Verdict, flaws, judge, sighting

ISSUER = "https://oidc.example.com"
NOW = datetime(2026, 11, 20, tzinfo=UTC)
OURS = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "ours", "n": "AQAB", "e": "AQAB"}
CURVE = {"kty": "EC", "use": "sig", "alg": "ES256", "kid": "curve", "crv": "P-256", "x": "AQ", "y": "Ag"}
OWN = Certificate("CN=oidc.example.com", "CN=between", NOW + timedelta(days=80), "1" * 40)
BETWEEN = Certificate("CN=between", "CN=root", NOW + timedelta(days=800), "2" * 40)
TLS = Tls((OWN, BETWEEN), verified=True)


def answer(path: str, document: Any, **about: Any) -> Answer:
    good: dict[str, Any] = {
        "status": 200,
        "media_type": "application/json",
        "size": 300,
        "seconds": 0.1,
        "cache_control": "public, max-age=300",
        "tls": TLS,
        "document": document,
    }
    return Answer(f"{ISSUER}/{path}", **{**good, **about})


def configuration(**about: Any) -> dict[str, Any]:
    return {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/jwks.json",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        **about,
    }


def inspected(*keys: Any, discovery: dict[str, Any] | None = None, **about: Any) -> Inspection:
    """A site with these keys; `about` is of the key set's answer."""
    document = {"keys": [*keys] or [OURS, CURVE]}
    return Inspection(
        ISSUER, NOW, answer("openid", discovery or configuration()), answer("jwks.json", document, **about)
    )


def complaints(inspection: Inspection, *announced: str) -> list[tuple[str, str]]:
    verdicts = judge(inspection, {"ours": OURS, "curve": CURVE}, announced)
    assert all(one.hint for one in verdicts if one.level != "good")
    return [(one.level, one.what) for one in verdicts if one.level != "good"]


def test_a_site_that_is_as_it_should_be_is_good_in_the_order_of_the_chain() -> None:
    assert judge(inspected(), {"ours": OURS, "curve": CURVE}) == [
        Verdict("good", "the certificate of oidc.example.com is in order until 2027-02-08T00:00:00Z"),
        Verdict("good", f"the discovery document is readable: {ISSUER}/openid, 300 bytes in 0.1 s"),
        Verdict("good", f"the key set is readable: {ISSUER}/jwks.json, 300 bytes in 0.1 s"),
        Verdict("good", f"its issuer is the tokens' own, byte for byte: {ISSUER}"),
        Verdict("good", "the key ours is shown as it is (RS256)"),
        Verdict("good", "the key curve is shown as it is (ES256)"),
        Verdict("good", "the discovery document may be kept for 5m"),
        Verdict("good", "the key set may be kept for 5m"),
    ]
    assert sighting(inspected()) == Sighting({"ours": OURS, "curve": CURVE}, 300)


@pytest.mark.parametrize("member", ["kty", "n", "e", "alg", "use"])
def test_every_member_of_a_key_counts(member: str) -> None:
    for shown in ({**OURS, member: "another"}, {name: value for name, value in OURS.items() if name != member}):
        told = complaints(inspected(shown, CURVE))
        assert told == [("bad", f"the key ours is shown, but it is not ours: {member} is different")]


def test_members_that_say_nothing_of_the_key_do_not_count() -> None:
    assert complaints(inspected({**OURS, "x5c": ["MA=="], "key_ops": ["verify"]}, CURVE)) == []


def test_several_members_are_told_together() -> None:
    assert complaints(inspected({**CURVE, "kid": "ours"}, CURVE)) == [
        ("bad", "the key ours is shown, but it is not ours: kty, crv, n, e, x, y, alg are different")
    ]


def test_others_keys_are_noted_and_no_fault() -> None:
    others = [{**OURS, "kid": f"host-{number}"} for number in range(5)]
    inspection = inspected(OURS, CURVE, *others)
    assert complaints(inspection) == []
    said = [one.what for one in judge(inspection, {"ours": OURS}) if "not this host's" in one.what]
    assert said == ["6 more, which are not this host's: curve, host-0, host-1, …"]


@pytest.mark.parametrize(("count", "level"), [(79, None), (80, "doubt"), (100, "doubt"), (101, "bad")])
def test_a_crowd_is_told_of_before_it_is_too_large(count: int, level: str | None) -> None:
    keys = [OURS, CURVE, *({**OURS, "kid": f"host-{number}"} for number in range(count - 1))]
    what = f"the key set has {count} RSA keys, and AWS reads no more than 100 of a kind"
    assert complaints(inspected(*keys)) == ([] if level is None else [(level, what)])


def test_a_private_key_in_public_is_bad_whoever_it_belongs_to() -> None:
    assert complaints(inspected(OURS, CURVE, {**CURVE, "kid": "leaked", "d": "secret"})) == [
        ("bad", "the key set shows a private key to the whole world")
    ]


def test_a_missing_key_is_bad_if_it_signs_and_a_doubt_if_it_is_to_sign_later() -> None:
    assert complaints(inspected(OURS)) == [("bad", "the key curve is not shown")]
    assert complaints(inspected(OURS), "curve") == [
        ("doubt", "the key curve, which is to sign later, cannot be seen yet")
    ]


def test_an_algorithm_that_is_not_named_is_a_doubt() -> None:
    discovery = configuration(id_token_signing_alg_values_supported=["RS256"])
    assert complaints(inspected(discovery=discovery)) == [
        ("doubt", "the discovery document does not name ES256, with which keys of ours sign")
    ]


@pytest.mark.parametrize(
    "member", ["response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"]
)
@pytest.mark.parametrize("value", [None, [], "public"])
def test_what_aws_needs_is_asked_for(member: str, value: object) -> None:
    inspection = inspected(discovery=configuration(**{member: value}))
    assert complaints(inspection) == [("bad", f"the discovery document has no {member}, which AWS needs")]
    with pytest.raises(IssuerUnreadable, match=member):
        sighting(inspection)


@pytest.mark.parametrize(
    ("cache_control", "age", "level"),
    [
        ("max-age=3600", None, "good"),
        ("max-age=3601", None, "doubt"),
        ("", None, "doubt"),
        ("no-store", None, "good"),
        ("max-age=300", 300, "good"),
        ("max-age=300", 301, "doubt"),
    ],
)
def test_caches_may_keep_it_for_an_hour(cache_control: str, age: int | None, level: str) -> None:
    verdicts = judge(inspected(cache_control=cache_control, age=age), {"ours": OURS, "curve": CURVE})
    assert verdicts[-1].level == level
    assert all(one.level == "good" for one in verdicts[:-1])


@pytest.mark.parametrize(
    ("chain", "what"),
    [
        ((replace(OWN, not_after=NOW + timedelta(days=13)), BETWEEN), "CN=oidc.example.com is good until 2026-12-03"),
        ((OWN, replace(BETWEEN, not_after=NOW + timedelta(days=3))), "CN=between is good until 2026-11-23"),
    ],
)
def test_whichever_certificate_ends_first_is_named(chain: tuple[Certificate, ...], what: str) -> None:
    ((level, said),) = complaints(
        replace(inspected(tls=replace(TLS, chain=chain)), discovery=answer("openid", configuration(), tls=None))
    )
    assert level == "doubt"
    assert what in said


def test_an_intermediate_that_has_expired_is_named_rather_than_the_site() -> None:
    old = replace(BETWEEN, not_after=NOW - timedelta(days=1))
    tls = Tls((OWN, old), verified=False, why="certificate has expired", code=10)
    inspection = replace(inspected(tls=tls), discovery=answer("openid", configuration(), tls=tls))
    assert complaints(inspection) == [
        ("bad", "the certificate of oidc.example.com has expired: CN=between is good until 2026-11-19T00:00:00Z")
    ]


def test_two_hosts_have_two_certificates() -> None:
    elsewhere = replace(answer("jwks.json", {"keys": [OURS, CURVE]}), url="https://keys.example.com/jwks.json")
    discovery = configuration(jwks_uri=elsewhere.url)
    inspection = Inspection(ISSUER, NOW, answer("openid", discovery), elsewhere)
    verdicts = judge(inspection, {"ours": OURS, "curve": CURVE})
    assert [one.what.split()[3] for one in verdicts if one.what.startswith("the certificate of")] == [
        "oidc.example.com",
        "keys.example.com",
    ]


def test_what_could_not_be_read_is_not_guessed_at() -> None:
    failed = replace(inspected(), key_set=Answer(f"{ISSUER}/jwks.json", Failure("nobody is there", "look")))
    assert complaints(failed) == [("bad", "nobody is there")]
    unasked = Inspection(ISSUER, NOW, Answer(ISSUER, tls=Tls((), verified=False, why="no", code=1)))
    assert complaints(unasked) == [("bad", "oidc.example.com shows no certificate that could be verified: no")]


def test_no_site_can_play_tricks_with_a_terminal() -> None:
    nasty = f"{ISSUER}/\x1b[2J\u202e" + "x" * 10_000
    for inspection in (inspected(discovery=configuration(issuer=nasty)), inspected({**OURS, "kid": nasty})):
        for one in judge(inspection, {"ours": OURS}):
            assert one.what.isprintable()
            assert len(one.what) <= 501


def test_no_name_of_a_host_plays_tricks_in_a_hint() -> None:
    own = Certificate("CN=x", "CN=y", NOW, "00" * 20)
    distrusted = Answer("https://\x1bc\u202e/jwks", tls=Tls((own,), verified=False, why="no", code=62))
    told = judge(Inspection(ISSUER, NOW, answer("openid", configuration()), distrusted), {})
    assert any("have the server show one that names ?c?" in one.hint for one in told)
    assert all(one.hint.isprintable() for one in told)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list("ndk")) | st.text(), inner),
    max_leaves=8,
)
keys = st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(OURS, json)) | json, max_size=4)
members = st.fixed_dictionaries({}, optional=dict.fromkeys(configuration(), json))


@given(discovery=members, shown=keys | json, age=st.none() | st.integers(0, 10**9))
def test_whatever_is_shown_is_judged(discovery: Any, shown: Any, age: int | None) -> None:
    inspection = Inspection(
        ISSUER, NOW, answer("openid", {**configuration(), **discovery}), answer("jwks.json", {"keys": shown}, age=age)
    )
    verdicts = judge(inspection, {"ours": OURS})
    assert verdicts
    found = [*flaws(inspection)]
    assert all(one in verdicts and one.level == "bad" for one in found)
    if found:
        with pytest.raises(IssuerUnreadable):
            sighting(inspection)
    else:
        assert sighting(inspection).keys == inspection.keys
