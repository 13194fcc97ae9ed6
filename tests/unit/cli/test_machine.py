"""On this machine, as far as users, addresses and programs go; units are made up, in directories like systemd's."""

import grp
import os
import pwd
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.assembly.sight import Sight, Wanting
from agent.cli.machine import absent
from agent.settings import Settings, load

GOOD = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
"""
SEES_ALL = Sight(users=True, units=True)
SEES_USERS = Sight(users=True, units=False, wanting=(Wanting("systemd has no units", "boot with systemd", "units"),))
ME, GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name

Doubts = Callable[..., list[str]]


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """Where units are, as an administrator and a distribution have them."""
    etc, lib = tmp_path / "etc", tmp_path / "lib"
    etc.mkdir()
    lib.mkdir()
    for name in ("backup.service", "backup@.service", "ssh.service", "web.socket", "web-1.service", "reportz@.service"):
        (lib / name).touch()
    (etc / "sshd.service").symlink_to(lib / "ssh.service")
    (etc / "backup@daily.service").symlink_to(lib / "backup@.service")
    (etc / "old.service").symlink_to("/dev/null")
    (etc / "ssh.service").symlink_to(lib / "ssh.service")
    return [etc, tmp_path / "nowhere", lib]


@pytest.fixture
def doubts(tmp_path: Path, units: list[Path]) -> Doubts:
    def doubts(*sections: str, see: Sight = SEES_ALL) -> list[str]:
        return list(absent(_read(tmp_path, *sections), units=units, see=lambda: see))

    return doubts


def _read(tmp_path: Path, *sections: str) -> Settings:
    path = tmp_path / "rolecall.toml"
    path.write_text("\n".join([GOOD, *sections]), encoding="utf-8")
    return load(path, environ={}, host="web-1")


def grant(words: str) -> str:
    return f'[[grants]]\nroles = ["backup"]\n{words}\n'


@pytest.mark.parametrize(
    "words",
    [
        f'user = ["{ME}", "4242424"]\ngroup = "{GROUP}"',
        'unit = ["backup.service", "backup@daily.service", "backup@any.service", "backup@*.service", "web*.service"]',
        'unit = ["ssh.service", "session-*.scope", "mnt-data.mount", "dev\\\\x2ddisk.swap"]',
        'unit_token = ["web.socket"]',
        'user_unit = "whatever.service"\nuser = "root"',
    ],
)  # fmt: skip
def test_what_is_there_leaves_no_doubt(words: str, doubts: Doubts) -> None:
    assert doubts(grant(words), "[unit_tokens]") == []


@pytest.mark.parametrize(
    ("words", "doubt"),
    [
        ('user = "no-such-user"',
         'user: there is no user "no-such-user" on this machine; the grant counts once there is'),
        ('group = "no-such-group"',
         'group: there is no group "no-such-group" on this machine; the grant counts once there is'),
        ('unit = "backups.service"',
         ('unit: there is no unit "backups.service" on this machine (did you mean "backup.service"?); the grant counts '
          "once there is")),
        ('unit = "zzz.service"',
         'unit: there is no unit "zzz.service" on this machine; the grant counts once there is'),
        ('unit = "reports.service"',
         'unit: there is no unit "reports.service" on this machine; the grant counts once there is'),
        ('unit = "zzz@*.service"',
         'unit: no unit on this machine fits "zzz@*.service"; the grant counts once there is one'),
        ('unit = "sshd.service"',
         'unit: "sshd.service" is another name of "ssh.service", by which its processes are known; write that'),
        ('unit = "old.service"', 'unit: "old.service" is masked on this machine, so it never runs'),
        ('unit_token = "web.service"',
         ('unit_token: there is no unit "web.service" on this machine (did you mean "web-1.service"?); the grant '
          "counts once there is")),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(words: str, doubt: str, doubts: Doubts) -> None:
    assert doubts(grant(words), "[unit_tokens]") == [f"grants#1.{doubt}"]


def test_where_no_units_are_at_all_none_is_missed(tmp_path: Path) -> None:
    settings = _read(tmp_path, grant('unit = "zzz.service"'))
    assert list(absent(settings, units=[tmp_path / "nowhere"], see=lambda: SEES_ALL)) == []


def test_what_the_kernel_does_not_tell_is_said_once(doubts: Doubts) -> None:
    both = grant('user = "root"') + grant('unit = "backup.service"') + grant('slice = "a.slice"')
    assert doubts(both, see=SEES_USERS) == [
        "grants#2.unit: is known of no caller here: systemd has no units; boot with systemd"
    ]
    assert doubts(grant('user = "root"'), see=SEES_USERS) == []
    neither = Sight(users=False, units=False, wanting=(Wanting("no users", "a", "users"), *SEES_USERS.wanting))
    assert doubts(grant('user = "root"'), see=neither) == ["grants#1.user: is known of no caller here: no users; a"]
    assert doubts(grant("anyone = true"), see=Sight(users=False, units=False, wanting=(Wanting("a", "b"),))) == []


def test_the_kernel_is_not_asked_for_nothing(tmp_path: Path) -> None:
    def never() -> Sight:
        raise AssertionError

    assert list(absent(_read(tmp_path, grant("anyone = true")), see=never)) == []


def test_a_program_is_known_by_its_own_path(tmp_path: Path, doubts: Doubts) -> None:
    on = "[callers]\nexecutables = true"
    program, link, script = tmp_path / "program", tmp_path / "link", tmp_path / "script"
    program.write_bytes(b"\x7fELF")
    link.symlink_to(program)
    script.write_text("#!/bin/sh\n")

    def said(path: Path) -> list[str]:
        return doubts(grant(f'user = "root"\nexecutable = "{path}"'), on)

    assert said(program) == []
    assert said(link) == [
        f'grants#1.executable: "{link}" is a link to "{program}", by which the kernel knows it; write that'
    ]
    assert said(script) == [
        f'grants#1.executable: "{script}" is a script, and what runs is the program that reads it; grant it by unit'
    ]
    assert said(tmp_path / "none") == [
        f'grants#1.executable: there is no "{tmp_path / "none"}" on this machine; the grant counts once there is'
    ]


def test_an_engine_that_does_not_run_is_said(tmp_path: Path, doubts: Doubts) -> None:
    def said(path: Path) -> list[str]:
        words = f'[containers]\nengine = "podman"\nsocket = "{path}"\nlisten = "127.0.0.1:9180"'
        return doubts(grant('container = "web"'), words)

    (tmp_path / "file").touch()
    assert said(tmp_path / "none") == [
        f'containers.socket: "{tmp_path / "none"}" does not exist; start podman, or name its socket'
    ]
    assert said(tmp_path / "file") == [f'containers.socket: "{tmp_path / "file"}" is not a socket']
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "s"))
        assert said(tmp_path / "s") == []


def test_addresses_that_are_not_ours_are_said(doubts: Doubts) -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737): no machine has an address of it.
    assert doubts(grant("anyone = true"), '[listen]\nadmin = "192.0.2.1:9171"') == [
        ("listen.admin: 192.0.2.1 is not an address of this machine; add it, as in: ip address add 192.0.2.1/32 dev lo")
    ]
    assert doubts(grant("anyone = true"), '[listen]\ncredentials = ["127.0.0.1:0", "127.9.9.9:0"]') == []


def test_a_port_that_is_taken_is_no_doubt_since_the_agent_may_run(doubts: Doubts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as running:
        port = running.getsockname()[1]
        assert doubts(grant("anyone = true"), f'[listen]\ncredentials = "127.0.0.1:{port}"') == []


def test_of_the_usual_addresses_for_containers_one_will_do(tmp_path: Path, doubts: Doubts) -> None:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "s"))
        words = f'[containers]\nengine = "podman"\nsocket = "{tmp_path / "s"}"'
        usual = doubts(grant('container = "web"'), words)
        written = doubts(grant('container = "web"'), f'{words}\nlisten = ["169.254.170.2:80", "127.0.0.1:9180"]')
    if _has("169.254.170.2"):
        assert (usual, written) == ([], [])
    else:
        said = "169.254.170.2 is not an address of this machine; add it, as in: ip address add 169.254.170.2/32 dev lo"
        assert usual == ([] if _has("169.254.170.23") else [f"containers.listen: {said}"])
        assert written == [f"containers.listen#1: {said}"]


def _has(address: str) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
        return True


def test_files_for_a_group_that_there_is_not_are_said(doubts: Doubts) -> None:
    kept = '[[files]]\nkind = "credentials"\npath = "a"\nrole = "backup"\nprofile = "p"\ngroup = "{}"'
    assert doubts(grant("anyone = true"), kept.format(GROUP)) == []
    assert doubts(grant("anyone = true"), kept.format("no-such-group")) == [
        'files#1.group: there is no group "no-such-group" on this machine'
    ]
