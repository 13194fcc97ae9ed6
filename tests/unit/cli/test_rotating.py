import io
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest

from agent.cli import main
from agent.cli.rotating import is_called
from agent.ring_file import RingFile
from agent.sandbox import Fault
from tests.fakes.issuing import Issuing, issuing

pytestmark = pytest.mark.long

DAY = 24 * 3600.0


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Issuing]:
    with issuing(tmp_path) as host:
        yield host


Captured = pytest.CaptureFixture[str]


def keys(host: Issuing, *words: str) -> int:
    return main(["keys", *words, "-c", str(host.config)])


def listed(host: Issuing, capsys: Captured, *words: str) -> list[dict[str, object]]:
    """What a verb says of the keys, as JSON."""
    capsys.readouterr()
    assert keys(host, *(words or ("list",)), "--json") == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def states(told: list[dict[str, object]]) -> dict[object, object]:
    return {key["kid"]: key["state"] for key in told}


def change(host: Issuing, state: str, **members: object) -> None:
    """Let the ring say something else of the one key in a state, as time would have."""
    written = json.loads(host.ring.read_text())
    [key] = [key for key in written["keys"] if key["state"] == state]
    key |= members
    host.ring.write_text(json.dumps(written))


# --- rotate


def test_a_rotation_announces_a_new_key_and_shows_it_and_the_old_one_goes_on_signing(
    host: Issuing, capsys: Captured
) -> None:
    [old] = host.pems()
    both = listed(host, capsys, "rotate")
    new = both[1]["kid"]
    assert states(both) == {old: "signing", new: "announced"}
    assert host.shown() == [old, new]
    assert host.pems() == sorted([old, str(new)])
    assert (both[1]["seen_at_the_issuer"], both[1]["next"], both[1]["next_in_seconds"]) == (True, "signs", DAY)
    assert (both[1]["custodian"], both[1]["name"]) == ("pem", f"{new}.pem")
    assert both[0]["next"] == "is retired, once its successor signs"


def test_people_read_a_line_for_each_key_and_what_is_next_for_it(host: Issuing, capsys: Captured) -> None:
    assert keys(host, "rotate") == 0
    old, new = capsys.readouterr().out.splitlines()
    assert "ES256  signing    is retired, once its successor signs in 1d  (pem " in old
    assert "ES256  announced  signs in 1d  (pem " in new


def test_a_rotation_that_is_under_way_is_told_and_no_further_key_is_made(host: Issuing, capsys: Captured) -> None:
    first = listed(host, capsys, "rotate")
    assert keys(host, "rotate") == 0
    assert capsys.readouterr().err == f"A rotation is under way: the key {first[1]['kid']} is announced already.\n"
    assert states(listed(host, capsys)) == states(first)
    assert len(host.pems()) == 2


def test_where_the_world_does_not_read_the_issuer_the_key_is_announced_with_a_warning(
    host: Issuing, capsys: Captured
) -> None:
    host.sandbox.faults.add(Fault("site", site="status", status=503))
    assert keys(host, "rotate", "--json") == 0
    said = capsys.readouterr()
    assert said.err.startswith("warning: ")
    assert "\nhint: " in said.err
    announced = json.loads(said.out)[1]
    assert (announced["seen_at_the_issuer"], announced["next"]) == (False, "signs, once it is seen")
    assert announced["next_in_seconds"] is None


def test_what_cannot_be_published_is_an_error_and_the_order_stands(host: Issuing, capsys: Captured) -> None:
    host.publishing = f'to = "directory"\ndirectory = "{host.home}/not/there"'
    host.write()
    assert keys(host, "rotate") == 1
    assert capsys.readouterr().err.startswith("error: the issuer's documents cannot be written to ")
    assert [key["state"] for key in listed(host, capsys)] == ["signing", "announced"]


def test_a_key_that_was_seen_for_long_enough_signs_with_the_next_command(host: Issuing, capsys: Captured) -> None:
    [old] = host.pems()
    new = str(listed(host, capsys, "rotate")[1]["kid"])
    change(host, "announced", counted=DAY)
    assert keys(host, "retire", "nobody") == 2  # which is no order, and takes no step
    assert states(listed(host, capsys)) == {old: "signing", new: "announced"}
    capsys.readouterr()
    assert main(["token", "mint", "-c", str(host.config)]) == 0
    assert jwt.get_unverified_header(capsys.readouterr().out.strip())["kid"] == old


# --- emergencies


def test_an_emergency_spells_out_what_it_does_before_it_acts(
    host: Issuing, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    [stolen] = host.pems()
    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    assert keys(host, "rotate", "--emergency") == 1
    said = capsys.readouterr().err
    for word in (
        f"The key {stolen} signs no more, is withdrawn from the issuer's site",
        "which the world has never seen",
        "arn:aws:iam::123456789012:role/backup",
        "revoke the roles' active sessions",
        'Type "emergency" to go on: Nothing was changed.',
    ):
        assert word in said
    assert host.pems() == [stolen]
    assert not host.ring.exists()


def test_whoever_agrees_has_another_key_at_once_and_the_stolen_one_destroyed(
    host: Issuing, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    [stolen] = host.pems()
    monkeypatch.setattr(sys, "stdin", Terminal("emergency\n"))
    [left] = listed(host, capsys, "rotate", "--emergency")
    assert left["state"] == "signing"
    assert left["kid"] != stolen
    assert host.pems() == host.shown() == [left["kid"]]


def test_a_key_that_was_announced_already_takes_over(host: Issuing, capsys: Captured) -> None:
    new = listed(host, capsys, "rotate")[1]["kid"]
    change(host, "announced", counted=7200.5)
    assert keys(host, "rotate", "--emergency", "--yes") == 0
    said = capsys.readouterr()
    assert "has seen for 2h only" in said.err
    assert host.pems() == host.shown() == [new]


def test_one_that_was_seen_for_long_enough_breaks_nothing_and_that_is_said(host: Issuing, capsys: Captured) -> None:
    listed(host, capsys, "rotate")
    change(host, "announced", counted=DAY)
    assert keys(host, "rotate", "--emergency", "--yes") == 0
    assert "nothing should fail" in capsys.readouterr().err


def test_without_a_terminal_and_without_yes_nothing_is_done(
    host: Issuing, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("emergency\n"))
    assert keys(host, "rotate", "--emergency") == 2
    said = capsys.readouterr().err
    assert "error: nobody can be asked whether to go on\nhint: say so: --emergency --yes\n" in said
    assert len(host.pems()) == 1
    assert not host.ring.exists()


def test_a_key_that_is_lost_is_replaced_by_an_emergency(host: Issuing, capsys: Captured) -> None:
    [old] = host.pems()
    new = str(listed(host, capsys, "rotate")[1]["kid"])
    assert keys(host, "retire", new.lstrip("-")) == 0
    (host.home / "keys" / f"{old}.pem").unlink()
    assert keys(host, "rotate", "--emergency", "--yes") == 0
    assert "warning: " in capsys.readouterr().err
    [left] = listed(host, capsys)
    assert left["state"] == "signing"
    assert host.pems() == host.shown() == [left["kid"]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# --- retire


def test_an_announced_key_can_be_taken_back_by_the_beginning_of_its_name(host: Issuing, capsys: Captured) -> None:
    [old] = host.pems()
    new = str(listed(host, capsys, "rotate")[1]["kid"])
    assert states(listed(host, capsys, "retire", new.lstrip("-")[:9])) == {old: "signing"}
    assert host.pems() == host.shown() == [old]


@pytest.mark.parametrize(
    ("state", "said"),
    [("signing", "is the one that signs"), ("retired", "may still be in use for")],
)
def test_a_key_that_tokens_need_is_not_taken_away(host: Issuing, capsys: Captured, state: str, said: str) -> None:
    [old] = host.pems()
    listed(host, capsys, "rotate")
    if state == "retired":
        written = json.loads(host.ring.read_text())
        written["keys"][0] |= {"state": "retired", "counted": 60.0}
        written["keys"][1] |= {"state": "signing"}
        host.ring.write_text(json.dumps(written))
    assert keys(host, "retire", old.lstrip("-")) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert said in told
    assert old in host.shown()
    assert old in host.pems()


def test_a_retired_key_may_go_before_its_time_once_no_token_of_it_is_in_use(host: Issuing, capsys: Captured) -> None:
    [old] = host.pems()
    new = listed(host, capsys, "rotate")[1]["kid"]
    written = json.loads(host.ring.read_text())
    written["keys"][0] |= {"state": "retired", "counted": 4 * 3600.0}
    written["keys"][1] |= {"state": "signing"}
    host.ring.write_text(json.dumps(written | {"ordered": None}))
    assert states(listed(host, capsys, "retire", old.lstrip("-"))) == {new: "signing"}
    assert host.pems() == host.shown() == [new]


@pytest.mark.parametrize(
    ("kid", "given", "meant"),
    [
        ("-abc_def", "abc", True),
        ("--bc_def", "bc_", True),
        ("abc-def", "abc-", True),
        ("abc-def", "-abc", True),
        ("abc-def", "bc", False),
        ("abc-def", "abc-def-", False),
    ],
)
def test_a_key_whose_name_begins_with_a_dash_can_be_named(kid: str, given: str, meant: bool) -> None:  # noqa: FBT001 - a case of a table
    assert is_called(kid, given) == meant


@pytest.mark.parametrize("kid", ["nobody", ""])
def test_a_name_that_fits_none_or_several_is_refused(host: Issuing, capsys: Captured, kid: str) -> None:
    listed(host, capsys, "rotate")
    assert keys(host, "retire", kid) == 2
    number = 2 if kid == "" else "no"
    assert f"error: {number} keys have a name that begins with {kid}" in capsys.readouterr().err


# --- beside an agent that runs


@contextmanager
def an_agent(host: Issuing) -> Iterator[None]:
    """Somebody who has the ring, and does nothing."""
    held, stop = threading.Event(), threading.Event()

    def hold() -> None:
        with RingFile(host.home / "keys").ours():
            held.set()
            stop.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(10)
        yield
    finally:
        stop.set()
        thread.join()


def test_an_agent_that_does_not_do_what_it_is_told_is_named(host: Issuing, capsys: Captured) -> None:
    with an_agent(host):
        assert keys(host, "rotate", "--timeout", "1s") == 1
    assert "error: the running agent has been told, and has not done it yet\nhint: " in capsys.readouterr().err
    assert json.loads(host.ring.read_text())["ordered"] == "rotate"
    assert len(host.pems()) == 1


def test_an_emergency_is_over_when_another_key_signs_and_not_when_one_is_announced(
    host: Issuing, capsys: Captured
) -> None:
    listed(host, capsys, "rotate")
    announced = host.ring.read_text()
    keys(host, "retire", json.loads(announced)["keys"][1]["kid"].lstrip("-"))
    capsys.readouterr()
    with an_agent(host):
        busy = threading.Timer(0.5, lambda: _half_done(host, announced))
        busy.start()
        assert keys(host, "rotate", "--emergency", "--yes", "--timeout", "1s") == 1
        busy.join()
    assert "has not done it yet" in capsys.readouterr().err


def _half_done(host: Issuing, announced: str) -> None:
    """What an agent has written that is killed between two steps of an emergency."""
    written = json.loads(announced) | {"ordered": "emergency"}
    draft = host.ring.with_name("draft")
    draft.write_text(json.dumps(written))
    draft.rename(host.ring)


# --- what goes wrong


def test_a_damaged_ring_is_told_by_each_verb_and_touched_by_none(host: Issuing, capsys: Captured) -> None:
    listed(host, capsys, "rotate")
    host.ring.write_text(host.ring.read_text()[:-20])
    damaged, there = host.ring.read_bytes(), host.pems()
    for words in (["list"], ["rotate"], ["rotate", "--emergency", "--yes"], ["retire", there[0].lstrip("-")]):
        assert keys(host, *words) == 1
        said = capsys.readouterr().err
        assert f"error: the ring of keys in {host.ring} is damaged" in said
        assert "hint: restore it from a backup" in said
    assert main(["publish", "-c", str(host.config)]) == 1
    assert (host.ring.read_bytes(), host.pems()) == (damaged, there)


def test_a_state_directory_that_nobody_may_write_to_makes_no_key(host: Issuing, capsys: Captured) -> None:
    host.more = f'[rotation]\nstate = "{host.home}/state"'
    host.write()
    (host.home / "state").write_text("a file where a directory should be")
    assert keys(host, "rotate") == 1
    said = capsys.readouterr().err
    assert f"error: the ring of keys in {host.home}/state cannot be " in said
    assert "hint: " in said
    assert len(host.pems()) == 1


def test_a_host_with_one_key_for_good_has_no_rotation(host: Issuing, capsys: Captured) -> None:
    [only] = host.pems()
    host.key = f'custodian = "pem"\nfile = "{host.home}/keys/{only}.pem"'
    host.write()
    [told] = listed(host, capsys)
    assert (told["kid"], told["next"]) == (only, "signs until it is told otherwise")
    assert keys(host, "rotate") == 2
    assert "hint: " in capsys.readouterr().err
    assert host.pems() == [only]
