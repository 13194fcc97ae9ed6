"""Can the agent live as the service that the unit makes of it?

The unit is read by systemd's own tools, and then run by systemd: see tests/live/machine.py.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.machine import CONFIGURATION, Machine, machine

UNIT = Path(__file__).parents[2] / "systemd" / "rolecall.service"
TOKEN = "/etc/rolecall/tokens/backup"
URL = "http://127.0.0.1:9170/v1/credentials/backup"
KEYS = "/var/lib/rolecall/keys"
JWKS = "/var/lib/rolecall/site/.well-known/jwks.json"
METRICS = "http://127.0.0.1:9171/metrics"
#: Says of every name that its address is 127.1.2.3, and that it has none of IPv6 (RFC 1035 §4.1).
NAME_SERVER = r"""
import os, socket

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    asked, client = server.recvfrom(512)
    end = asked.index(0, 12) + 5
    known = asked[end - 4 : end - 2] == b"\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\1\2\3" if known else b""
    server.sendto(asked[:2] + b"\x81\x80\0\1\0" + bytes([known, 0, 0, 0, 0]) + asked[12:end] + answer, client)
"""
#: Runs within the unit's sandbox; what it prints is in the journal.
ASK = "ExecStartPre=/usr/bin/agent-python -c "

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


# --- read by systemd's tools


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=50)


@needs_analyze
def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    # the program is not installed here, and where there is none, that is all that it says
    copy = tmp_path / "rolecall.service"
    copy.write_text(UNIT.read_text().replace("ExecStart=/usr/bin/rolecall ", "ExecStart=/bin/true "))
    done = analyze("verify", "--man=no", str(copy))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    copy.write_text(copy.read_text() + "ProtectSystm=strict\n")
    assert "ProtectSystm" in analyze("verify", "--man=no", str(copy)).stderr


@needs_analyze
def test_little_is_left_that_the_service_could_do_wrong() -> None:
    done = analyze("security", "--offline=true", "--no-pager", "--threshold=13", str(UNIT))
    assert done.returncode == 0, done.stdout
    found = re.search(r"exposure level for rolecall.service: ([0-9.]+)", done.stdout)
    assert found
    assert float(found[1]) <= 1.3  # 0.1 of it is AF_NETLINK, by which the kernel says who calls


# --- run by systemd


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as one:
        yield one


@pytest.fixture
def service(booted: Machine) -> Machine:
    booted.start()
    booted.wait_for(ActiveState="active")
    return booted


def test_systemd_is_told_when_it_is_ready_and_how_it_is(service: Machine) -> None:
    found = service.show("SubState", "StatusText", "NRestarts")
    assert (found["SubState"], found["NRestarts"]) == ("running", "0")
    assert "ready" in found["StatusText"]
    assert f'Status: "{found["StatusText"]}"' in service.run("systemctl", "status", "rolecall.service")


def test_it_serves_a_role_with_a_key_that_is_its_own(service: Machine) -> None:
    assert json.loads(service.get(URL, TOKEN))["Code"] == "Success"
    assert service.run("ps", "-o", "user=", "-p", service.show("MainPID")["MainPID"]).strip() == "rolecall"
    (key,) = [key["name"] for key in keys(service)]
    assert facts(service, f"{KEYS}/{key}", KEYS, f"{KEYS}/ring.json", TOKEN) == [
        "rolecall:rolecall 600",
        "rolecall:rolecall 700",
        "rolecall:rolecall 600",
        "root:rolecall 640",
    ]


def facts(there: Machine, *paths: str) -> list[str]:
    """Owner, group and mode of each."""
    return there.run("stat", "-c", "%U:%G %a", *paths).splitlines()


def keys(there: Machine) -> list[dict[str, Any]]:
    """The keys as root lists them."""
    listed: list[dict[str, Any]] = json.loads(there.run("rolecall", "keys", "list", "--json"))
    return listed


def shown(there: Machine) -> set[str]:
    """The kids in the issuer's key set, read as another user, as a web server is one."""
    return {key["kid"] for key in json.loads(there.run("runuser", "-u", "nobody", "cat", JWKS))["keys"]}


@pytest.mark.parametrize("who", [[], ["runuser", "-u", "rolecall", "--"]], ids=["root", "rolecall"])
def test_check_has_nothing_to_say_against_a_first_configuration(service: Machine, who: list[str]) -> None:
    told = json.loads(service.run(*who, "rolecall", "check", "--json"))
    assert (told["good"], told["mistakes"], told["warnings"]) == (True, [], [])


def test_the_world_sees_the_site_and_no_key(service: Machine) -> None:
    assert shown(service) == {key["kid"] for key in keys(service)}
    for path in ("/var/lib/rolecall", KEYS):
        assert service.run("runuser", "-u", "nobody", "ls", path, check=False) == ""
    told = service.run("rolecall", "publish", "--check", check=False)
    assert "bad" not in told, told


def test_root_has_another_key_made_and_it_is_the_agents(service: Machine) -> None:
    (first,) = keys(service)
    service.run("rolecall", "keys", "rotate")
    by_state = {key["state"]: key for key in keys(service)}
    assert by_state.keys() == {"signing", "announced"}
    assert by_state["signing"]["kid"] == first["kid"]
    assert (
        facts(service, f"{KEYS}/{by_state['announced']['name']}", f"{KEYS}/ring.json") == ["rolecall:rolecall 600"] * 2
    )
    assert shown(service) == {key["kid"] for key in by_state.values()}

    service.run("systemctl", "restart", "rolecall.service")
    service.wait_for(ActiveState="active")
    assert {key["kid"]: key["state"] for key in keys(service)} == {k["kid"]: k["state"] for k in by_state.values()}

    assert "unchanged" in service.run("rolecall", "publish")  # by root, which must not lock the agent out
    service.run("rolecall", "keys", "retire", by_state["announced"]["kid"])
    until(lambda: shown(service) == {first["kid"]})
    until(lambda: set(service.run("ls", KEYS).split()) == {first["name"], "ring.json"})


def test_what_root_does_while_no_agent_runs_the_agent_goes_on_with(service: Machine) -> None:
    (first,) = keys(service)
    service.run("systemctl", "stop", "rolecall.service")
    service.run("rolecall", "keys", "rotate")
    (_, second) = keys(service)
    assert shown(service) == {first["kid"], second["kid"]}
    assert facts(service, f"{KEYS}/{second['name']}", f"{KEYS}/ring.json") == ["rolecall:rolecall 600"] * 2

    service.start()
    service.wait_for(ActiveState="active")
    service.run("rolecall", "keys", "retire", second["kid"])
    until(lambda: shown(service) == {first["kid"]})  # by the agent, over files that root has written


def until(condition: Callable[[], bool]) -> None:
    """Wait for what the agent does on one of its turns."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_second_agent_with_the_same_keys_says_who_has_them(service: Machine) -> None:
    other = ["env", "ROLECALL_LISTEN_CREDENTIALS=127.0.0.1:0", "ROLECALL_LISTEN_ADMIN=127.0.0.1:0", "rolecall", "run"]
    told = service.run("runuser", "-u", "rolecall", "--", "sh", "-c", f"{' '.join(other)} 2>&1; echo exit code $?")
    pid = service.show("MainPID")["MainPID"]
    assert f"another agent (process {pid}) works with the keys in {KEYS}" in told
    assert "exit code 1" in told


def test_metrics_of_the_process_are_all_there(service: Machine) -> None:
    found = set(re.findall(r"^(process_\w+) ", service.get(METRICS), re.MULTILINE))
    assert found >= {
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_max_fds",
    }


def test_the_journal_knows_how_bad_each_line_is(service: Machine) -> None:
    priorities = {json.loads(line["MESSAGE"])["event"]: line["PRIORITY"] for line in service.journal()}
    assert priorities["ready"] == "6"
    service.run("systemctl", "stop", "sandbox.service")
    try:
        service.start()
        service.wait_for(ActiveState="active")
        levels = {json.loads(line["MESSAGE"])["level"]: line["PRIORITY"] for line in service.journal()}
    finally:
        service.start_sandbox()
    assert {"info": "6", "error": "3"}.items() <= levels.items(), service.logged()


def test_a_reload_leaves_the_process_and_what_it_serves(service: Machine) -> None:
    before = service.show("MainPID")
    held = service.get(URL, TOKEN)
    service.run("systemctl", "reload", "rolecall.service")
    assert service.show("MainPID") == before
    assert service.get(URL, TOKEN) == held


def test_after_a_crash_it_is_back(service: Machine) -> None:
    service.run("kill", "-KILL", service.show("MainPID")["MainPID"])
    service.wait_for(NRestarts="1", ActiveState="active", SubState="running")
    assert json.loads(service.get(URL, TOKEN))["Code"] == "Success"


def test_one_that_hangs_is_replaced(booted: Machine) -> None:
    booted.start("WatchdogSec=1s")
    booted.wait_for(ActiveState="active")
    stuck = booted.show("MainPID")["MainPID"]
    booted.run("kill", "-STOP", stuck)
    booted.wait_for(NRestarts="1", ActiveState="active", SubState="running")
    assert booted.show("MainPID")["MainPID"] != stuck
    assert "Watchdog timeout" in booted.run("journalctl", "-b", "--no-pager", "-o", "cat", "_PID=1")


def test_a_mistake_in_the_configuration_is_not_tried_again(booted: Machine) -> None:
    booted.start("Environment=ROLECALL_LOG_LEVEL=loud")
    booted.wait_for(ActiveState="failed", NRestarts="0", ExecMainStatus="2", Result="exit-code")
    assert "error: ROLECALL_LOG_LEVEL" in booted.logged()


def test_what_may_pass_is_tried_again_but_gently(booted: Machine) -> None:
    booted.start("Environment=ROLECALL_LISTEN_ADMIN=127.0.0.1:4566")  # where the sandbox is
    booted.wait_for(NRestarts="1")
    booted.wait_for(SubState="stop-post", ExecMainStatus="1")  # where it stays for a while
    assert "error: cannot listen on 127.0.0.1:4566" in booted.logged()


def test_it_may_listen_on_ipv6(booted: Machine) -> None:
    booted.start("Environment=ROLECALL_LISTEN_CREDENTIALS=[::1]:9170")
    booted.wait_for(ActiveState="active")
    assert json.loads(booted.get("http://[::1]:9170/v1/credentials/backup", TOKEN))["Code"] == "Success"


def test_names_are_resolved_in_there(booted: Machine) -> None:
    booted.write("/opt/rolecall/names.py", NAME_SERVER)
    unit = "[Service]\nType=notify\nExecStart=/usr/bin/agent-python -W ignore /opt/rolecall/names.py\n"
    booted.write("/etc/systemd/system/names.service", unit)
    booted.run("sh", "-c", "rm -f /etc/resolv.conf && echo nameserver 127.0.0.1 >/etc/resolv.conf")
    booted.run("systemctl", "daemon-reload")
    booted.run("systemctl", "start", "names.service")
    asked = "socket.getaddrinfo('sts.example.com', 443, type=socket.SOCK_STREAM)"
    booted.start(f"{ASK}\"import socket; print('found', {asked}[0][4])\"\nExecStartPre=/bin/sleep 0")
    booted.wait_for(ActiveState="active")
    assert "found ('127.1.2.3', 443)" in booted.logged()


def test_it_could_write_to_its_state_and_nowhere_else(booted: Machine) -> None:
    tried = ("/etc/rolecall", "/var/lib/rolecall", "/run/rolecall", "/var/log", "/root")
    write = f"import os; print('writable', [place for place in {tried} if os.access(place, os.W_OK)])"
    booted.start(f'{ASK}"{write}"')
    booted.wait_for(ActiveState="active")
    assert "writable ['/var/lib/rolecall', '/run/rolecall']" in booted.logged()


# --- with keys that systemd hands over


@pytest.fixture
def rewritten(booted: Machine) -> Iterator[Callable[[str], None]]:
    """Gives [key] other words, as an editor would; afterwards all is as it was."""
    booted.run("systemctl", "stop", "rolecall.service")
    booted.run("cp", "-a", "/var/lib/rolecall", "/var/lib/rolecall.before")
    before = booted.read(CONFIGURATION)

    def rewrite(key: str) -> None:
        rest = re.sub(r"^\[key\]\n(?:[^#\[\n].*\n)+", "", before, flags=re.MULTILINE)
        booted.write(CONFIGURATION, f"{rest}\n{key}\n")

    yield rewrite
    booted.run("systemctl", "stop", "rolecall.service", "sandbox.service")
    booted.run("rm", "-r", "/var/lib/rolecall")
    booted.run("mv", "/var/lib/rolecall.before", "/var/lib/rolecall")
    booted.write(CONFIGURATION, before)
    booted.start_sandbox()


SEALED = '[key]\ncustodian = "pem"\nfile = "credential:{}"\n'


def test_sealed_keys_follow_one_another(booted: Machine, rewritten: Callable[[str], None]) -> None:
    """As docs/keys/pem.md says: on a host that has never run, and then by a move, but for the days of waiting."""
    first, loaded = sealed(booted, "signing-key", "auto")
    rewritten(SEALED.format("signing-key"))
    booted.run("sh", "-c", f"rm {KEYS}/* /var/lib/rolecall/site/.well-known/*")
    booted.start(loaded)
    booted.wait_for(ActiveState="active")
    assert shown(booted) == {first}
    assert "unchanged" in booted.run("rolecall", "publish")  # by root, who sees what the unit was given

    second, also = sealed(booted, "signing-key-2", "host")
    rewritten(SEALED.format("signing-key") + SEALED.format("signing-key-2").replace("[key]", "[key.next]"))
    booted.start(f"{loaded}\n{also}")
    booted.wait_for(ActiveState="active")
    until(lambda: {key["kid"]: key["state"] for key in keys(booted)} == {first: "signing", second: "announced"})
    until(lambda: shown(booted) == {first, second})
    assert json.loads(booted.run("rolecall", "check", "--json"))["good"]
    booted.run("rolecall", "keys", "rotate", "--emergency", "--yes")

    rewritten(SEALED.format("signing-key-2"))
    booted.start(also)
    booted.wait_for(ActiveState="active")
    assert json.loads(booted.get(URL, TOKEN))["Code"] == "Success"
    assert [(key["kid"], key["state"]) for key in keys(booted)] == [(second, "signing")]
    until(lambda: shown(booted) == {second})
    assert booted.run("grep", "-rl", "PRIVATE KEY", "/etc/rolecall", "/var/lib/rolecall", check=False) == ""


def sealed(there: Machine, name: str, with_key: str) -> tuple[str, str]:
    """Make a sealed key: its kid, and the line for the unit."""
    made = json.loads(
        there.run("rolecall", "keys", "new", "--seal", with_key, "--name", name, "--kind", "ec-p256", "--json")
    )
    assert facts(there, f"/etc/rolecall/{name}.cred") == ["root:root 600"]
    return made["kid"], made["unit"]


@pytest.fixture
def old(booted: Machine, rewritten: Callable[[str], None]) -> str:
    """An installation as it was before keys followed one another: its key and its site are root's. The key's id."""
    booted.run("sh", "-c", "rm -r /var/lib/rolecall/*")
    words = ("--kind", "ec-p256", "--directory", "/etc/rolecall", "--json")
    made = json.loads(booted.run("rolecall", "keys", "new", *words))
    booted.run("mv", made["file"], "/etc/rolecall/signing-key.pem")
    rewritten(SEALED.format("signing-key"))
    text = booted.read(CONFIGURATION).replace("/var/lib/rolecall/site", "/etc/rolecall/site")
    booted.write(CONFIGURATION, re.sub(r"^\[rotation\]\n(?:[^\[\n].*\n)+", "", text, flags=re.MULTILINE))
    booted.run("sh", "-c", "mkdir -p /run/credentials/rolecall.service /etc/rolecall/site")
    booted.run("cp", "/etc/rolecall/signing-key.pem", "/run/credentials/rolecall.service/signing-key")
    booted.run("rolecall", "publish")
    booted.run("rm", "-r", "/run/credentials/rolecall.service")
    serve_the_site(booted)
    return str(made["kid"])


def serve_the_site(there: Machine) -> None:
    """Let the web server show what [publishing] names."""
    there.run("systemctl", "stop", "sandbox.service")
    there.start_sandbox()


def test_an_installation_from_before_keys_followed_one_another_goes_on_and_can_move(booted: Machine, old: str) -> None:
    """As docs/install.md says under "From an earlier version"."""
    booted.start()
    booted.wait_for(ActiveState="failed", ExecMainStatus="2")
    assert "LoadCredential=" in booted.logged()

    drop_in = "LoadCredential=signing-key:/etc/rolecall/signing-key.pem"
    booted.start(drop_in)
    booted.wait_for(ActiveState="active")
    assert json.loads(booted.get(URL, TOKEN))["Code"] == "Success"
    assert [(key["kid"], key["state"]) for key in keys(booted)] == [(old, "signing")]
    assert {json.loads(line["MESSAGE"])["level"] for line in booted.journal()} == {"info"}

    booted.run("install", "-d", "-o", "rolecall", "-g", "rolecall", "-m", "700", KEYS)
    booted.run("cp", "-r", "/etc/rolecall/site", "/var/lib/rolecall/site")
    booted.run("chown", "-R", "rolecall:rolecall", "/var/lib/rolecall/site")
    text = booted.read(CONFIGURATION).replace("/etc/rolecall/site", "/var/lib/rolecall/site")
    own = f'custodian = "pem"\ndirectory = "{KEYS}"\n'
    booted.write(CONFIGURATION, f'{text}\n[key.next]\n{own}\n[rotation]\nstate = "{KEYS}"\n')
    serve_the_site(booted)
    booted.start(drop_in)
    booted.wait_for(ActiveState="active")
    until(lambda: [key["state"] for key in keys(booted)] == ["signing", "announced"])
    until(lambda: shown(booted) == {key["kid"] for key in keys(booted)})
    booted.run("rolecall", "keys", "rotate", "--emergency", "--yes")

    text = booted.read(CONFIGURATION)
    moved_there = text.replace(SEALED.format("signing-key"), f"[key]\n{own}").replace(f"[key.next]\n{own}", "")
    booted.write(CONFIGURATION, moved_there)
    booted.run("rm", "/etc/rolecall/signing-key.pem")
    booted.start()
    booted.wait_for(ActiveState="active")
    assert json.loads(booted.get(URL, TOKEN))["Code"] == "Success"
    (only,) = keys(booted)
    assert only["state"] == "signing"
    assert facts(booted, f"{KEYS}/{only['name']}") == ["rolecall:rolecall 600"]


def test_a_service_gets_its_role_by_a_drop_in(service: Machine) -> None:
    program = "import boto3; print('I am', boto3.client('sts').get_caller_identity()['Arn'])"
    environment = "Environment=AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_DEFAULT_REGION=eu-central-1"
    unit = f'[Service]\nType=oneshot\nUser=daemon\n{environment}\nExecStart=/usr/bin/agent-python -c "{program}"\n'
    service.write("/etc/systemd/system/backup.service", unit)
    drop_in = service.run("rolecall", "env", "backup", "--format", "systemd")
    assert service.run("cat", TOKEN) not in drop_in
    service.write("/etc/systemd/system/backup.service.d/rolecall.conf", drop_in)
    service.run("systemctl", "daemon-reload")
    service.run("systemctl", "start", "backup.service", check=False)  # what it says is looked at
    told = service.run("journalctl", "-u", "backup.service", "-o", "cat", "--no-pager")
    assert "I am arn:aws:sts::123456789012:assumed-role/backup/" in told


def test_it_stops_when_asked(service: Machine) -> None:
    service.run("systemctl", "stop", "rolecall.service")
    assert service.show("ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
