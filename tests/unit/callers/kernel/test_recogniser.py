"""Are callers recognised by what they are, each as itself, at next to no cost, and nobody as root by mistake?"""

import errno
import os
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest

from agent.callers import NOTHING_KNOWN, Origin
from agent.callers.kernel import KernelRecogniser, Patterns
from agent.callers.kernel.sock_diag import Owner, SockDiag
from tests.fakes.clock import FakeClock
from tests.unit.callers.kernel.world import ALICE, BOB, Groups, Puppet, Server, as_root, groups

SELF = ("unix.uid", str(os.geteuid()))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def recogniser(clock: FakeClock) -> Iterator[KernelRecogniser]:
    with KernelRecogniser(clock, Patterns(units=("*@*.service",), user_units=("web*",))) as recogniser:
        yield recogniser


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def made() -> Iterator[Groups]:
    with groups() as made:
        yield made


class Saying(SockDiag):
    """A kernel that says what a test says."""

    said: Owner | OSError | None = None

    def owner(self, client: tuple[str, int], server: tuple[str, int]) -> Owner | None:  # noqa: ARG002 - the shape of it
        if isinstance(self.said, OSError):
            raise self.said
        return self.said


@pytest.fixture
def kernel(recogniser: KernelRecogniser) -> Saying:
    recogniser._kernel = kernel = Saying()
    return kernel


def of(recogniser: KernelRecogniser, port: int = 40_000) -> Origin:
    return recogniser.recognise(("127.0.0.1", port), ("127.0.0.1", 9170))


def test_a_caller_of_our_own_is_recognised(recogniser: KernelRecogniser, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        origin = recogniser.recognise(*server.accept())
    assert SELF in origin.facts
    assert (origin.address, origin.local, origin.ends, origin.socket) == ("127.0.0.1", "127.0.0.1", None, 0)


def test_of_a_caller_that_has_gone_nothing_is_known(recogniser: KernelRecogniser, server: Server) -> None:
    socket.create_connection(("127.0.0.1", server.port)).close()
    assert recogniser.recognise(*server.accept()).facts == NOTHING_KNOWN


def test_connections_of_the_same_caller_share_an_origin(recogniser: KernelRecogniser, server: Server) -> None:
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    assert len({recogniser.recognise(*server.accept()) for _ in clients}) == 1
    for client in clients:
        client.close()


def test_strangers_share_an_origin_too_for_each_address(recogniser: KernelRecogniser, kernel: Saying) -> None:
    kernel.said = None
    assert of(recogniser) is of(recogniser, 40_001)
    assert of(recogniser) is not recogniser.recognise(("10.0.0.2", 40_000), ("10.0.0.1", 9170))


def test_who_hides_is_the_same_stranger_from_every_address_of_loopback(
    recogniser: KernelRecogniser, server: Server
) -> None:  # or each would be another caller, with a share of his own
    origins = set()
    for source in ("127.0.0.1", "127.1.2.3", "127.255.255.254"):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            client.bind((source, 0))
            client.connect(("127.0.0.1", server.port))
            origins.add(recogniser.recognise(*server.accept()))
    (origin,) = origins
    assert (origin.address, origin.facts) == ("127.0.0.1", NOTHING_KNOWN)


def test_users_and_groups_do_not_share_one(recogniser: KernelRecogniser, kernel: Saying) -> None:
    origins = set()
    for said in (Owner(1000, 7, 0), Owner(1001, 7, 0), Owner(1000, 7, 1), None):
        kernel.said = said
        origins.add(of(recogniser))
    assert len(origins) == 4


def test_an_origin_outlives_the_moment_for_which_its_group_is_taken_to_be_there(
    recogniser: KernelRecogniser, kernel: Saying, clock: FakeClock
) -> None:
    kernel.said = Owner(1000, 7, 1)
    first = of(recogniser)
    clock.suspend(timedelta(seconds=5))
    assert of(recogniser) is first


def test_where_sockets_are_wanted_each_connection_has_its_own_origin(clock: FakeClock, server: Server) -> None:
    with (
        KernelRecogniser(clock, want_sockets=True) as recogniser,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        ends = server.accept()
        origin, other = recogniser.recognise(*ends), recogniser.recognise(*ends)
        assert origin is not other
        assert origin.socket == os.fstat(client.fileno()).st_ino
        assert origin.ends is None  # or it would be looked for in containers as well
        assert SELF in origin.facts


def test_where_sockets_are_wanted_a_stranger_has_none(clock: FakeClock) -> None:
    with KernelRecogniser(clock, want_sockets=True) as recogniser:
        origin = of(recogniser, 1)
    assert (origin.ends, origin.socket, origin.facts) == (None, 0, NOTHING_KNOWN)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOBUFS, errno.EAGAIN, errno.EMFILE])
def test_a_kernel_that_cannot_be_asked_is_no_reason_to_fail(
    recogniser: KernelRecogniser, kernel: Saying, number: int
) -> None:
    kernel.said = OSError(number, os.strerror(number))
    assert of(recogniser).facts == NOTHING_KNOWN
    kernel.said = Owner(1000, 7, 0)
    assert of(recogniser).facts == {("unix.uid", "1000")}


def test_a_broken_line_to_the_kernel_is_not_noticed(recogniser: KernelRecogniser, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        ends = server.accept()
        recogniser.recognise(*ends)
        assert recogniser._kernel._line is not None
        os.close(recogniser._kernel._line.detach())
        assert SELF in recogniser.recognise(*ends).facts


def test_after_its_end_it_can_still_be_asked(recogniser: KernelRecogniser, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        ends = server.accept()
        recogniser.close()
        assert SELF in recogniser.recognise(*ends).facts


def test_the_id_that_stands_for_all_users_that_are_not_here_is_no_user(
    recogniser: KernelRecogniser, kernel: Saying
) -> None:
    recogniser._meaningless = 65_534
    kernel.said = Owner(65_534, 7, 0)
    assert of(recogniser).facts == NOTHING_KNOWN


def test_where_all_users_are_here_nobody_is_a_user(recogniser: KernelRecogniser, kernel: Saying) -> None:
    recogniser._meaningless = None
    kernel.said = Owner(65_534, 7, 0)
    assert of(recogniser).facts == {("unix.uid", "65534")}


def test_no_more_callers_are_remembered_than_there_is_room_for(recogniser: KernelRecogniser, kernel: Saying) -> None:
    for uid in range(10_000):
        kernel.said = Owner(uid, 7, 0)
        assert of(recogniser).facts == {("unix.uid", str(uid))}
    assert len(recogniser._known) == 4_096


def test_what_could_not_be_found_out_this_time_is_not_remembered(
    recogniser: KernelRecogniser, kernel: Saying, clock: FakeClock, made: Groups
) -> None:
    for number in range(2_000):  # more than this user can have us look for
        kernel.said = Owner(ALICE, 7, (1 << 40) + number)
        of(recogniser)
    kernel.said = Owner(ALICE, 7, made.make("web@1.service").stat().st_ino)
    assert of(recogniser).facts == {("unix.uid", str(ALICE))}
    clock.suspend(timedelta(seconds=0.5))
    assert ("systemd.unit", "web@1.service") in of(recogniser).facts


# Real users in real control groups.


@as_root
def test_a_service_is_recognised_by_user_unit_instance_and_slices(
    recogniser: KernelRecogniser, server: Server, made: Groups
) -> None:
    group = made.make("system-backup.slice/backup@daily.service")
    with Puppet(ALICE, group) as alice:
        alice.do(f"client = connected('127.0.0.1', {server.port})")
        origin = recogniser.recognise(*server.accept())
    assert origin.facts == {
        ("unix.uid", str(ALICE)),
        ("systemd.slice", made.name),
        ("systemd.slice", "system-backup.slice"),
        ("systemd.unit", "backup@daily.service"),
        ("systemd.unit.like", "*@*.service"),
        ("systemd.instance", "daily"),
    }


@as_root
def test_a_users_service_is_one_of_that_users(recogniser: KernelRecogniser, server: Server, made: Groups) -> None:
    group = made.make(f"user@{ALICE}.service/app.slice/web-1.service/backup.service")
    with Puppet(ALICE, group) as alice:
        alice.do(f"client = connected('127.0.0.1', {server.port})")
        facts = recogniser.recognise(*server.accept()).facts
    assert {(name, value) for name, value in facts if "unit" in name} == {
        ("systemd.unit", f"user@{ALICE}.service"),
        ("systemd.unit.like", "*@*.service"),
        ("systemd.user_unit", "web-1.service"),
        ("systemd.user_unit.like", "web*"),
    }


@as_root
def test_users_of_one_unit_and_units_of_one_user_are_told_apart(
    recogniser: KernelRecogniser, server: Server, made: Groups
) -> None:
    groups = [made.make(f"{name}.service") for name in ("one", "two")]
    seen = set()
    for uid in (ALICE, BOB):
        for group in groups:
            with Puppet(uid, group) as puppet:
                puppet.do(f"client = connected('127.0.0.1', {server.port})")
                facts = dict(recogniser.recognise(*server.accept()).facts)
            seen.add((facts["unix.uid"], facts["systemd.unit"]))
    assert len(seen) == 4


@as_root
def test_a_socket_belongs_to_the_group_in_which_it_was_made(
    recogniser: KernelRecogniser, server: Server, made: Groups
) -> None:
    one, two = made.make("one.service"), made.make("two.service")
    with Puppet(0, one) as puppet:
        puppet.do(f"first = connected('127.0.0.1', {server.port}); early = socket.socket()")
        ends = server.accept()
        puppet.do(f"open('{two}/cgroup.procs', 'w').write('0')")
        assert ("systemd.unit", "one.service") in recogniser.recognise(*ends).facts
        puppet.do(f"early.connect(('127.0.0.1', {server.port}))")
        assert ("systemd.unit", "one.service") in recogniser.recognise(*server.accept()).facts
        puppet.do(f"later = connected('127.0.0.1', {server.port})")
        assert ("systemd.unit", "two.service") in recogniser.recognise(*server.accept()).facts


@as_root
def test_a_unit_that_has_gone_is_no_callers_unit_a_moment_later(
    recogniser: KernelRecogniser, server: Server, clock: FakeClock, made: Groups
) -> None:
    one, two = made.make("one.service"), made.make("two.service")
    with Puppet(0, one) as puppet:
        puppet.do("kept = [socket.socket() for _ in range(2)]")
        puppet.do(f"kept[0].connect(('127.0.0.1', {server.port}))")
        assert ("systemd.unit", "one.service") in recogniser.recognise(*server.accept()).facts
        puppet.do(f"open('{two}/cgroup.procs', 'w').write('0')")
        made.remove("one.service")
        clock.suspend(timedelta(seconds=1))
        puppet.do(f"kept[1].connect(('127.0.0.1', {server.port}))")
        assert recogniser.recognise(*server.accept()).facts == {("unix.uid", "0")}


@as_root
def test_a_unit_that_starts_again_is_itself_at_once(recogniser: KernelRecogniser, server: Server, made: Groups) -> None:
    for _ in range(3):
        with Puppet(ALICE, made.make("one.service")) as puppet:
            puppet.do(f"client = connected('127.0.0.1', {server.port})")
            assert ("systemd.unit", "one.service") in recogniser.recognise(*server.accept()).facts
        made.remove("one.service")
