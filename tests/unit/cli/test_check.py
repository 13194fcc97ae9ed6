import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.cli import main

GOOD = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
file = "{directory}/key.pem"
[sts]
region = "eu-central-1"
ca_bundle = "ca.pem"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
token_file = "{directory}/token"
[publishing]
to = "directory"
directory = "site"
"""
Check = Callable[..., tuple[int, str, str]]


def furnished(place: Path) -> Path:
    """Make everything in a directory that GOOD names, as it should be."""
    for name, mode in {"key.pem": 0o600, "token": 0o640, "ca.pem": 0o644}.items():
        (place / name).touch()
        (place / name).chmod(mode)
    (place / "site").mkdir()
    return place


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return furnished(tmp_path)


@pytest.fixture
def check(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    for name in [name for name in os.environ if name.startswith("ROLECALL_") or name == "CREDENTIALS_DIRECTORY"]:
        monkeypatch.delenv(name)

    def check(text: str = GOOD, *flags: str) -> tuple[int, str, str]:
        path = place / "rolecall.toml"
        path.write_text(text.replace("{directory}", str(place)), encoding="utf-8")
        path.chmod(0o644)
        code = main(["check", "-c", str(path), *flags])
        out, err = capsys.readouterr()
        return code, out, err

    return check


def test_a_good_configuration_is_called_good_and_told_in_short(check: Check, place: Path) -> None:
    text = GOOD.replace("[sts]", '[identity]\nsubject = "host:web-1"\n[sts]')
    code, out, err = check(text.replace('role/backup"', 'role/backup"\nsession_name = "nightly"'))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"configuration is good: {place}/rolecall.toml",
        "  identity     host:web-1 of https://oidc.example.com, for sts.amazonaws.com",
        "  STS          of eu-central-1",
        "  role         backup: arn:aws:iam::123456789012:role/backup for 1h, as nightly",
        f'  grant        backup: who shows a token of "{place}/token"',
        f"  publishing   to {place}/site",
        "  credentials  http://127.0.0.1:9170",
        "  admin        http://127.0.0.1:9171",
    ]


def test_every_mistake_is_printed_and_the_code_is_2(check: Check, place: Path) -> None:
    code, out, err = check(GOOD.replace("https://", "http://").replace("eu-central-1", "here"))
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        (
            'error: issuer.url: "http://oidc.example.com" does not begin with https://, which AWS requires; '
            'write it as in "https://oidc.example.com"'
        ),
        'sts.region: "here" does not look like a region; write it as in "eu-central-1"',
        f"hint: correct {place}/rolecall.toml; every setting is in docs/configuration.md",
    ]


def test_programs_are_told_as_json(check: Check, place: Path) -> None:
    code, out, _ = check(GOOD, "--json")
    assert code == 0
    assert json.loads(out) == {"good": True, "file": f"{place}/rolecall.toml", "mistakes": [], "warnings": []}
    code, out, err = check(GOOD.replace("eu-central-1", "here"), "--json")
    assert (code, err) == (2, "")
    told = json.loads(out)
    assert told["good"] is False
    assert told["mistakes"] == ['sts.region: "here" does not look like a region; write it as in "eu-central-1"']


def test_files_that_are_not_there_are_doubts_and_no_mistakes(check: Check, place: Path) -> None:
    for name in ("key.pem", "token", "ca.pem"):
        (place / name).unlink()
    (place / "site").rmdir()
    code, _, err = check()
    assert code == 0
    assert err.splitlines() == [
        f'warning: key.file: "{place}/key.pem" does not exist',
        f'warning: grants#1.token_file: "{place}/token" does not exist',
        f'warning: sts.ca_bundle: "{place}/ca.pem" does not exist',
        f'warning: publishing.directory: "{place}/site" does not exist',
    ]


def test_files_that_others_can_read_or_change_are_doubts(check: Check, place: Path) -> None:
    (place / "key.pem").chmod(0o640)
    (place / "token").chmod(0o644)
    (place / "ca.pem").chmod(0o666)
    _, _, err = check()
    assert err.splitlines() == [
        f'warning: key.file: "{place}/key.pem" is open to others (mode 0640); close it with: chmod 0600',
        f'warning: grants#1.token_file: "{place}/token" is open to others (mode 0644); close it with: chmod 0640',
        f'warning: sts.ca_bundle: "{place}/ca.pem" is open to others (mode 0666); close it with: chmod 0664',
    ]


def test_files_that_are_directories_and_the_other_way_round_are_doubts(check: Check, place: Path) -> None:
    (place / "key.pem").unlink()
    (place / "key.pem").mkdir()
    (place / "site").rmdir()
    (place / "site").touch()
    _, _, err = check()
    assert err.splitlines() == [
        f'warning: key.file: "{place}/key.pem" is not a file',
        f'warning: publishing.directory: "{place}/site" is not a directory',
    ]


AS_NOBODY = """
import contextlib, io, os, sys
from agent.cli import main
words = ["check", "-c", sys.argv[1]]
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main(words)  # so that all is imported: nobody might not be allowed to read Python's files
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(main(words))
"""


def test_files_that_this_user_cannot_read_are_doubts() -> None:
    """As nobody; without root to give up, it is our own file that we may not read."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        config = furnished(home) / "rolecall.toml"
        config.write_text(GOOD.replace("{directory}", str(home)), encoding="utf-8")
        (home / "key.pem").chmod(0o200)
        words = [sys.executable, "-c", AS_NOBODY, str(config)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name = f'warning: key.file: "{home}/key.pem" cannot be read by this user; the agent\'s user must be able to'
    assert name in done.stderr.splitlines()


def test_outside_the_unit_its_credentials_are_taken_on_trust(check: Check) -> None:
    code, _, err = check(GOOD.replace("{directory}/key.pem", "credential:key"))
    assert (code, err) == (0, "")


def test_inside_the_unit_its_credentials_are_looked_at(
    check: Check, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    (place / "key.pem").chmod(0o440)  # as systemd gives it to the unit's user
    assert check(GOOD.replace("{directory}/key.pem", "credential:key.pem"))[2] == ""
    told = check(GOOD.replace("{directory}/key.pem", "credential:key"))[2]
    assert told == f'warning: key.file: "{place}/key" does not exist\n'


def test_other_kinds_of_configuration_are_told_in_short_as_well(check: Check, place: Path) -> None:
    text = GOOD.replace('token_file = "{directory}/token"', "anyone = true").replace(
        "[sts]",
        '[identity]\nsource = "file"\nfile = "{directory}/token"\n[sts]\nendpoint_url = "https://sts.example.com"',
    )
    code, out, err = check(text)
    assert code == 0
    assert "identity     a token from a file\n  STS          https://sts.example.com\n" in out
    assert "grant        backup: anyone\n" in out
    assert err == "warning: grants#1.anyone: every process that can connect to 127.0.0.1:9170 gets backup\n"
