"""Are callers recognised where a real systemd runs, and from within the sandbox that the agent's unit is?"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.machine import Machine, machine

pytestmark = pytest.mark.long

#: Tells each caller what the kernel says of it.
_TELLER = """
import json, socket
from agent.callers.kernel import KernelRecogniser, Patterns, probe
from agent.clock import SystemClock

sight = probe()
recogniser = KernelRecogniser(SystemClock(), Patterns(units=("backup@*.service",), user_units=("w*",)))
with socket.create_server(("127.0.0.1", 9999)) as listening:
    while True:
        client, peer = listening.accept()
        facts = sorted(recogniser.recognise(peer, client.getsockname()).facts)
        told = {"facts": facts, "users": sight.users, "units": sight.units}
        client.sendall(json.dumps(told | {"wanting": [one.what for one in sight.wanting]}).encode())
        client.close()
"""

#: As confined as the agent: what of its unit could keep it from asking the kernel, or from seeing control groups.
_CONFINED = """\
[Service]
ExecStart=/usr/bin/agent-python /etc/teller.py
User=nobody
{confined}
"""

_ASK = ("bash", "-c", "cat < /dev/tcp/127.0.0.1/9999")

ALICE = 54_001


def confinement(host: Machine) -> str:
    """The lines of the agent's own unit that confine it."""
    lines = host.read("/etc/systemd/system/rolecall.service").splitlines()
    telling = ("Restrict", "Protect", "Private", "SystemCall", "NoNew", "Capability", "Lock", "Memory", "Proc")
    return "\n".join(line for line in lines if line.startswith(telling))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as host:
        host.run("useradd", "--uid", str(ALICE), "--create-home", "alice")
        host.write("/etc/teller.py", _TELLER)
        host.write("/etc/systemd/system/teller.service", _CONFINED.format(confined=confinement(host)))
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "start", "teller.service")
        host.run("bash", "-c", "for n in $(seq 100); do (: < /dev/tcp/127.0.0.1/9999) && exit; sleep .1; done; exit 1")
        yield host


def told(host: Machine, *how: str) -> dict[str, Any]:
    """What is told to a caller that systemd runs so."""
    answer = json.loads(host.run(*how, *_ASK))
    assert isinstance(answer, dict)
    return answer


def facts(host: Machine, *how: str) -> set[tuple[str, str]]:
    return {(name, value) for name, value in told(host, *how)["facts"]}


def as_unit(unit: str, *more: str) -> tuple[str, ...]:
    return ("systemd-run", "--quiet", "--wait", "--pipe", f"--unit={unit}", *more, "--")


def test_from_within_the_sandbox_of_its_unit_the_agent_sees_users_and_units(host: Machine) -> None:
    answer = told(host, *as_unit("any.service"))
    assert (answer["users"], answer["units"], answer["wanting"]) == (True, True, [])


def test_a_service_is_its_unit_in_its_slice(host: Machine) -> None:
    assert facts(host, *as_unit("web.service", f"--uid={ALICE}")) == {
        ("unix.uid", str(ALICE)),
        ("systemd.unit", "web.service"),
        ("systemd.slice", "system.slice"),
    }


def test_an_instance_of_a_template_is_in_the_slice_of_the_template(host: Machine) -> None:
    host.write(
        "/etc/systemd/system/backup@.service", f"[Service]\nExecStart={' '.join(_ASK[:2])} '{_ASK[2]} > /run/%i'\n"
    )
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "start", "--wait", "backup@daily.service")
    answer = {(name, value) for name, value in json.loads(host.read("/run/daily"))["facts"]}
    assert answer == {
        ("unix.uid", "0"),
        ("systemd.unit", "backup@daily.service"),
        ("systemd.unit.like", "backup@*.service"),
        ("systemd.instance", "daily"),
        ("systemd.slice", "system.slice"),
        ("systemd.slice", "system-backup.slice"),
    }


def test_a_scope_is_a_unit(host: Machine) -> None:
    how = ("systemd-run", "--quiet", "--scope", "--unit=by-hand.scope", "--slice=a-b.slice", "--")
    assert facts(host, *how) == {
        ("unix.uid", "0"),
        ("systemd.unit", "by-hand.scope"),
        ("systemd.slice", "a.slice"),
        ("systemd.slice", "a-b.slice"),
    }


def test_a_user_that_is_made_for_the_service_alone_is_told(host: Machine) -> None:
    answer = dict(facts(host, *as_unit("passing.service", "-p", "DynamicUser=yes")))
    assert (answer["systemd.unit"], int(answer["unix.uid"]) in range(61_184, 65_520)) == ("passing.service", True)


def test_a_service_that_starts_again_is_recognised_at_once(host: Machine) -> None:
    for _ in range(3):
        assert ("systemd.unit", "again.service") in facts(host, *as_unit("again.service"))


def test_a_units_own_groups_belong_to_it_whatever_they_are_called(host: Machine) -> None:
    script = (
        "own=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); mkdir -p $own/system.slice/backup@daily.service;"
        f"echo $$ > $own/system.slice/backup@daily.service/cgroup.procs; {_ASK[2]}"
    )
    how = as_unit("forger.service", "-p", "Delegate=yes", f"--uid={ALICE}")
    answer = json.loads(host.run(*how, "bash", "-c", script))
    assert ["systemd.unit", "forger.service"] in answer["facts"]
    assert "backup" not in json.dumps(answer["facts"])


def test_a_users_own_service_is_one_of_that_users_alone(host: Machine) -> None:
    host.run("systemctl", "start", f"user@{ALICE}.service")
    environ = ("env", f"XDG_RUNTIME_DIR=/run/user/{ALICE}")
    as_alice = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICE}", "--clear-groups", *environ)
    run = ("systemd-run", "--user", "--quiet", "--wait", "--pipe", "--unit=web.service", "--")
    answer = facts(host, *as_alice, *run)
    assert answer == {
        ("unix.uid", str(ALICE)),
        ("systemd.unit", f"user@{ALICE}.service"),
        ("systemd.instance", str(ALICE)),
        ("systemd.user_unit", "web.service"),
        ("systemd.user_unit.like", "w*"),
        ("systemd.slice", "user.slice"),
        ("systemd.slice", f"user-{ALICE}.slice"),
    }
