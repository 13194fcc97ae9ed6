"""Which ports has a test to itself?

A port that was free a moment ago may be somebody else's by now: tests run beside each other. So the socket with which
a port was found is kept. It is bound and does not listen: connections are refused, the kernel gives the port to
nobody who asks for any, and whoever asks for this one with SO_REUSEADDR, as servers do, may listen on it.
"""

import socket
from collections import deque

#: The latest; no test needs more at once, and a process has only so many descriptors.
_kept: deque[socket.socket] = deque()
_MOST = 100


def own_port() -> int:
    """A port of 127.0.0.1 where nobody listens, unless the test itself sees to it."""
    if len(_kept) == _MOST:
        _kept.popleft().close()
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    _kept.append(kept)
    return int(kept.getsockname()[1])
