"""Does an answer with a hop limit of one stay on this side of the first router?"""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("ip") is None, reason="wants root and ip (iproute2) to make networks"
    ),
]

SERVER = """
import sys
from agent.web.sockets import opened
listening = opened(("10.199.2.2", 80), hops=int(sys.argv[1]))
listening.setblocking(True)
print("open", flush=True)
while True:
    accepted, _ = listening.accept()
    accepted.sendall(b"hello")
    accepted.close()
"""

CLIENT = """
import socket
try:
    with socket.create_connection(("10.199.2.2", 80), timeout=1.5) as connection:
        connection.sendall(b"hello?")
        print(connection.recv(10).decode())
except TimeoutError:
    print("nothing")
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def routed() -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Ways into three networks: a machine's own, a router's, and a container's behind it."""
    mark = secrets.token_hex(3)
    server, router, client = names = [f"{who}-{mark}" for who in ("machine", "router", "guest")]
    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        for number, (inside, other) in enumerate(((client, router), (server, router)), 1):
            here, there = f"a{number}{mark}", f"b{number}{mark}"
            ip("link", "add", here, "netns", inside, "type", "veth", "peer", "name", there, "netns", other)
            for name, link, host in ((inside, here, 2), (other, there, 1)):
                ip("-n", name, "addr", "add", f"10.199.{number}.{host}/24", "dev", link)
                ip("-n", name, "link", "set", link, "up")
            ip("-n", inside, "route", "add", "default", "via", f"10.199.{number}.1")
        into = [["ip", "netns", "exec", name] for name in names]
        forward = "open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')"
        subprocess.run([*into[1], sys.executable, "-c", forward], check=True)
        yield into[0], into[1], into[2]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.mark.parametrize(("hops", "far", "near"), [(0, "hello", "hello"), (1, "nothing", "hello")])
def test_a_guest_behind_a_router_gets_nothing_and_the_machine_itself_does(
    routed: tuple[list[str], list[str], list[str]], hops: int, far: str, near: str
) -> None:
    machine, _, guest = routed
    program = [*machine, sys.executable, "-c", SERVER, str(hops)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "open\n"
            heard = [
                subprocess.run([*who, sys.executable, "-c", CLIENT], capture_output=True, text=True, check=True).stdout
                for who in (guest, machine)
            ]
        finally:
            server.kill()
    assert heard == [f"{far}\n", f"{near}\n"]
