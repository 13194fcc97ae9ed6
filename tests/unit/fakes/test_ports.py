import socket
from pathlib import Path

import pytest

from tests.fakes.ports import own_port


def test_nobody_listens_and_a_server_may() -> None:
    port = own_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_nobody_is_given_it_who_asks_for_any() -> None:
    port = own_port()
    with socket.socket() as exact, pytest.raises(OSError, match="in use"):
        exact.bind(("127.0.0.1", port))
    assert port not in {own_port() for _ in range(50)}


def test_descriptors_do_not_pile_up() -> None:
    for _ in range(100):
        own_port()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        own_port()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
