"""Does the real kernel tell each client from every other, whatever users do with sockets and ports?"""

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from agent.callers import End
from agent.callers.kernel.sock_diag import SockDiag, line_to_the_kernel
from tests.unit.callers.kernel.world import ALICE, BOB, Puppet, Server, as_root

pytestmark = pytest.mark.long


@pytest.fixture
def kernel() -> Iterator[SockDiag]:
    kernel = SockDiag()
    yield kernel
    kernel.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def owner_uid(kernel: SockDiag, ends: tuple[End, End]) -> int | None:
    owner = kernel.owner(*ends)
    return None if owner is None else owner.uid


def test_the_socket_is_the_one_that_its_process_knows(kernel: SockDiag, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        owner = kernel.owner(*server.accept())
        assert owner is not None
        assert (owner.uid, owner.inode) == (os.geteuid(), os.fstat(client.fileno()).st_ino)


def test_nobody_is_at_an_end_that_is_not_there(kernel: SockDiag, server: Server) -> None:
    assert kernel.owner(("127.0.0.1", 1), ("127.0.0.1", server.port)) is None


def test_whoever_listens_on_the_clients_port_is_not_the_client(kernel: SockDiag, server: Server) -> None:
    """The kernel answers with a listener where there is no connection."""
    assert kernel.owner(("127.0.0.1", server.port), ("127.0.0.1", 9)) is None


def test_a_client_that_has_ended_its_side_is_still_there(kernel: SockDiag, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        ends = server.accept()
        client.shutdown(socket.SHUT_WR)
        assert owner_uid(kernel, ends) == os.geteuid()


@pytest.mark.parametrize("ended_first", ["the client", "we"])
def test_a_client_that_has_closed_is_nobody(kernel: SockDiag, server: Server, ended_first: str) -> None:
    client = socket.create_connection(("127.0.0.1", server.port))
    ends = server.accept()
    if ended_first == "we":
        server.accepted[0].close()
    client.close()
    assert kernel.owner(*ends) is None


def test_what_is_left_of_a_connection_that_we_have_ended_is_nobodys(kernel: SockDiag, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        ends = server.accept()
        server.accepted[0].close()
        assert kernel.owner(*ends) is None


@pytest.mark.parametrize("here", ["::1", "::ffff:127.0.0.1"])
def test_ipv6_is_asked_about_as_well(kernel: SockDiag, here: str) -> None:
    with Server("::") as server, socket.socket(socket.AF_INET6) as client:
        client.connect((here, server.port))
        assert owner_uid(kernel, server.accept()) == os.geteuid()


def test_a_client_of_ipv4_at_a_listener_of_both_is_asked_about(kernel: SockDiag) -> None:
    with Server("::") as server, socket.create_connection(("127.0.0.1", server.port)):
        ends = server.accept()
        assert ends[0][0] == "::ffff:127.0.0.1"
        assert owner_uid(kernel, ends) == os.geteuid()


def test_a_client_of_ipv6_at_a_listener_of_ipv4_is_asked_about(kernel: SockDiag, server: Server) -> None:
    with socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", server.port))
        assert owner_uid(kernel, server.accept()) == os.geteuid()


def test_a_client_of_multipath_tcp_is_asked_about(kernel: SockDiag, server: Server) -> None:
    try:
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    except OSError:
        pytest.skip("this kernel has no multipath TCP")
    with client:
        client.connect(("127.0.0.1", server.port))
        assert owner_uid(kernel, server.accept()) == os.geteuid()


def test_a_client_bound_to_an_interface_is_nobody(kernel: SockDiag, server: Server) -> None:
    """Only such sockets can have the same two ends as another, so which one calls cannot be told."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        client.connect(("127.0.0.1", server.port))
        assert kernel.owner(*server.accept()) is None


def test_the_line_takes_no_place_in_programs_that_we_start() -> None:
    with line_to_the_kernel() as line:
        assert not line.get_inheritable()


# Real users.


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@as_root
def test_each_user_is_told_from_the_other(kernel: SockDiag, server: Server) -> None:
    with Puppet(ALICE) as alice, Puppet(BOB) as bob:
        for puppet, uid in ((alice, ALICE), (bob, BOB)):
            puppet.do(f"client = connected('127.0.0.1', {server.port})")
            assert owner_uid(kernel, server.accept()) == uid


@as_root
def test_who_exits_is_nobody(kernel: SockDiag, server: Server) -> None:
    with Puppet(ALICE) as alice:
        alice.do(f"client = connected('127.0.0.1', {server.port})")
    assert kernel.owner(*server.accept()) is None


@as_root
def test_a_port_used_again_at_once_by_another_user_is_his(kernel: SockDiag, server: Server) -> None:
    with Puppet(ALICE) as alice, Puppet(BOB) as bob:
        alice.do(f"client = connected('127.0.0.1', {server.port}, source=0); answer = client.getsockname()[1]")
        port = server.accept()[0][1]
        for again in range(100):
            puppet, uid, other = ((bob, BOB, alice), (alice, ALICE, bob))[again % 2]
            other.do("reset(client)")
            puppet.do(f"client = connected('127.0.0.1', {server.port}, source={port})")
            assert owner_uid(kernel, server.accept()) == uid


@as_root
def test_a_connection_whose_place_another_has_taken_is_dead_at_our_end(kernel: SockDiag, server: Server) -> None:
    """So whoever answers asks whether its own end still lives, after it has asked who is at the other."""
    with Puppet(ALICE) as alice, Puppet(BOB) as bob:
        alice.do(f"client = connected('127.0.0.1', {server.port}, source=0); client.send(b'x')")
        source = alice.do("answer = client.getsockname()[1]; reset(client)")
        bob.do(f"client = connected('127.0.0.1', {server.port}, source={source})")
        ends = server.accept()
        assert server.accepted[0].recv(1, socket.MSG_DONTWAIT) == b"x"
        assert owner_uid(kernel, ends) == BOB
        assert server.accepted[0].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
        assert owner_uid(kernel, server.accept()) == BOB
        assert server.accepted[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@as_root
def test_a_socket_handed_to_another_user_stays_its_makers(kernel: SockDiag, server: Server) -> None:
    name = f"\\0rolecall-{os.getpid()}"
    with Puppet(ALICE) as alice, Puppet(BOB) as bob:
        bob.do(f"waiting = socket.socket(socket.AF_UNIX); waiting.bind('{name}'); waiting.listen()")
        alice.do(f"client = connected('127.0.0.1', {server.port})")
        alice.do(
            f"to = socket.socket(socket.AF_UNIX); to.connect('{name}'); socket.send_fds(to, [b'x'], [client.fileno()])"
        )
        bob.do("came, _ = waiting.accept(); client = socket.socket(fileno=socket.recv_fds(came, 1, 1)[1][0])")
        alice.do("client.close()")
        ends = server.accept()
        assert owner_uid(kernel, ends) == ALICE
        bob.do("client.send(b'hello')")
        assert server.accepted[0].recv(5) == b"hello"


@as_root
def test_a_socket_stays_its_makers_when_the_maker_becomes_another_user(kernel: SockDiag, server: Server) -> None:
    with Puppet(0) as root:
        root.do(f"client = connected('127.0.0.1', {server.port})")
        root.do(f"os.setresuid({ALICE}, {ALICE}, {ALICE})")
        assert owner_uid(kernel, server.accept()) == 0
        root.do(f"client = connected('127.0.0.1', {server.port})")
        assert owner_uid(kernel, server.accept()) == ALICE


@as_root
def test_root_of_a_users_own_namespace_is_that_user(kernel: SockDiag, server: Server) -> None:
    dumpable, new_user = 4, 0x10000000
    with Puppet(ALICE) as alice:
        if alice.do(f"answer = libc.prctl({dumpable}, 1) or libc.unshare({new_user})"):
            pytest.skip("this machine lets nobody make a user namespace")
        alice.do(f"open('/proc/self/uid_map', 'w').write('0 {ALICE} 1')")
        assert alice.do("answer = os.getuid()") == 0
        alice.do(f"client = connected('127.0.0.1', {server.port})")
        assert owner_uid(kernel, server.accept()) == ALICE


@as_root
def test_who_listens_on_a_port_that_another_calls_from_is_not_the_caller(kernel: SockDiag, server: Server) -> None:
    with Puppet(ALICE) as alice, Puppet(BOB) as bob:
        alice.do(f"client = connected('127.0.0.1', {server.port}, source=0); answer = client.getsockname()[1]")
        ends = server.accept()
        assert owner_uid(kernel, ends) == ALICE
        alice.do("reset(client)")
        bob.do("waiting = socket.socket(); waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)")
        bob.do(f"waiting.bind(('127.0.0.1', {ends[0][1]})); waiting.listen()")
        assert kernel.owner(*ends) is None


@as_root
def test_only_root_can_give_a_socket_away(kernel: SockDiag, server: Server) -> None:
    with Puppet(ALICE) as alice, Puppet(0) as root:
        alice.do(f"client = connected('127.0.0.1', {server.port})")
        ends = server.accept()
        with pytest.raises(PermissionError):
            alice.do(f"os.fchown(client.fileno(), {BOB}, -1)")
        assert owner_uid(kernel, ends) == ALICE
        root.do(f"client = connected('127.0.0.1', {server.port}); os.fchown(client.fileno(), {BOB}, -1)")
        assert owner_uid(kernel, server.accept()) == BOB


@as_root
def test_users_who_share_a_port_are_told_apart(kernel: SockDiag) -> None:
    """SO_REUSEPORT lets two sockets of one user have a port; SO_REUSEADDR those of two users, to different servers."""
    with Server() as one, Server() as two, Puppet(ALICE) as alice, Puppet(BOB) as bob:
        alice.do(f"client = connected('127.0.0.1', {one.port}, source=0)")
        alice.do("reset(client)")
        source = one.accept()[0][1]
        alice.do(f"client = connected('127.0.0.1', {one.port}, source={source})")
        bob.do(f"client = connected('127.0.0.1', {two.port}, source={source})")
        assert (owner_uid(kernel, one.accept()), owner_uid(kernel, two.accept())) == (ALICE, BOB)


@as_root
def test_nobody_can_have_the_two_ends_that_another_has(server: Server) -> None:
    with Puppet(ALICE) as alice, Puppet(BOB) as bob:
        alice.do(f"client = connected('127.0.0.1', {server.port}, source=0)")
        alice.do("reset(client)")
        source = server.accept()[0][1]
        alice.do(f"client = connected('127.0.0.1', {server.port}, source={source})")
        with pytest.raises(OSError, match=r"assign|in use"):
            bob.do(f"client = connected('127.0.0.1', {server.port}, source={source})")


@as_root
@pytest.mark.skipif(shutil.which("ip") is None, reason="no ip here to join two networks with")
def test_a_socket_of_another_network_is_nobodys(kernel: SockDiag) -> None:
    with Puppet(ALICE, inside=("unshare", "--net")) as alice:
        alice.do("answer = os.getpid()")  # by now it is there
        try:
            ip("link", "add", "rolecalltest0", "type", "veth", "peer", "name", "eth0", "netns", str(alice.pid))
        except subprocess.CalledProcessError:
            pytest.skip("this kernel has no veth")
        try:
            ip("addr", "add", "203.0.113.1/30", "dev", "rolecalltest0")
            ip("link", "set", "rolecalltest0", "up")
            inside = ("nsenter", "--net", "--target", str(alice.pid), "ip")
            subprocess.run([*inside, "addr", "add", "203.0.113.2/30", "dev", "eth0"], check=True)
            subprocess.run([*inside, "link", "set", "eth0", "up"], check=True)
            with Server("203.0.113.1") as server:
                alice.do(f"client = connected('203.0.113.1', {server.port})")
                ends = server.accept()
                assert ends[0][0] == "203.0.113.2"
                assert kernel.owner(*ends) is None
        finally:
            ip("link", "delete", "rolecalltest0")


@as_root
def test_a_socket_made_before_its_process_moved_to_another_network_is_found(kernel: SockDiag, server: Server) -> None:
    with Puppet(0) as root, Puppet(0, inside=("unshare", "--net")) as elsewhere:
        root.do(f"client = connected('127.0.0.1', {server.port})")
        root.do(f"there = os.open('/proc/{elsewhere.pid}/ns/net', os.O_RDONLY); answer = libc.setns(there, 0)")
        assert owner_uid(kernel, server.accept()) == 0


def test_among_hundreds_of_sockets_each_is_found(kernel: SockDiag, server: Server) -> None:
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(400)]
    try:
        for client in clients:
            owner = kernel.owner(*server.accept())
            assert owner is not None
            assert owner.inode == os.fstat(client.fileno()).st_ino
    finally:
        for client in clients:
            client.close()
