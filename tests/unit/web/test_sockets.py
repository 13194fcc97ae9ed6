import socket

import pytest

from agent.errors import ListenerUnavailable
from agent.web import sockets


def test_a_free_port_is_found_and_named() -> None:
    with sockets.opened(("127.0.0.1", 0)) as listening:
        host, port = sockets.address_of(listening)
        assert host == "127.0.0.1"
        with socket.create_connection((host, port)):
            assert listening.gettimeout() == 0


def test_a_herd_finds_room_to_wait() -> None:
    with sockets.opened(("127.0.0.1", 0)) as listening:
        clients = [socket.create_connection(sockets.address_of(listening), timeout=1) for _ in range(500)]
        for client in clients:
            client.close()


def test_a_socket_that_is_open_already_is_taken_as_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        assert sockets.opened(given) is given
        assert given.gettimeout() == 0


def test_what_linux_hands_down_is_set_once() -> None:
    with sockets.opened(("127.0.0.1", 0)) as listening:
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize(
    ("host", "level", "option"),
    [
        ("127.0.0.1", socket.IPPROTO_IP, socket.IP_TTL),
        ("::1", socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
    ],
)
def test_what_is_sent_goes_as_far_as_it_is_let(host: str, level: int, option: int) -> None:
    with sockets.opened((host, 0)) as usual, sockets.opened((host, 0), hops=1) as near:
        assert usual.getsockopt(level, option) > 1
        assert near.getsockopt(level, option) == 1
        with socket.create_connection(sockets.address_of(near)) as client:
            client.sendall(b"hello")
            near.settimeout(5)
            accepted, _ = near.accept()
            with accepted:
                assert accepted.getsockopt(level, option) == 1


def test_both_kinds_of_loopback_may_have_the_same_port() -> None:
    with sockets.opened(("127.0.0.1", 0)) as four:
        port = sockets.address_of(four)[1]
        with sockets.opened(("::1", port)) as six:
            assert sockets.address_of(six) == ("::1", port)


def test_a_taken_port_is_refused_in_one_sentence_with_what_to_do() -> None:
    with sockets.opened(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(ListenerUnavailable) as refused:
            sockets.opened(("127.0.0.1", port))
    assert refused.value.what == f"cannot listen on 127.0.0.1:{port}: something listens there already"
    assert "ss -ltnp" in refused.value.hint


@pytest.mark.parametrize(
    ("address", "what"),
    [
        (("192.0.2.1", 0), "cannot listen on 192.0.2.1:0: that is no address of this machine"),
        (("2001:db8::1", 9170), "cannot listen on [2001:db8::1]:9170: "),
        (("127.0.0.1", 70000), "cannot listen on 127.0.0.1:70000: "),
        (("no address", 9170), "cannot listen on no address:9170: "),
    ],
)
def test_what_cannot_be_listened_on_is_named(address: tuple[str, int], what: str) -> None:
    with pytest.raises(ListenerUnavailable) as refused:
        sockets.opened(address)
    assert refused.value.what.startswith(what)
    assert refused.value.hint
