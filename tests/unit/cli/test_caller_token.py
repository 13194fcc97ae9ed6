import grp
import json
import os
import re
from pathlib import Path

import pytest

from agent.cli import main
from tests.fakes.written import TOKEN, Written, write_configuration

BARE = re.compile(r"[A-Za-z0-9_-]{43}")


@pytest.fixture
def place(tmp_path: Path) -> Written:
    return write_configuration(tmp_path, token=None)


def new(place: Written, *words: str, file: Path | None = None) -> int:
    return main(["token", "new", str(file or place.token), "-c", str(place.config), *words])


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_token_is_random_bare_and_its_owner_s_alone(place: Written, capsys: pytest.CaptureFixture[str]) -> None:
    other = place.home / "other"
    assert new(place) == 0
    assert new(place, file=other) == 0
    assert BARE.fullmatch(place.token.read_text())
    assert place.token.read_text() != other.read_text()
    assert mode(place.token) == 0o600
    out, err = capsys.readouterr()
    assert out == f"written: {place.token}\nwritten: {other}\n"
    assert place.token.read_text() not in out + err  # a terminal is no place for it
    assert f'no grant names this file; let one do so, and restart the agent: token_file = "{other}"' in err


def test_a_group_can_read_it_if_that_is_said(place: Written) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    assert new(place, "--group", group) == 0
    assert (mode(place.token), place.token.stat().st_gid) == (0o640, os.getgid())


def test_a_group_that_is_not_there_is_said_to_be_so_before_anything_is_written(
    place: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new(place, "--group", "nosuch-group") == 2
    assert "this machine has no group 'nosuch-group'; nothing was written\nhint: " in capsys.readouterr().err
    assert not place.token.exists()


def test_nothing_is_overwritten_unless_that_is_said(place: Written, capsys: pytest.CaptureFixture[str]) -> None:
    place.token.write_text(TOKEN)
    assert new(place) == 2
    assert place.token.read_text() == TOKEN
    assert "is there already; nothing was written\nhint: name another file; or " in capsys.readouterr().err
    assert new(place, "--replace") == 0
    assert BARE.fullmatch(place.token.read_text())
    assert "the token that was there is good for 1h more" in capsys.readouterr().err


@pytest.mark.parametrize(("overlap", "said"), [("2h", "good for 2h more"), ("0s", "good no more: token_overlap is 0s")])
def test_how_long_the_old_one_is_good_is_what_the_grant_says(
    overlap: str, said: str, place: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    place.token.write_text(TOKEN)
    text = place.config.read_text()
    named = f'token_file = "{place.token}"'
    place.config.write_text(text.replace(named, f'{named}\ntoken_overlap = "{overlap}"'))
    assert new(place, "--replace") == 0
    assert said in capsys.readouterr().err


def test_who_could_read_the_old_one_can_read_the_new_one_and_nobody_else(place: Written) -> None:
    place.token.write_text(TOKEN)
    for before, after in ((0o600, 0o600), (0o640, 0o640), (0o644, 0o640)):
        place.token.chmod(before)
        assert new(place, "--replace") == 0
        assert mode(place.token) == after


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_new_one_belongs_to_whom_the_old_one_did(place: Written) -> None:
    place.token.write_text(TOKEN)
    os.chown(place.token, 65534, 65533)
    place.token.chmod(0o640)
    assert new(place, "--replace") == 0
    facts = place.token.stat()
    assert (facts.st_uid, facts.st_gid, mode(place.token)) == (65534, 65533, 0o640)


def test_to_replace_what_is_not_there_is_to_make_it(place: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert new(place, "--replace") == 0
    assert "the token that was there" not in capsys.readouterr().err


def test_a_link_is_not_replaced_by_a_file(place: Written, capsys: pytest.CaptureFixture[str]) -> None:
    (place.home / "real").write_text(TOKEN)
    place.token.symlink_to(place.home / "real")
    assert new(place, "--replace") == 2
    assert "is not a plain file; nothing was written" in capsys.readouterr().err
    assert place.token.is_symlink()


def test_where_there_is_no_folder_it_is_said_how_to_make_it(place: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert new(place, file=place.home / "to kens" / "backup") == 2
    err = capsys.readouterr().err
    assert "cannot be written: no such file or directory\n" in err
    assert f"hint: make its directory first: mkdir -m 711 '{place.home}/to kens'" in err


def test_without_a_configuration_a_token_can_be_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROLECALL_CONFIG", str(tmp_path / "none.toml"))
    assert main(["token", "new", "backup"]) == 0
    assert BARE.fullmatch((tmp_path / "backup").read_text())
    assert "no grant names" not in capsys.readouterr().err
    assert main(["token", "new", "other", "-c", "none.toml"]) == 2  # but one that is named is to be there


def test_it_can_be_told_to_a_program(place: Written, capsys: pytest.CaptureFixture[str]) -> None:
    place.token.write_text(TOKEN)
    assert new(place, "--replace", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(place.token),
        "mode": f"{mode(place.token):04o}",
        "replaced": True,
        "old_good_for_seconds": 3600.0,
        "grants": ["grants#1"],
    }
