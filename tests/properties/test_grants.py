"""Can knowing more of a caller ever cost it something, or a grant reach beyond its role?"""

from hypothesis import given
from hypothesis import strategies as some

from agent.callers import Caller, Facts, Grant, Origin, Peer

roles = some.sampled_from(["web", "ops", "backup", "Web", ""])
fact = some.tuples(
    some.sampled_from(["token.file", "unix.uid", "systemd.unit"]), some.sampled_from(["0", "1", "a", ""])
)
facts: some.SearchStrategy[Facts] = some.frozensets(fact, max_size=6)
grants = some.builds(Grant, roles, facts)


def caller(known: Facts) -> Caller:
    return Caller(Peer(Origin("127.0.0.1"), None), known)


@given(some.lists(grants, max_size=6), roles, facts, facts)
def test_more_facts_never_take_a_grant_away(given_out: list[Grant], role: str, known: Facts, more: Facts) -> None:
    for grant in given_out:
        assert grant.covers(caller(known | more), role) or not grant.covers(caller(known), role)


@given(roles, facts)
def test_a_grant_without_conditions_covers_everyone(role: str, known: Facts) -> None:
    assert Grant(role, frozenset()).covers(caller(known), role)


@given(grants, roles, facts)
def test_no_grant_covers_another_role(grant: Grant, role: str, known: Facts) -> None:
    assert grant.role == role or not grant.covers(caller(known), role)


@given(grants, facts)
def test_all_conditions_must_hold(grant: Grant, known: Facts) -> None:
    expected = all(condition in known for condition in grant.when)
    assert grant.covers(caller(known), grant.role) == expected
