from datetime import timedelta

from agent.doctor.sign_in import Seen, Wanted, examined, missing
from agent.errors import SignInNeeded
from tests.fakes.clock import START

DEV = Wanted("dev", "123456789012", "Developer")
HAS = {"123456789012": ["Developer"]}


def seen(lasts: timedelta = timedelta(hours=8), *, renewable: bool = False) -> Seen:
    return Seen(START + lasts, renewable, "rolecall login", HAS)


def test_nobody_signed_in_is_an_error_with_the_command() -> None:
    tried = missing(SignInNeeded("nobody has signed in", hint="sign in: rolecall login"))
    assert tried.is_broken
    assert tried.findings[0].hint == "sign in: rolecall login"


def test_a_sign_in_with_all_that_is_wanted_is_good() -> None:
    tried = examined(seen(), [DEV], START)
    assert not tried.findings
    assert "lasts until 2026-11-20T20:00:00Z" in tried.good
    assert "is renewed by itself" in examined(seen(renewable=True), [DEV], START).good


def test_one_that_has_ended_is_an_error_and_one_that_ends_soon_a_warning() -> None:
    assert [one.severity for one in examined(seen(-timedelta(minutes=1)), [DEV], START).findings] == ["error"]
    assert [one.severity for one in examined(seen(timedelta(hours=1)), [DEV], START).findings] == ["warning"]
    assert not examined(seen(timedelta(hours=1), renewable=True), [DEV], START).findings


def test_what_is_not_assigned_names_the_role() -> None:
    wanted = [DEV, Wanted("admin", "123456789012", "Admin"), Wanted("far", "210987654321", "Developer")]
    tried = examined(seen(), wanted, START)
    assert [one.about for one in tried.findings] == ["roles.admin", "roles.far"]
    assert "not assigned Admin in account 123456789012" in tried.findings[0].what
    assert "rolecall login --list" in tried.findings[0].hint


def test_what_could_not_be_asked_is_not_held_against_anybody() -> None:
    tried = examined(Seen(START + timedelta(hours=8), True, "rolecall login", None, "it is down"), [DEV], START)
    assert not tried.findings
    assert tried.not_tried == "it is down"
