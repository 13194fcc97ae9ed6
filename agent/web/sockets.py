"""How does a listening socket come to be?"""

import errno
import socket
from collections.abc import Mapping

from agent.errors import ListenerUnavailable

#: Where to listen: (literal address, port); port 0 is any free one.
Address = tuple[str, int]

#: Connections that wait to be accepted. With fewer, a herd of clients has its SYNs dropped and starts again
#: after a second, by when many SDKs have given up. The kernel caps it at net.core.somaxconn (4096 on Linux).
BACKLOG = 4096

#: For how many seconds the kernel holds back a connection on which nothing has been said yet.
_DEFER = 5


def opened(where: Address | socket.socket, hops: int = 0) -> socket.socket:
    """A socket that listens there and does not block; one that is open already is taken as it is.

    What we send from it goes through `hops` hosts at most, the last included; 0 leaves that to the system.

    Raises ListenerUnavailable: the address is taken, not ours, or not for us.
    """
    listening = where if isinstance(where, socket.socket) else _bound(where)
    listening.setblocking(False)
    _tune(listening)
    if hops:
        _limit_hops(listening, hops)
    return listening


def address_of(listening: socket.socket) -> Address:
    """Where it listens: the literal address and the port that it was given."""
    host, port = listening.getsockname()[:2]
    return str(host), int(port)


def _bound(address: Address) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # A restart must not wait for the old connections' TIME_WAIT; two agents on one port still clash.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        raise _unavailable(address, error) from error
    return listening


def _tune(listening: socket.socket) -> None:
    """Options that Linux hands down to every connection accepted, so that none needs them set again."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_DEFER_ACCEPT"):
        # Accepted only when the request is there: one wake-up for a connection instead of two.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER)


def _limit_hops(listening: socket.socket, hops: int) -> None:
    """Have our packets, the very first included, be dropped by whoever would have to forward them once more."""
    if listening.family == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
    else:
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)


_HINTS: Mapping[int, tuple[str, str]] = {
    errno.EADDRINUSE: (
        "something listens there already",
        "is another agent running? ss -ltnp tells; or choose another port under [listen]",
    ),
    errno.EADDRNOTAVAIL: (
        "that is no address of this machine",
        "name one of its addresses under [listen], such as 127.0.0.1",
    ),
    errno.EACCES: (
        "this user may not listen there",
        "choose a port of 1024 or more under [listen], or grant CAP_NET_BIND_SERVICE",
    ),
}


def _unavailable(address: Address, error: OSError | OverflowError) -> ListenerUnavailable:
    host, port = address
    named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    number = error.errno if isinstance(error, OSError) else None
    why, hint = _HINTS.get(
        number or 0,
        (str(getattr(error, "strerror", None) or error), "give a literal address and a port, as 127.0.0.1:9170"),
    )
    return ListenerUnavailable(f"cannot listen on {named}: {why}", hint=hint)
