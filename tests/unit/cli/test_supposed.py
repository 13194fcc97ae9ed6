import argparse
import os
from pathlib import Path

import pytest

from agent.callers import Facts
from agent.cli.supposed import account_of, configure_supposed, supposed, with_patterns


def of(*words: str) -> Facts:
    parser = argparse.ArgumentParser()
    parser.add_argument("--token-file", type=Path)
    configure_supposed(parser)
    return supposed(parser.parse_args(words))


def test_nothing_said_is_nothing_known() -> None:
    assert of() == frozenset()
    assert of("--token-file", "/etc/token") == frozenset()  # which is shown to the agent, then


def test_a_unit_says_of_which_instance_it_is() -> None:
    assert of("--unit", "backup@daily.service") == {
        ("systemd.unit", "backup@daily.service"),
        ("systemd.instance", "daily"),
    }
    assert of("--unit", "backup.service") == {("systemd.unit", "backup.service")}


@pytest.mark.parametrize("called", ["root", "0"])
def test_a_user_is_known_by_name_by_number_and_by_its_groups(called: str) -> None:
    known = of("--user", called)
    assert {("unix.uid", "0"), ("unix.user", "root"), ("unix.group", "root"), ("unix.group", "0")} <= known
    groups = {value for name, value in known if name == "unix.group" and value.isdecimal()}
    assert groups == {str(number) for number in os.getgrouplist("root", 0)}


@pytest.mark.parametrize(("called", "fact"), [("nosuch-alice", "unix.user"), ("4294967290", "unix.uid")])
def test_a_user_who_is_not_here_is_taken_at_the_word(called: str, fact: str) -> None:
    assert of("--user", called) == {(fact, called)}


def test_a_slice_says_in_which_others_it_is() -> None:
    assert of("--slice", "a-b-c.slice") == {("systemd.slice", f"{name}.slice") for name in ("a", "a-b", "a-b-c")}


def test_every_other_word_of_a_grant_is_one_fact() -> None:
    words = ["--user-unit", "a.service", "--slice", "b.slice", "--container", "c", "--unit-token", "d.service"]
    assert of(*words, "--executable", "/bin/e", "--group", "f") == {
        ("systemd.user_unit", "a.service"),
        ("systemd.slice", "b.slice"),
        ("container.name", "c"),
        ("token.unit", "d.service"),
        ("process.executable", "/bin/e"),
        ("unix.group", "f"),
    }


def test_a_pattern_that_fits_is_known_as_well() -> None:
    facts = of("--unit", "backup@daily.service")
    wanted = [("systemd.unit.like", "backup@*.service"), ("systemd.unit.like", "web@*.service")]
    assert with_patterns(facts, [*wanted, ("unix.user", "alice")]) - facts == {wanted[0]}


def test_an_account_is_looked_up_by_the_number_that_the_agent_sees() -> None:
    assert ("unix.user", "root") in account_of(frozenset({("unix.uid", "0")}))
    assert account_of(frozenset({("systemd.unit", "a.service")})) == frozenset()
