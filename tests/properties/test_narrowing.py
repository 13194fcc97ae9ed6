"""Whatever callers are called: does AWS take what becomes of it, and do no two of them become one?"""

import re
from typing import Final

from hypothesis import assume, given
from hypothesis import strategies as some

from agent.narrowing import Narrowing
from agent.templates import VARIABLES
from agent.tokens import tag_value_fault

#: RoleSessionName and SourceIdentity in the model of STS, in which \w is ASCII.
NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)

#: What can be had of a name: any text at all, what nearly fits, and what looks as if it had been made to.
anything = some.text(min_size=1, max_size=300)
nearly = some.text(alphabet="aZ09_+=,.@-\\:/ é", min_size=1, max_size=80)
sealed = some.builds(str.__add__, nearly, some.from_regex(r"-[a-z2-7]{16}", fullmatch=True))
values = anything | nearly | sealed
templates = some.sampled_from(["${UNIT}", "web-${UNIT}", "${UNIT}-${UNIT}", "${UNIT}@${USER}", "x" * 60 + "${UNIT}"])


def both(template: str, unit: str) -> tuple[str, str]:
    """A name and the value of a tag that are made of the template."""
    narrowing = Narrowing(session_name=template, source_identity=template, tags=(("unit", template),))
    filled = narrowing.filled({("systemd.unit", unit), ("unix.user", "alice")})
    assert filled.session_name == filled.source_identity
    assert filled.session_name is not None
    return filled.session_name, filled.tags[0][1]


@given(templates, values)
def test_aws_takes_whatever_becomes_of_it(template: str, unit: str) -> None:
    name, tag = both(template, unit)
    assert NAME.fullmatch(name)
    assert not tag_value_fault(tag)


@given(templates, values, values)
def test_two_units_never_become_one(template: str, one: str, other: str) -> None:
    assume(one != other)
    assert both(template, one)[0] != both(template, other)[0]
    assert both(template, one)[1] != both(template, other)[1]


@given(values)
def test_nobody_is_called_what_another_one_became(unit: str) -> None:
    name, tag = both("${UNIT}", unit)
    assert name == unit or both("${UNIT}", name)[0] != name
    assert tag == unit or both("${UNIT}", tag)[1] != tag


@given(some.sets(some.tuples(some.sampled_from(sorted(VARIABLES.values())), values), min_size=1), values)
def test_the_same_facts_always_become_the_same(facts: set[tuple[str, str]], unit: str) -> None:
    narrowing = Narrowing(source_identity="${UNIT}")
    known = {(name, value) for name, value in facts if name != "systemd.unit"} | {("systemd.unit", unit)}
    assert narrowing.filled(known) == narrowing.filled([("systemd.unit", unit)])
    assert hash(narrowing.filled(known)) == hash(narrowing.filled([("systemd.unit", unit)]))
