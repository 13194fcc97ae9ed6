"""Can the agent, as the service that it is, do what callers in containers need?

The drop-in is read by systemd's own tools, and then lived in: see tests/live/machine.py.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.machine import CONFIGURATION, Machine, machine

SYSTEMD = Path(__file__).parents[2] / "systemd"
DROP_IN = "rolecall.service.d/containers.conf"

#: Runs within the unit's sandbox, as its user: asks the kernel in the network namespace of a process of root's.
_PROBE = """
import asyncio, json, os
from pathlib import Path
from agent.callers.containers.held import by_namespace
from agent.callers.containers.process import inode
from agent.callers.containers.shapes import Running
from agent.callers.kernel.sock_diag import SockDiag

class Engine:
    async def inspect(self, identity):
        pid = int(Path("/run/other.pid").read_text())
        return Running(identity, "web", pid, "", f"/proc/{pid}/ns/net")

async def main():
    container = await by_namespace(Engine(), "a" * 64, SockDiag, inode("/proc/self/ns/net"))
    told = {"user": os.getuid(), "alive": container.alive, "line": container.line is not None}
    print(json.dumps(told | {"stranger": container.owner(("127.0.0.1", 1), ("127.0.0.1", 2))}))

asyncio.run(main())
"""

#: What has a network of its own.
_OTHER = """\
[Service]
ExecStart=/bin/sleep infinity
PrivateNetwork=yes
"""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_has_nothing_to_say_about_the_drop_in(tmp_path: Path) -> None:
    unit = (SYSTEMD / "rolecall.service").read_text()
    (tmp_path / "rolecall.service").write_text(unit.replace("ExecStart=/usr/bin/rolecall ", "ExecStart=/bin/true "))
    there = tmp_path / DROP_IN
    there.parent.mkdir()
    there.write_text((SYSTEMD / "rolecall-containers.conf").read_text())
    assert _verified(tmp_path) == ""
    there.write_text(there.read_text() + "RestrictNamespace=net\n")
    assert "RestrictNamespace" in _verified(tmp_path)


def _verified(folder: Path) -> str:
    words = ["systemd-analyze", "verify", "--man=no", str(folder / "rolecall.service")]
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:"}
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=50, check=False).stderr


@pytest.mark.long
def test_the_service_listens_where_sdks_look_and_sees_into_namespaces(tmp_path: Path) -> None:
    with machine(tmp_path) as there:
        there.write(f"/etc/systemd/system/{DROP_IN}", (SYSTEMD / "rolecall-containers.conf").read_text())
        there.write("/etc/rolecall/probe.py", _PROBE)
        there.write("/etc/systemd/system/other.service", _OTHER)
        there.run("systemctl", "daemon-reload")
        there.run("systemctl", "start", "other.service")
        there.run("sh", "-c", "systemctl show -P MainPID other.service > /run/other.pid")
        words = '[containers]\nengine = "docker"\nsocket = "/run/no-engine.sock"\n'
        there.write(CONFIGURATION, f"{there.read(CONFIGURATION)}\n{words}")
        probe = "ExecStartPre=/usr/bin/agent-python /etc/rolecall/probe.py\nStandardOutput=journal"
        there.start(probe)
        there.wait_for(ActiveState="active", SubState="running")
        told = [json.loads(line) for line in there.logged().splitlines() if line.startswith('{"user"')]
        assert told == [{"user": _user(there), "alive": True, "line": True, "stranger": None}], there.logged()
        for address in ("169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"):
            asked = f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' 'http://{address}/v1/credentials/backup'"
            assert there.run("sh", "-c", asked) == "401", there.logged()
        token = (
            'curl -s -m 5 -H "Authorization: $(cat /etc/rolecall/tokens/backup)" http://169.254.170.2/v1/credentials'
        )
        assert '"Code":"Success"' in there.run("sh", "-c", token)


def _user(there: Machine) -> int:
    return int(there.run("id", "-u", "rolecall"))
