from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.narrowing import WHOLE, Narrowing
from agent.settings import Settings
from agent.settings.callers import Grant

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
TOKEN = 'token_file = "/etc/rolecall/tokens/backup"'
FURTHER = '\n[callers]\nexecutables = true\n[containers]\nengine = "podman"\n[unit_tokens]\n'


@pytest.fixture
def grant(read: Read) -> Callable[..., Grant]:
    """The grant of GOOD with other words, in a configuration that knows all kinds of callers."""
    return lambda words: read((TOKEN, words), ("", FURTHER)).grants[0]


Granted = Callable[[str], Grant]


def test_a_token_file_may_be_one_or_several(read: Read) -> None:
    one, several = (
        read().grants[0],
        read((TOKEN, 'token_file = ["/a", "credential:b"]'), CREDENTIALS_DIRECTORY="/run/c"),
    )
    assert one.token_file == (Path("/etc/rolecall/tokens/backup"),)
    assert several.grants[0].token_file == (Path("/a"), Path("/run/c/b"))


@pytest.mark.parametrize(("written", "meant"), [("0s", timedelta(0)), ("7d", timedelta(days=7))])
def test_a_replaced_token_stays_good_as_long_as_is_said(written: str, meant: timedelta, read: Read) -> None:
    assert read((TOKEN, f'{TOKEN}\ntoken_overlap = "{written}"')).grants[0].token_overlap == meant


def test_anyone_has_to_be_spelt_out(read: Read) -> None:
    grant = read((TOKEN, "anyone = true")).grants[0]
    assert (grant.anyone, grant.token_file) == (True, ())
    assert read((TOKEN, f"{TOKEN}\nanyone = false")).grants[0].anyone is False


def test_grants_are_counted_from_one(mistakes: Mistakes) -> None:
    told = mistakes(("", '\n[[grants]]\nroles = ["nobody"]\nanyone = true\n'))
    assert told == ['grants#2.roles#1: "nobody" is none of the roles of this file']


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ('user = "alice"', {("unix.user", "alice")}),
        ('user = "1000"', {("unix.uid", "1000")}),
        ('group = "developers"', {("unix.group", "developers")}),
        ('group = "100"', {("unix.group", "100")}),
        ('unit = "backup.service"', {("systemd.unit", "backup.service")}),
        ('unit = "backup@daily.service"', {("systemd.unit", "backup@daily.service")}),
        ('unit = "backup@*.service"', {("systemd.unit.like", "backup@*.service")}),
        ('user_unit = "sync.service"', {("systemd.user_unit", "sync.service")}),
        ('user_unit = "sync-?.service"', {("systemd.user_unit.like", "sync-?.service")}),
        ('slice = "batch.slice"', {("systemd.slice", "batch.slice")}),
        ('container = "web"', {("container.name", "web")}),
        ('container = "/web-*"', {("container.name.like", "web-*")}),
        ('token_file = "/etc/what?"', {("token.file", "/etc/what?")}),
        ('unit_token = "mail.service"', {("token.unit", "mail.service")}),
        ('unit_token = "mail@*.service"', {("token.unit.like", "mail@*.service")}),
        ('executable = "/usr/bin/restic"', {("process.executable", "/usr/bin/restic")}),
        ("anyone = true", set()),
        ('user = "alice"\nunit = "a.service"', {("unix.user", "alice"), ("systemd.unit", "a.service")}),
    ],
)  # fmt: skip
def test_every_word_asks_for_a_fact_of_its_own(words: str, facts: set[tuple[str, str]], grant: Granted) -> None:
    assert [set(way) for way in grant(words).ways()] == [facts]


def test_of_one_word_one_value_has_to_be_true_and_of_several_words_all(grant: Granted) -> None:
    ways = grant('user = ["alice", "1000"]\nunit = ["a.service", "b*.service"]').ways()
    assert {frozenset(way) for way in ways} == {
        frozenset({who, where})
        for who in (("unix.user", "alice"), ("unix.uid", "1000"))
        for where in (("systemd.unit", "a.service"), ("systemd.unit.like", "b*.service"))
    }
    assert len(ways) == 4


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("user", "alice.smith"), ("user", "alice@example.com"), ("user", "EXAMPLE\\\\alice"), ("user", "_chrony"),
        ("user", "0"), ("user", "4294967294"), ("group", "domain users"),
        ("unit", "a.b.service"), ("unit", "dev-disk\\\\x2d1.swap"), ("unit", "user@1000.service"),
        ("unit", "session-*.scope"), ("unit", "init.scope"), ("slice", "user-1000.slice"), ("slice", "a-b-c.slice"),
        ("container", "k8s_web.1"), ("unit_token", "web.socket"),
    ],
)  # fmt: skip
def test_names_that_the_system_has_are_taken(word: str, name: str, grant: Granted) -> None:
    assert grant(f'{word} = "{name}"').values(word) == (name.replace("\\\\", "\\"),)


def test_a_thousand_ways_are_taken(grant: Granted) -> None:
    users = ", ".join(f'"u{n}"' for n in range(1000))
    assert len(grant(f"user = [{users}]").ways()) == 1000


def test_a_grant_without_such_words_gives_the_role_as_it_is(read: Read) -> None:
    assert read().grants[0].narrowing("backup") == WHOLE


def test_what_is_known_when_it_is_read_is_filled_in_and_the_rest_waits(grant: Granted) -> None:
    words = """
unit = "backup@*.service"
session_name = "${HOST}-${ROLE}-${UNIT}"
duration = "15m"
policy = '{"Version": "2012-10-17", "Statement": [ ]}'
tags = { job = "${INSTANCE}", host = "${HOST}", for = "${ROLE}" }
source_identity = "${USER}"
"""
    assert grant(words).narrowing("backup") == Narrowing(
        session_name="web-1-backup-${UNIT}",
        duration=timedelta(minutes=15),
        policy='{"Version":"2012-10-17","Statement":[]}',
        tags=(("for", "backup"), ("host", "web-1"), ("job", "${INSTANCE}")),
        source_identity="${USER}",
    )


def test_a_policy_may_be_in_a_file_or_be_a_managed_one(tmp_path: Path, grant: Granted) -> None:
    (tmp_path / "less.json").write_text('{"Version": "2012-10-17", "Statement": []}')
    arn = "arn:aws:iam::123456789012:policy/mine"
    narrowing = grant(f'unit = "a.service"\npolicy_file = "less.json"\npolicy_arns = ["{arn}"]').narrowing("backup")
    assert (narrowing.policy, narrowing.policy_arns) == ('{"Version":"2012-10-17","Statement":[]}', (arn,))


@pytest.mark.parametrize(
    ("who", "variable"),
    [
        ('user = "alice"', "UID"), ('group = "ops"', "USER"), ('slice = "a.slice"', "USER"),
        ('executable = "/bin/a"', "UID"), ('unit = "a.service"', "UNIT"), ('user_unit = "a.service"', "UNIT"),
        ('user_unit = "a.service"', "USER_UNIT"), ('unit = ["a@b.service", "c@*.service"]', "INSTANCE"),
        ('container = "web"', "CONTAINER"), ('user = "alice"\nunit = "a.service"', "UNIT"),
    ],
)  # fmt: skip
def test_a_variable_waits_for_callers_of_whom_it_is_known(who: str, variable: str, grant: Granted) -> None:
    narrowing = grant(f'{who}\nsession_name = "x-${{{variable}}}"').narrowing("backup")
    assert narrowing.session_name == f"x-${{{variable}}}"


@pytest.mark.parametrize(
    ("who", "variable"),
    [
        ("anyone = true", "UID"), (TOKEN, "UNIT"), ('unit_token = "a@b.service"', "INSTANCE"),
        ('container = "web"', "UID"), ('user = "alice"', "UNIT"), ('unit = "a.service"', "USER_UNIT"),
        ('unit = ["a@b.service", "c.service"]', "INSTANCE"), ('unit = "a.service"', "CONTAINER"),
    ],
)  # fmt: skip
def test_a_variable_that_somebody_has_not_is_refused(who: str, variable: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((TOKEN, f'{who}\ntags = {{ a = "${{{variable}}}" }}'), ("", FURTHER))
    assert told.startswith(f"grants#1.tags: names ${{{variable}}}, which is known only of callers that are granted by ")


def test_who_recognises_nobody_is_the_operator_s_choice(read: Read) -> None:
    callers = read().callers
    assert (callers.recognise, callers.executables) == ("kernel", False)
    assert read(("", '\n[callers]\nrecognise = "off"\n')).callers.recognise == "off"
