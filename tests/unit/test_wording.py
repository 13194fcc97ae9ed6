"""Does a token say what a grant lets it say of its caller, and never what it says of another?"""

import json
from datetime import timedelta

import pytest

from agent.assembly.issuing import identity_of
from agent.templates import Unfillable
from agent.wording import (
    LONGEST_SUBJECT,
    SHORTEST_SUBJECT,
    Claim,
    NotGranted,
    Table,
    TokenGrant,
    Wording,
    claim_of,
)

TEN = timedelta(minutes=10)
FACTS = frozenset({("systemd.unit", "web@1.service"), ("unix.user", "alice"), ("unix.uid", "1000")})
WRITTEN = {
    "unit": "${UNIT}",
    "numbers": [1, 1.0, True, -2.5],
    "nested": {"who": ["${USER}", {"uid": "${UID}"}], "plain": "as it is"},
    "none": False,
    "empty": {},
}


def wording(subject: str = "host/${UNIT}", scopes: tuple[str, ...] = (), claims: object = None) -> Wording:
    table = claim_of(claims or {})
    assert isinstance(table, Table)
    return Wording(subject, TEN, scopes, table.members)


def filled(template: str, unit: str) -> tuple[str, object]:
    """The subject, and a claim, that are made of a template."""
    made = wording(template, claims={"unit": template}).filled([("systemd.unit", unit)])
    return made.subject, made.as_claims()["unit"]


def test_it_is_filled_in_however_deep() -> None:
    made = wording("${USER}@web-1", ("read", "write"), WRITTEN).filled(FACTS, "grants#2")
    assert made.subject == "alice@web-1"
    assert made.as_claims() == {
        "scope": "read write",
        "unit": "web@1.service",
        "numbers": [1, 1.0, True, -2.5],
        "nested": {"who": ["alice", {"uid": "1000"}], "plain": "as it is"},
        "none": False,
        "empty": {},
    }
    assert made.about == "grants#2: uid 1000, unit web@1.service, user alice"
    assert made.variables == frozenset()
    assert made.lifetime == TEN


def test_numbers_and_truth_are_written_as_they_were() -> None:
    said = json.dumps(wording(claims=WRITTEN).as_claims()["numbers"])
    assert said == "[1, 1.0, true, -2.5]"


def test_what_json_tells_apart_is_two_wordings() -> None:
    values: list[object] = [1, 1.0, True, "1", "true", [], {}, "", 0, False, [1], [True]]
    several = [wording(claims={"a": value}) for value in values]
    assert len(set(several)) == len(several)


def test_what_names_nothing_of_a_caller_is_the_same_for_all() -> None:
    fixed = wording("host:web-1", claims={"team": "web"})
    assert fixed.filled(FACTS) is fixed


def test_about_is_no_part_of_what_makes_two_the_same() -> None:
    one, other = (wording().filled(FACTS, where) for where in ("grants#1", "grants#2"))
    assert (one, hash(one)) == (other, hash(other))
    assert one.about != other.about


@pytest.mark.parametrize("template", [{"a": ["${CONTAINER}"]}, {"a": {"b": "${CONTAINER}"}}])
def test_what_is_not_known_of_the_caller_is_never_made_up(template: object) -> None:
    with pytest.raises(Unfillable, match="CONTAINER"):
        wording("host:web-1", claims=template).filled(FACTS)
    with pytest.raises(Unfillable, match="CONTAINER"):
        wording("${CONTAINER}").filled(FACTS)


def test_scopes_are_given_as_granted_and_as_far_as_they_are_asked_for() -> None:
    granted = wording(scopes=("read", "write", "delete"))
    assert granted.asking(["delete", "read"]).scopes == ("read", "delete")
    assert granted.asking(["read", "delete"]) == granted.asking(["delete", "read"])
    assert granted.asking([]).as_claims() == {}
    with pytest.raises(NotGranted, match=r"^admin$"):
        granted.asking(["read", "admin"])


@pytest.mark.parametrize(
    ("unit", "begins"),
    [
        ("x" * 300, "x" * 100),
        ("é" * 100, "-" * 100),
        ("a\nb-which-is-long-enough", "a-b-which"),
        ("\ud800abcdef", "-abcdef"),
    ],
)
def test_a_subject_that_does_not_fit_is_made_to_and_ends_in_a_hash(unit: str, begins: str) -> None:
    subject, _ = filled("${UNIT}", unit)
    assert SHORTEST_SUBJECT <= len(subject.encode()) <= LONGEST_SUBJECT
    assert subject.startswith(begins)
    assert subject[-17] == "-"


def test_a_short_subject_is_long_enough() -> None:
    assert len(filled("${UNIT}", "a")[0]) >= SHORTEST_SUBJECT
    assert filled("${UNIT}", "a")[1] == "a"


def test_what_can_be_printed_stays_in_any_script() -> None:
    assert filled("${UNIT}", "büro-москва") == ("büro-москва", "büro-москва")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, {1}, b"x", object()])
def test_what_json_has_not_is_no_claim(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever json says of it
        claim_of({"a": [value]})


def test_a_grant_can_be_a_key() -> None:
    claims: tuple[tuple[str, Claim], ...] = (("a", claim_of(WRITTEN)),)
    one, other = (TokenGrant("vault", FACTS, Wording("host:web-1", TEN, claims=claims), "grants#1") for _ in range(2))
    assert {one: 1}[other] == 1


@pytest.mark.parametrize("user", [" ann", "ann ", " "])
def test_a_subject_that_would_have_blanks_around_it_is_told_apart_and_can_be_signed(user: str) -> None:
    filled = Wording("${USER}", timedelta(minutes=10)).filled({("unix.user", user)})
    assert filled.subject == filled.subject.strip()
    assert filled.subject != Wording("${USER}", timedelta(minutes=10)).filled({("unix.user", "ann")}).subject
    assert identity_of("https://oidc.example.com", "api", filled).subject == filled.subject
