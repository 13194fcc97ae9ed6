"""Whatever hosts do in whatever order: nobody loses another's key, and the same keys are the same bytes."""

import itertools
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.publishing import Jwk
from agent.publishing.discovery import documents, kid_of, merged, read_key_set

pytestmark = pytest.mark.long

ISSUER = "https://oidc.example.com"
AGE = timedelta(minutes=5)

KIDS = st.sampled_from([f"kid-{number}" for number in range(12)])
#: What somebody else's key may hold: anything that JSON can say.
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
ANYTHING = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one, max_size=3), max_leaves=4
)
FOREIGN = st.dictionaries(st.sampled_from(["kty", "alg", "n", "x5c", "note"]) | st.text(), ANYTHING, max_size=4)


def a_key(kid: str, note: str = "") -> Jwk:
    return {"kty": "RSA", "alg": "RS256", "kid": kid, "n": kid, "e": note}


def a_set(keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


def stands(keys: tuple[Jwk, ...]) -> bytes:
    """The key set as a publisher puts it there."""
    return documents(ISSUER, keys, max_age=AGE)[0].body if keys else a_set([])


@st.composite
def foreign_keys(draw: st.DrawFn) -> list[Jwk]:
    """Keys of others: under names of their own, of ours, or none."""
    found = draw(st.lists(st.tuples(FOREIGN, st.none() | st.text() | KIDS), max_size=8))
    return [key if kid is None else {**key, "kid": kid} for key, kid in found]


@given(foreign_keys(), st.sets(KIDS, max_size=6), st.sets(KIDS, max_size=6))
def test_no_foreign_key_is_ever_lost_or_changed(there: list[Jwk], shown: set[str], withdrawn: set[str]) -> None:
    after = merged(a_set(there), [a_key(kid) for kid in sorted(shown)], withdrawn)
    for key in read_key_set(a_set(there)):
        assert key in after or kid_of(key) in shown | withdrawn


@given(foreign_keys(), st.sets(KIDS, max_size=6), st.sets(KIDS, max_size=6))
def test_ours_are_shown_once_and_what_is_withdrawn_is_gone(
    there: list[Jwk], shown: set[str], withdrawn: set[str]
) -> None:
    after = [kid_of(key) for key in merged(a_set(there), [a_key(kid) for kid in sorted(shown)], withdrawn)]
    assert all(after.count(kid) == 1 for kid in shown)
    assert not (withdrawn - shown) & set(after)
    assert set(after) <= shown | {kid_of(key) for key in there}


@given(foreign_keys(), st.sets(KIDS, min_size=1, max_size=6), st.sets(KIDS, max_size=6))
def test_doing_it_again_changes_no_byte(there: list[Jwk], shown: set[str], withdrawn: set[str]) -> None:
    ours = [a_key(kid) for kid in sorted(shown)]
    once = stands(merged(a_set(there), ours, withdrawn))
    assert stands(merged(once, ours, withdrawn)) == once


@given(foreign_keys(), st.sets(KIDS, max_size=6), st.sets(KIDS, max_size=6))
def test_those_that_stay_keep_their_order(there: list[Jwk], shown: set[str], withdrawn: set[str]) -> None:
    after = [kid_of(key) for key in merged(a_set(there), [a_key(kid, "newer") for kid in sorted(shown)], withdrawn)]
    named = [kid_of(key) for key in there if kid_of(key) and kid_of(key) not in withdrawn - shown]
    assert [kid for kid in dict.fromkeys(after) if kid in named] == list(dict.fromkeys(named))


@st.composite
def hosts(draw: st.DrawFn) -> list[tuple[list[Jwk], set[str]]]:
    """Up to four hosts, each with keys of its own to show, and others of its own to withdraw."""
    owners = draw(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=12, max_size=12))
    found: list[tuple[list[Jwk], set[str]]] = [([], set()) for _ in range(4)]
    for number, (owner, shows) in enumerate(owners):
        if shows:
            found[owner][0].append(a_key(f"kid-{number}"))
        else:
            found[owner][1].add(f"kid-{number}")
    return found


@given(hosts(), st.sets(st.integers(0, 11)))
def test_the_order_in_which_hosts_publish_does_not_matter_for_what_is_there(
    each: list[tuple[list[Jwk], set[str]]], before: set[int]
) -> None:
    outcomes = set()
    for order in itertools.permutations(each):
        there = a_set([a_key(f"kid-{number}") for number in sorted(before)])
        for shown, withdrawn in order:
            there = stands(merged(there, shown, withdrawn))
        outcomes.add(frozenset(kid_of(key) for key in read_key_set(there)))
    shown_by_all = {kid_of(key) for shown, _ in each for key in shown}
    assert outcomes == {frozenset(shown_by_all)}


@given(foreign_keys().filter(bool))
def test_the_same_keys_are_the_same_bytes_and_read_back_as_they_were(keys: list[Jwk]) -> None:
    key_set, configuration = documents(ISSUER, keys, max_age=AGE)
    assert (key_set, configuration) == documents(ISSUER, [dict(key) for key in keys], max_age=AGE)
    assert read_key_set(key_set.body) == keys
    assert documents(ISSUER, read_key_set(key_set.body), max_age=AGE) == (key_set, configuration)
