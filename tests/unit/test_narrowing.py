"""Does a template become what AWS takes, and never what another caller's became?"""

import re

import pytest

from agent.narrowing import WHOLE, Narrowing
from agent.templates import VARIABLES, Unfillable

FACTS = frozenset(
    {
        ("unix.uid", "1000"),
        ("unix.user", "alice"),
        ("systemd.unit", "backup@daily.service"),
        ("systemd.instance", "daily"),
        ("systemd.user_unit", "sync.service"),
        ("container.name", "web_1"),
    }
)
SEAL = r"-[a-z2-7]{16}"


def filled_name(template: str, unit: str) -> str | None:
    return Narrowing(session_name=template).filled({("systemd.unit", unit)}).session_name


def filled_tag(value: str, unit: str) -> str:
    return Narrowing(tags=(("unit", value),)).filled({("systemd.unit", unit)}).tags[0][1]


def test_every_variable_stands_for_a_fact() -> None:
    of_machine = [name for name in VARIABLES if not name.startswith("AWS_")]  # callers inside AWS are given no roles
    template = "-".join(f"${{{name}}}" for name in of_machine)
    narrowing = Narrowing(session_name=template, source_identity="${USER}", tags=(("unit", "${UNIT}"), ("fixed", "x")))
    assert narrowing.variables == set(of_machine)
    filled = narrowing.filled(FACTS)
    assert filled.session_name == "1000-alice-backup@daily.service-daily-sync.service-web_1"
    assert filled.source_identity == "alice"
    assert filled.tags == (("unit", "backup@daily.service"), ("fixed", "x"))
    assert filled.variables == frozenset()


def test_what_names_nothing_of_a_caller_is_the_same_for_all() -> None:
    narrowing = Narrowing(session_name="rolecall-web-1", policy='{"a":"${aws:PrincipalTag/unit}"}')
    assert narrowing.filled(FACTS) is narrowing
    assert WHOLE.filled(FACTS) is WHOLE


@pytest.mark.parametrize("missing", ["unix.uid", "systemd.user_unit"])
def test_what_is_not_known_of_a_caller_cannot_be_filled_in(missing: str) -> None:
    name = next(name for name, fact in VARIABLES.items() if fact == missing)
    known = {(fact, value) for fact, value in FACTS if fact != missing}
    for facts in (known, known | {(missing, "")}):
        with pytest.raises(Unfillable) as caught:
            Narrowing(source_identity=f"${{{name}}}").filled(facts)
        assert caught.value.args == (name,)


def test_a_variable_that_there_is_not_is_never_sent() -> None:
    with pytest.raises(Unfillable):
        Narrowing(session_name="${HOSTNAME}").filled(FACTS)


@pytest.mark.parametrize("unit", ["a.service", "backup@daily.service", "a+b=c,d@e-f_g.mount"])
def test_what_aws_takes_is_sent_as_it_is(unit: str) -> None:
    assert filled_name("${UNIT}", unit) == unit
    assert filled_tag("is ${UNIT}", unit.replace(",", "")) == f"is {unit.replace(',', '')}"


@pytest.mark.parametrize(
    ("unit", "begins"),
    [
        ("srv-a\\x2db.mount", "srv-a-x2db.mount"),
        ("dev:1.device", "dev-1.device"),
        ("a" * 65, "a" * 47),
        ("é.service", "-.service"),
        ("x", "x"),
        ("a-abcdefghijklmnop", "a-abcdefghijklmnop"),  # as if it had been changed
    ],
)
def test_what_aws_does_not_take_in_a_name_is_replaced_and_ends_in_a_hash(unit: str, begins: str) -> None:
    name = filled_name("${UNIT}", unit)
    assert name is not None
    assert re.fullmatch(re.escape(begins) + SEAL, name)
    assert len(name) <= 64


@pytest.mark.parametrize(
    ("unit", "begins"),
    [
        ("srv-a\\x2db.mount", "srv-a-x2db.mount"),
        ("a" * 257, "a" * 239),
        ("AWS:a", "-AWS:a"),
        ("line\nbreak", "line-break"),
        ("a,b", "a-b"),
        ("\ud800", "-"),
    ],
)
def test_the_same_goes_for_the_value_of_a_tag(unit: str, begins: str) -> None:
    assert re.fullmatch(re.escape(begins) + SEAL, filled_tag("${UNIT}", unit))


def test_units_that_come_to_the_same_letters_stay_different() -> None:
    units = ["a:b.service", "a b.service", "a\\b.service", "a-b.service", *("a" * 70 + str(n) for n in range(10))]
    for fill in (filled_name, filled_tag):
        assert len({fill("${UNIT}", unit) for unit in units}) == len(units)


def test_nobody_can_call_himself_what_another_one_became() -> None:
    became = filled_name("${UNIT}", "a:b.service")
    assert became is not None
    assert filled_name("${UNIT}", became) != became
    assert filled_tag("${UNIT}", became) != became


def test_a_narrowing_is_the_same_wherever_it_is_written_and_whoever_asked_first() -> None:
    narrowing = Narrowing(session_name="${USER}")
    one, other = narrowing.filled(FACTS, "grants#1"), narrowing.filled(FACTS, "grants#2")
    assert one == other
    assert len({one, other}) == 1
    assert (one.about, other.about) == ("grants#1: user alice", "grants#2: user alice")


def test_what_it_is_about_can_be_shown_anywhere() -> None:
    narrowing = Narrowing(tags=(("a", "${UNIT}"), ("b", "${USER_UNIT}")))
    hostile = {("systemd.unit", "\x1b[2J\n" + "x" * 500), ("systemd.user_unit", "b.service")}
    about = narrowing.filled(hostile, "grants#1").about
    assert about.startswith("grants#1: unit ?[2J?xxx")
    assert about.isprintable()
    assert len(about) < 130
    assert narrowing.filled({("systemd.unit", "a"), ("systemd.user_unit", "b")}).about == "unit a, user unit b"
