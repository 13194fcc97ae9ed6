"""Whoever asks: does the token name him and nobody else, in texts that relying parties take?"""

import json
from datetime import timedelta
from typing import Final

from hypothesis import assume, given
from hypothesis import strategies as some

from agent.templates import VARIABLES
from agent.wording import LONGEST_SUBJECT, SHORTEST_SUBJECT, Table, Wording, claim_of

TEN: Final = timedelta(minutes=10)

#: What can be had of a name: any text at all, what nearly fits, and what looks as if it had been made to.
anything = some.text(min_size=1, max_size=300)
nearly = some.text(alphabet="aé日 \u200b\n-z7", min_size=1, max_size=130)
sealed = some.builds(str.__add__, nearly, some.from_regex(r"-[a-z2-7]{16}", fullmatch=True))
values = anything | nearly | sealed
templates = some.sampled_from(["${UNIT}", "web-${UNIT}", "${UNIT}-${UNIT}", "${UNIT}@${USER}", "é" * 60 + "${UNIT}"])
json_values = some.recursive(
    some.text(max_size=5) | some.booleans() | some.integers(-9, 9) | some.sampled_from([0.0, 1.0, -2.5]),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def both(template: str, unit: str) -> tuple[str, str]:
    """The subject, and a claim in a claim, that are made of the template."""
    claims = claim_of({"a": [{"unit": template}]})
    assert isinstance(claims, Table)
    made = Wording(template, TEN, (), claims.members).filled({("systemd.unit", unit), ("unix.user", "alice")})
    claimed = made.as_claims()["a"]
    assert isinstance(claimed, list)
    return made.subject, claimed[0]["unit"]


@given(templates, values)
def test_whatever_becomes_of_it_can_be_printed_and_is_short_enough(template: str, unit: str) -> None:
    subject, claim = both(template, unit)
    assert SHORTEST_SUBJECT <= len(subject.encode()) <= LONGEST_SUBJECT
    assert len(claim.encode()) <= 256
    assert subject.isprintable()
    assert claim.isprintable()
    json.dumps([subject, claim]).encode()


@given(templates, values, values)
def test_two_callers_never_become_one(template: str, one: str, other: str) -> None:
    assume(one != other)
    assert both(template, one)[0] != both(template, other)[0]
    assert both(template, one)[1] != both(template, other)[1]


@given(values)
def test_nobody_is_called_what_another_one_became(unit: str) -> None:
    subject, claim = both("${UNIT}", unit)
    assert subject == unit or both("${UNIT}", subject)[0] != subject
    assert claim == unit or both("${UNIT}", claim)[1] != claim


@given(some.sets(some.tuples(some.sampled_from(sorted(VARIABLES.values())), values), min_size=1), values)
def test_the_same_facts_always_become_the_same(facts: set[tuple[str, str]], unit: str) -> None:
    wording = Wording("${UNIT}", TEN)
    known = {(name, value) for name, value in facts if name != "systemd.unit"} | {("systemd.unit", unit)}
    one, other = wording.filled(known), wording.filled([("systemd.unit", unit)])
    assert (one, hash(one)) == (other, hash(other))


@given(json_values, json_values)
def test_what_was_written_is_what_is_said_and_what_differs_is_not_the_same(one: object, other: object) -> None:
    assert Wording("host:web", TEN, claims=(("a", claim_of(one)),)).as_claims() == {"a": one}
    differ = json.dumps(one) != json.dumps(other)
    assert (claim_of(one) != claim_of(other)) == differ
