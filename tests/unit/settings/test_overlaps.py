import time
from collections.abc import Callable

import pytest

from agent.settings import Settings
from agent.settings.callers import Grant
from agent.settings.overlaps import overlaps

Read = Callable[..., Settings]
ROLES = "".join(f'\n[roles.{name}]\narn = "arn:aws:iam::123456789012:role/{name}"\n' for name in ("web", "db"))
FIRST = '[[grants]]\nroles = ["backup"]\ntoken_file = "/etc/rolecall/tokens/backup"'

Said = Callable[..., list[str]]


@pytest.fixture
def said(read: Read) -> Said:
    """What is said of these grants; each is the names of its roles, and what else it has."""

    def said(*grants: tuple[str, str]) -> list[str]:
        tables = [f"[[grants]]\nroles = [{_quoted(roles)}]\n{words}\n" for roles, words in grants]
        return list(overlaps(read((FIRST, "\n".join(tables)), ("", ROLES)).grants))

    return said


def tokens(read: Read, *grants: str) -> list[str]:
    """What is said of these grants."""
    tables = "\n".join(f"[[grants]]\n{words}\n" for words in grants)
    return list(overlaps(read((FIRST, tables), ("", ROLES)).grants))


def test_tokens_that_an_earlier_grant_gives_are_told_of_as_roles_are(read: Read) -> None:
    one, other = 'audiences = ["vault"]\nuser = "alice"', 'audiences = ["vault", "orders"]\nuser = "alice"'
    assert tokens(read, one, other) == [
        (
            "grants#2: everyone whom it gives tokens for vault has them from grants#1 already; "
            "take vault out of one of them"
        )
    ]
    assert tokens(read, one, f'{other}\nlifetime = "5m"') == [
        "grants#2: never says what is in tokens for vault: whom it means is meant by grants#1 before; put it first"
    ]
    assert tokens(read, one, 'audiences = ["vault"]\nuser = "bob"') == []


def test_who_gets_tokens_besides_a_role_has_no_role_to_choose(read: Read) -> None:
    assert tokens(read, 'roles = ["backup"]\nanyone = true', 'audiences = ["vault"]\nuser = "alice"') == []
    assert tokens(read, 'audiences = ["vault"]\nanyone = true', 'roles = ["backup"]\nuser = "alice"') == []


def test_a_role_and_an_audience_of_one_name_are_two_things(read: Read) -> None:
    assert tokens(read, 'roles = ["backup"]\nuser = "a"', 'audiences = ["backup"]\nuser = "a"') == []


def test_callers_inside_aws_are_none_of_this_machine() -> None:
    anyone = Grant.model_construct(audiences=("vault",), anyone=True)
    inside = Grant.model_construct(audiences=("vault",), aws_account=("123456789012",))
    assert list(overlaps([anyone, inside])) == []
    assert list(overlaps([inside, anyone])) == []


def _quoted(names: str) -> str:
    return ", ".join(f'"{name}"' for name in names.split())


def test_grants_that_have_nothing_in_common_leave_no_doubt(said: Said) -> None:
    assert said(("backup", 'user = "alice"'), ("web", 'user = "bob"'), ("db", 'unit = "db.service"')) == []


def test_a_grant_behind_one_that_is_as_wide_never_counts(said: Said) -> None:
    narrow = 'user = "alice"\nduration = "15m"'
    assert said(("backup", 'user = "alice"'), ("backup", narrow)) == [
        "grants#2: never says how much of backup anyone gets: whom it means is meant by grants#1 before; put it first"
    ]
    assert said(("backup", narrow), ("backup", 'user = "alice"\nunit = "a.service"'))[0].startswith("grants#2: never")
    assert said(("backup", 'user = "alice"\nunit = "a.service"'), ("backup", 'user = "alice"\nduration = "15m"')) == []


def test_a_grant_that_says_nothing_new_is_one_too_many(said: Said) -> None:
    assert said(("backup web", 'unit = "web@*.service"'), ("web", 'unit = "web@1.service"\nuser = "web"')) == [
        "grants#2: everyone whom it gives web has it from grants#1 already; take web out of one of them",
        (
            "grants#1: gives backup and web also to the callers of grants#2, who then have to ask for one by name "
            "(/v1/credentials alone answers 409); narrow one of them if that is not meant"
        ),
    ]


def test_several_grants_may_hide_one_together(said: Said) -> None:
    later = ("backup", 'user = ["alice", "bob"]\nduration = "15m"')
    assert said(("backup", 'user = "alice"'), ("backup", 'user = "bob"'), later)[0].startswith(
        "grants#3: never says how much of backup anyone gets: whom it means is meant by grants#1 and #2 before;"
    )
    assert said(("backup", 'user = "alice"'), later) == []


def test_callers_who_get_several_roles_are_told_of_once(said: Said) -> None:
    wide = "who then have to ask for one by name (/v1/credentials alone answers 409); narrow one of them if that is not"
    assert said(("backup", 'user = "a"'), ("web", 'user = "a"\nunit = "a.service"'), ("db", 'user = "b"')) == [
        f"grants#1: gives backup also to the callers of grants#2, {wide} meant"
    ]
    assert said(("backup", 'user = "a"'), ("web", 'user = "a"')) == [
        f"grants#2: gives web also to the callers of grants#1, {wide} meant"
    ]
    assert said(("backup", "anyone = true"), ("web", 'user = "a"'), ("db", 'user = "b"')) == [
        f"grants#1: gives backup also to the callers of grants#2 and #3, {wide} meant"
    ]


def test_whoever_is_granted_several_roles_by_one_grant_knows_to_ask(said: Said) -> None:
    assert said(("backup web", 'user = "a"')) == []
    assert said(("backup", 'user = "a"'), ("backup web", 'user = "a"\nunit = "a.service"'))[0].startswith(
        "grants#2: everyone whom it gives backup has it from grants#1 already"
    )


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ('unit = "web@*.service"', 'unit = "web@1.service"'),
        ('unit = "web*.service"', 'unit = "web@?.service"'),
        ('user_unit = "s*.service"', 'user_unit = "sync.service"'),
        ('slice = "a.slice"', 'slice = "a-b-c.slice"'),
        ('slice = "a-b.slice"', 'slice = "a-b-c.slice"'),
        ('user = ["a", "b"]', 'user = "b"\ngroup = "ops"'),
    ],
)
def test_one_condition_may_follow_from_another(wide: str, narrow: str, said: Said) -> None:
    assert said(("backup", wide), ("web", narrow))[0].startswith("grants#1: gives backup also to the callers of")
    assert said(("backup", narrow), ("web", wide))[0].startswith("grants#2: gives web also to the callers of")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('unit = "web@*.service"', 'unit = "web.service"'),
        ('unit = "a*.service"', 'user_unit = "ab.service"'),
        ('slice = "a.slice"', 'slice = "ab.slice"'),
        ('user = "1000"', 'group = "1000"'),
        ('user = "a"', 'unit = "a.service"'),
    ],
)
def test_what_may_be_true_of_one_caller_by_chance_is_no_doubt(one: str, other: str, said: Said) -> None:
    assert said(("backup", one), ("web", other)) == []


def test_thousands_of_ways_are_compared_in_no_time() -> None:
    def grant(number: int) -> Grant:
        users = tuple(f"u{number}x{n}" for n in range(30))
        units = (f"a{number}@*.service", *(f"a{number}@{n}.service" for n in range(30)))
        return Grant.model_construct(roles=(f"r{number}",), user=users, unit=units)

    grants = [grant(number) for number in range(20)]
    before = time.perf_counter()
    assert list(overlaps(grants)) == []
    assert time.perf_counter() - before < 5
