"""Can the agent live as the service that the unit makes of it?

The unit is read by systemd's own tools, and then run by systemd: see tests/live/machine.py.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.machine import Machine, machine

UNIT = Path(__file__).parents[2] / "systemd" / "rolecall.service"
TOKEN = "/etc/rolecall/tokens/backup"
URL = "http://127.0.0.1:9170/v1/credentials/backup"
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
    done = analyze("security", "--offline=true", "--no-pager", "--threshold=15", str(UNIT))
    assert done.returncode == 0, done.stdout
    found = re.search(r"exposure level for rolecall.service: ([0-9.]+)", done.stdout)
    assert found
    assert float(found[1]) <= 1.5


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


def test_it_serves_a_role_with_a_key_that_only_root_can_read(service: Machine) -> None:
    assert json.loads(service.get(URL, TOKEN))["Code"] == "Success"
    facts = service.run("stat", "-c", "%U:%G %a", "/etc/rolecall/signing-key.pem", TOKEN)
    assert facts.split("\n")[:2] == ["root:root 600", "root:rolecall 640"]
    assert service.run("ps", "-o", "user=", "-p", service.show("MainPID")["MainPID"]).strip() == "rolecall"


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
        service.run("systemctl", "start", "sandbox.service")
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
