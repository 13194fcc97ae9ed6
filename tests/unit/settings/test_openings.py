from collections.abc import Callable

import pytest

from agent.settings import Settings
from agent.settings.openings import openings

Read = Callable[..., Settings]
TOKEN = 'token_file = "/etc/rolecall/tokens/backup"'
LISTEN = 'credentials = "127.0.0.1:9170"'
FURTHER = ("", '\n[callers]\nexecutables = true\n[containers]\nengine = "podman"\n')


@pytest.mark.parametrize(
    ("words", "doubt"),
    [
        ("anyone = true",
         ("anyone: every process that can connect to 127.0.0.1:9170, 169.254.170.2:80, 169.254.170.23:80 and "
          "[fd00:ec2::23]:80 gets backup")),
        ('user = "root"',
         "user: every process of root gets backup, most services among them; add unit, unless that is meant"),
        ('user = ["alice", "0"]',
         "user: every process of root gets backup, most services among them; add unit, unless that is meant"),
        ('user = "nobody"',
         ('user: "nobody" is nobody in particular, but several services, and all users whose numbers mean nothing '
          "here; grant it by unit")),
        ('group = "nogroup"',
         ('group: "nogroup" is nobody in particular, but several services, and all users whose numbers mean nothing '
          "here; grant it by unit")),
        ('group = ["ops", "users"]',
         'group: nearly every user may be in "users", and gets backup; name a group of their own'),
        ('slice = "system.slice"',
         "slice: nearly every service of this machine is in it, and gets backup; name units, or a slice of their own"),
        ('slice = "user.slice"',
         "slice: everybody who logs in is in it, and gets backup; name units, or a slice of their own"),
        ('slice = "machine.slice"',
         ("slice: containers and virtual machines are in it, whosoever they are, and gets backup; name units, or a "
          "slice of their own")),
        ('unit = "session-*.scope"',
         'unit: "session-*.scope" fits the sessions of everybody who logs in, who get backup; add user, or group'),
        ('unit = "user@*.service"',
         'unit: "user@*.service" fits what any user starts with systemctl --user, who get backup; add user, or group'),
        ('unit = "s*.scope"',
         'unit: "s*.scope" fits the sessions of everybody who logs in, who get backup; add user, or group'),
        ('unit = "*a*.service"',
         'unit: "*a*.service" fits units that nobody has thought of yet; write more of the name'),
        ('user_unit = "sync.service"',
         'user_unit: any user can start a unit of their own by the name "sync.service"; add user, or group'),
        ('executable = "/usr/bin/aws"',
         "executable: whoever may start that program can have it do as they like, and gets backup; add user, or unit"),
    ],
)  # fmt: skip
def test_what_lets_in_more_than_was_perhaps_meant_is_said(words: str, doubt: str, read: Read) -> None:
    assert list(openings(read((TOKEN, words), FURTHER))) == [f"grants#1.{doubt}"]


@pytest.mark.parametrize(
    "words",
    [
        'user = "alice"',
        'user = "root"\nunit = "backup.service"',
        'user = "root"\nexecutable = "/usr/bin/restic"',
        'user = "nobody"\nunit = "backup.service"',
        'group = "users"\nunit = "backup@*.service"',
        'group = "users"\nuser = "alice"',
        'slice = "system.slice"\nuser = "backup"',
        'slice = "batch.slice"',
        'unit = ["backup.service", "b@*.service"]',
        'unit = "session-*.scope"\ngroup = "ops"',
        'unit = "user@1000.service"',
        'user_unit = "sync.service"\nuser = "alice"',
        'user_unit = "sync.service"\nunit = "user@1000.service"',
        'executable = "/usr/bin/aws"\nuser = "alice"',
        'container = "w*"',
    ],
)
def test_what_keeps_others_out_leaves_no_doubt(words: str, read: Read) -> None:
    assert list(openings(read((TOKEN, words), FURTHER))) == []


def test_whoever_can_connect_is_told_by_all_the_addresses(read: Read) -> None:
    addresses = 'credentials = ["127.0.0.1:9170", "[::1]:9170"]\nimds = "127.0.0.1:9172"'
    (doubt,) = openings(read((TOKEN, "anyone = true"), (LISTEN, addresses)))
    said = "every process that can connect to 127.0.0.1:9170, [::1]:9170 and 127.0.0.1:9172 gets backup"
    assert doubt == f"grants#1.anyone: {said}"


def test_an_address_is_no_proof_of_who_is_behind_it(read: Read) -> None:
    forged = ("", '\n[containers]\nengine = "docker"\nrecognise = "address"\n')
    (doubt,) = openings(read((TOKEN, 'container = "web"'), forged))
    assert doubt == (
        'containers.recognise: is "address": a container that may send packets by hand, as Docker\'s may, can pass for '
        'another; "namespace" cannot be deceived so'
    )
