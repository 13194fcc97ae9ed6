"""Does each unit and each user of a real machine get its own role at one URL, with nothing lying about?

Units of the system and of a user, templates, slices, users and groups, and units that show the token that systemd
fetched for them: see docs/unit-tokens.md.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.machine import CONFIGURATION, Machine, machine

URL = "http://127.0.0.1:9170/v1/credentials"
SOCKET = "/run/rolecall/unit-tokens.sock"
SECRETS = "/var/lib/rolecall/unit-tokens.json"
ROLES = ("backup", "web", "batch", "alice", "operators", "sync", "vault", "loose", "kitten")
GRANTS = f"""
[[grants]]
roles = ["backup"]
unit = "backup@*.service"
session_name = "${{HOST}}-${{UNIT}}"

[[grants]]
roles = ["web"]
unit = "web.service"

[[grants]]
roles = ["batch"]
slice = "batch.slice"

[[grants]]
roles = ["alice"]
user = "alice"
unit = "alices-*.service"
session_name = "${{USER}}"

[[grants]]
roles = ["operators"]
group = "operators"

[[grants]]
roles = ["sync"]
user_unit = "sync.service"
session_name = "${{USER_UNIT}}"

[[grants]]
roles = ["vault"]
unit_token = "vault*.service"
unit = "vault*.service"

[[grants]]
roles = ["loose"]
unit_token = "loose.service"

[unit_tokens]
socket = "{SOCKET}"
secret = "{SECRETS}"
rotate = "30d"
overlap = "90d"
"""
#: Says who it is, by an SDK: the ARN shows role and session name, as CloudTrail would. Who gets nothing says so at
#: once, since the SDK would try again and again.
PROGRAM = """\
import os, urllib.error, urllib.request
file = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
shown = {"Authorization": open(file).read()} if file else {}
try:
    urllib.request.urlopen(urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers=shown))
except urllib.error.HTTPError as error:
    print("I am nobody:", error.code)
else:
    import boto3
    print("I am", boto3.client("sts").get_caller_identity()["Arn"])
"""
UNIT = f"""\
[Unit]
After=rolecall.service
[Service]
Type=oneshot
Environment=AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_DEFAULT_REGION=eu-central-1 AWS_METADATA_SERVICE_NUM_ATTEMPTS=0
Environment=AWS_CONTAINER_CREDENTIALS_FULL_URI={URL} AWS_EC2_METADATA_DISABLED=true
ExecStart=/usr/bin/agent-python /opt/whoami.py
StandardOutput=truncate:%t/said-%n
StandardError=inherit
"""
WITH_TOKEN = f"""\
LoadCredential=rolecall-token:{SOCKET}
Environment=AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=%d/rolecall-token
"""


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as one:
        one.write("/opt/whoami.py", PROGRAM)
        one.run("groupadd", "operators")
        for user in ("alice", "carol"):
            one.run("useradd", "--no-create-home", "--home-dir", "/", user)
        one.run("usermod", "-aG", "operators", "carol")
        one.run("systemctl", "stop", "sandbox.service")
        text = re.sub(r"^\[\[grants\]\]\n(?:[^#\[\n].*\n)+", "", one.read(CONFIGURATION), flags=re.MULTILINE)
        arn = "arn:aws:iam::123456789012:role"
        roles = "".join(f'[roles.{name}]\narn = "{arn}/{name}"\n' for name in ROLES if f'"{name}"' not in text)
        one.write(CONFIGURATION, f"{text}\n{roles}\n{GRANTS}")
        one.start_sandbox()
        yield one


@pytest.fixture
def service(booted: Machine) -> Machine:
    if booted.show("ActiveState")["ActiveState"] != "active":
        booted.start()
    booted.wait_for(ActiveState="active")
    return booted


def unit(there: Machine, name: str, lines: str = "") -> None:
    """Write a unit of the system that says who it is."""
    there.write(f"/etc/systemd/system/{name}", UNIT + lines)
    there.run("systemctl", "daemon-reload")


def said(there: Machine, name: str) -> str:
    """Start it, and give what it says."""
    there.run("rm", "-f", f"/run/said-{name}")
    there.run("systemctl", "start", name, check=False)  # what it says is looked at
    return there.read(f"/run/said-{name}").strip()


def arn(role: str, session: str = ".*") -> re.Pattern[str]:
    return re.compile(rf"I am arn:aws:sts::123456789012:assumed-role/{role}/{session}")


def is_role(what: str, role: str, session: str = ".*") -> bool:
    assert arn(role, session).fullmatch(what), what
    return True


# --- one URL for the machine


def test_check_has_nothing_to_say_against_it(service: Machine) -> None:
    told = json.loads(service.run("rolecall", "check", "--json"))
    assert (told["good"], told["mistakes"]) == (True, [])


def test_each_unit_gets_its_own_role_at_one_url(service: Machine) -> None:
    unit(service, "web.service")
    unit(service, "backup@.service")
    unit(service, "nightly.service", "Slice=batch-nightly.slice\n")
    unit(service, "other.service")
    assert is_role(said(service, "web.service"), "web")
    assert is_role(said(service, "nightly.service"), "batch")
    assert said(service, "other.service").startswith("I am nobody")


def test_the_session_name_says_which_unit_it_was(service: Machine) -> None:
    unit(service, "backup@.service")
    host = service.run("hostname").strip()
    for instance in ("daily", "weekly"):
        assert is_role(said(service, f"backup@{instance}.service"), "backup", f"{host}-backup@{instance}.service")


def test_users_and_groups_get_theirs_wherever_they_run(service: Machine) -> None:
    for user in ("alice", "carol"):
        unit(service, f"{user}s-job.service", f"User={user}\n")
    assert is_role(said(service, "alices-job.service"), "alice", "alice")
    assert is_role(said(service, "carols-job.service"), "operators")
    unit(service, "roots-job.service", "SupplementaryGroups=operators\n")
    assert said(service, "roots-job.service").startswith("I am nobody"), "groups are those of the account"


@pytest.mark.long
def test_who_leaves_a_group_loses_its_role_within_about_a_minute(service: Machine) -> None:
    unit(service, "carols-job.service", "User=carol\n")
    assert is_role(said(service, "carols-job.service"), "operators")
    service.run("gpasswd", "-d", "carol", "operators")
    began = time.monotonic()
    try:
        curl = ("runuser", "-u", "carol", "--", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", URL)
        while service.run(*curl) == "200":
            assert time.monotonic() - began < 45
            time.sleep(1)
    finally:
        service.run("usermod", "-aG", "operators", "carol")


def test_a_unit_of_a_user_gets_its_own(service: Machine) -> None:
    service.write("/etc/systemd/user/sync.service", UNIT.replace("After=rolecall.service\n", ""))
    service.write("/etc/systemd/user/games.service", UNIT.replace("After=rolecall.service\n", ""))
    uid = service.run("id", "-u", "alice").strip()
    service.run("systemctl", "start", f"user@{uid}.service")
    manager = (
        "setpriv",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--init-groups",
        "env",
        f"XDG_RUNTIME_DIR=/run/user/{uid}",
    )
    service.run(*manager, "systemctl", "--user", "daemon-reload")
    for name in ("sync.service", "games.service"):
        service.run(*manager, "systemctl", "--user", "start", name, check=False)
    try:
        assert is_role(service.read(f"/run/user/{uid}/said-sync.service").strip(), "sync", "sync.service")
        assert service.read(f"/run/user/{uid}/said-games.service").startswith("I am nobody")
    finally:
        service.run("systemctl", "stop", f"user@{uid}.service")


@pytest.mark.long
def test_every_set_is_in_the_audit_lines_with_who_got_it(service: Machine) -> None:
    unit(service, "web.service")
    service.run("systemctl", "restart", "rolecall.service")
    service.wait_for(ActiveState="active")
    said(service, "web.service")
    served = logged(service, "credentials_served")
    assert ("web.service", "web") in {(line["unit"], line["role"]) for line in served}
    unit(service, "other.service")
    said(service, "other.service")
    refused = logged(service, "credentials_refused")
    assert "other.service" in {line["unit"] for line in refused}


def messages(there: Machine) -> list[dict[str, Any]]:
    """The lines of the agent's present run."""
    found = []
    for line in there.journal():
        try:
            found.append(json.loads(line["MESSAGE"]))
        except ValueError:
            continue  # systemd's own
    return found


def logged(there: Machine, event: str) -> list[dict[str, Any]]:
    """Lines of the agent's present run, of one kind; those of a moment ago may come a moment later."""
    deadline = time.monotonic() + 5
    while not (found := [line for line in messages(there) if line["event"] == event]):
        assert time.monotonic() < deadline, there.logged()
        time.sleep(0.1)
    return found


# --- tokens of units


def test_a_unit_shows_a_token_that_only_it_could_have(service: Machine) -> None:
    unit(service, "vault.service", WITH_TOKEN)
    unit(service, "vault@.service", WITH_TOKEN)
    assert is_role(said(service, "vault.service"), "vault")
    assert is_role(said(service, "vault@blue.service"), "vault")
    issued = {line["unit"] for line in logged(service, "unit_token_issued")}
    assert {"vault.service", "vault@blue.service"} <= issued
    assert service.run("stat", "-c", "%U:%G %a %F", SOCKET).strip() == "rolecall:rolecall 600 socket"
    assert service.run("stat", "-c", "%U:%G %a", SECRETS).strip() == "rolecall:rolecall 600"


KEEP = "ExecStartPre=/bin/sh -c 'cat %d/rolecall-token >/var/kept; chmod 600 /var/kept'\n"


def kept(there: Machine, name: str) -> str:
    """The token of a unit, as somebody may have stolen it."""
    unit(there, re.sub("@.*[.]", "@.", name), WITH_TOKEN + KEEP)
    said(there, name)
    token = there.read("/var/kept")
    assert token.startswith("rolecall-unit-1."), token
    assert not token.endswith("\n")
    return token


STOLEN = "Environment=AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/var/kept\n"


@pytest.mark.long
def test_a_token_in_the_wrong_hands_is_worth_nothing_where_the_unit_is_asked_for_too(service: Machine) -> None:
    kept(service, "vault.service")
    unit(service, "thief.service", STOLEN)
    assert said(service, "thief.service").startswith("I am nobody")
    kept(service, "loose.service")
    assert is_role(said(service, "thief.service"), "loose"), "and is where it is not"


@pytest.mark.long
def test_two_patterns_are_not_tied_to_one_another(service: Machine) -> None:
    kept(service, "vault@blue.service")
    unit(service, "vault.service", STOLEN)
    assert is_role(said(service, "vault.service"), "vault"), "each fits, as docs/unit-tokens.md says"


@pytest.mark.long
def test_a_token_survives_the_agents_restart(service: Machine) -> None:
    kept(service, "vault.service")
    unit(service, "vault.service", STOLEN)  # its own, from before
    service.run("systemctl", "restart", "rolecall.service")
    service.wait_for(ActiveState="active")
    assert is_role(said(service, "vault.service"), "vault")
    service.run("kill", "-KILL", service.show("MainPID")["MainPID"])
    service.wait_for(NRestarts="1", ActiveState="active", SubState="running")
    assert is_role(said(service, "vault.service"), "vault")
    unit(service, "vault.service", WITH_TOKEN)
    assert is_role(said(service, "vault.service"), "vault"), "and the socket is there again"


def aged(there: Machine, days: float) -> None:
    """Let so much time pass for the secrets, as if the agent had counted it."""
    there.run("systemctl", "stop", "rolecall.service")
    text = json.loads(there.read(SECRETS))
    for one in text["generations"]:
        one["age"] += days * 86_400
        if one["superseded"] is not None:
            one["superseded"] += days * 86_400
    there.write(SECRETS, json.dumps(text))
    there.run("systemctl", "start", "rolecall.service")
    there.wait_for(ActiveState="active")


@pytest.mark.long
def test_a_new_secret_overlaps_with_the_old_and_units_hear_of_its_end(service: Machine) -> None:
    old = kept(service, "vault.service")
    unit(service, "vault.service", STOLEN)
    aged(service, 30)
    assert logged(service, "unit_tokens_rotated")
    assert is_role(said(service, "vault.service"), "vault")
    new = kept(service, "vault-2.service")
    assert old.split(".")[1] != new.split(".")[1]
    service.write("/var/kept", old)
    aged(service, 84)
    assert is_role(said(service, "vault.service"), "vault")
    (ending,) = logged(service, "unit_token_ending")
    assert ending["unit"] == "vault.service"
    aged(service, 7)
    assert said(service, "vault.service").startswith("I am nobody")
    unit(service, "vault.service", WITH_TOKEN)
    assert is_role(said(service, "vault.service"), "vault"), "started again, it has a new one"


def test_the_managers_of_users_and_users_get_no_token(service: Machine) -> None:
    loaded = f"LoadCredential=rolecall-token:{SOCKET}\nExecStart=\nExecStart=/bin/true\n"
    service.write("/etc/systemd/user/vault.service", f"[Service]\nType=oneshot\n{loaded}")
    uid = service.run("id", "-u", "alice").strip()
    service.run("systemctl", "start", f"user@{uid}.service")
    manager = (
        "setpriv",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--init-groups",
        "env",
        f"XDG_RUNTIME_DIR=/run/user/{uid}",
    )
    try:
        service.run(*manager, "systemctl", "--user", "daemon-reload")
        service.run(*manager, "systemctl", "--user", "start", "vault.service", check=False)
        result = service.run(*manager, "systemctl", "--user", "show", "vault.service", "-p", "ExecMainStatus")
        assert result.strip() == "ExecMainStatus=243"
    finally:
        service.run("systemctl", "stop", f"user@{uid}.service")


@pytest.mark.long
def test_the_longest_name_of_a_unit_is_as_documented(service: Machine) -> None:
    fits, too_long = (f"vault{'x' * (length - 13)}.service" for length in (69, 85))
    for name in (fits, too_long):
        unit(service, name, WITH_TOKEN)
    assert is_role(said(service, fits), "vault")
    assert said(service, too_long) == ""
    assert service.show("ExecMainStatus", unit=too_long) == {"ExecMainStatus": "243"}


@pytest.mark.long
def test_a_unit_that_starts_before_the_agent_is_started_again_until_it_can(service: Machine) -> None:
    unit(service, "vault.service", f"{WITH_TOKEN}Restart=on-failure\nRestartSec=500ms\nRemainAfterExit=yes\n")
    service.run("systemctl", "stop", "rolecall.service")
    service.run("systemctl", "start", "vault.service", check=False)
    failed = service.show("ExecMainStatus", unit="vault.service")
    assert failed == {"ExecMainStatus": "243"}
    service.run("systemctl", "start", "rolecall.service")
    deadline = time.monotonic() + 20
    while service.show("ActiveState", unit="vault.service")["ActiveState"] != "active":
        assert time.monotonic() < deadline, service.run("journalctl", "-u", "vault.service", "--no-pager")
        time.sleep(0.2)
    assert is_role(service.read("/run/said-vault.service").strip(), "vault")
    service.run("systemctl", "stop", "vault.service")


def test_a_unit_that_waits_for_the_agent_is_started_after_it(service: Machine) -> None:
    service.run("systemctl", "stop", "rolecall.service")
    wants = UNIT.replace("[Unit]\n", "[Unit]\nWants=rolecall.service\n")
    service.write("/etc/systemd/system/vault.service", wants + WITH_TOKEN)
    service.run("systemctl", "daemon-reload")
    assert is_role(said(service, "vault.service"), "vault")


@pytest.mark.long
def test_what_cannot_be_read_is_said_at_start_and_stays(service: Machine) -> None:
    service.run("systemctl", "stop", "rolecall.service")
    before = service.read(SECRETS)
    service.write(SECRETS, "garbage")
    try:
        service.start()
        service.wait_for(NRestarts="1")
        assert f"error: {SECRETS} does not hold the secrets of unit tokens" in service.logged()
        assert service.read(SECRETS) == "garbage"
    finally:
        service.run("systemctl", "stop", "rolecall.service")
        service.write(SECRETS, before)
        service.start()
        service.wait_for(ActiveState="active")


def test_no_token_is_in_the_journal(service: Machine) -> None:
    assert "rolecall-unit-1" not in service.run("journalctl", "-o", "cat", "--no-pager")


# --- programs


BOTH = "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"
SIGHT = f"AmbientCapabilities={BOTH}\nCapabilityBoundingSet={BOTH}\n"


@pytest.mark.long
def test_a_program_is_known_where_the_agent_may_see_it_and_nobody_where_it_may_not(service: Machine) -> None:
    before = service.read(CONFIGURATION)
    program = service.run("readlink", "-f", "/usr/bin/curl").strip()
    grant = f'[[grants]]\nroles = ["kitten"]\nuser = "daemon"\nexecutable = "{program}"\n'
    curl = ("runuser", "-u", "daemon", "--", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", URL)
    python = "import urllib.request as r, sys; print(r.urlopen(sys.argv[1]).status)"
    try:
        service.write(CONFIGURATION, f"{before}\n{grant}\n[callers]\nexecutables = true\n")
        service.start(SIGHT)
        service.wait_for(ActiveState="active")
        assert service.run(*curl) == "200"
        other = service.run("runuser", "-u", "daemon", "--", "/usr/bin/agent-python", "-c", python, URL, check=False)
        assert "200" not in other
        served = [line for line in logged(service, "credentials_served") if line["role"] == "kitten"]
        assert served
        service.start()
        service.wait_for(ActiveState="active")
        assert service.run(*curl) == "401"  # a token might help: some grants ask for one
        assert any("CAP_SYS_PTRACE" in line["error"] for line in logged(service, "callers_unseen"))
    finally:
        service.write(CONFIGURATION, before)
        service.start()
