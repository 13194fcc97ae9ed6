"""What does a caller do who asks without end?

A program of its own, that asks until there is something on its standard input, and then says what it was told:

    python tests/live/hammer.py PORT SOURCE UID FLOOD     (UID 0: stay who you are)
"""

import json
import os
import select
import socket
import sys
from collections import Counter
from typing import Final

GOOD: Final = b"GET /v1/credentials/backup HTTP/1.1\r\nHost: 127.0.0.1\r\n"
ORDINARY: Final = GOOD + b"X-Anything: new\r\n\r\n"
REFUSED: Final = GOOD + b"Authorization: a-token-that-nobody-knows\r\n\r\n"
#: What is sent on each connection. So few that there are many connections, but faster than a bucket fills.
FLOODS: Final = {
    "ordinary": ORDINARY * 10,
    "refused": REFUSED * 10,
    "nonsense": REFUSED * 9 + b"nonsense\r\n\r\n",
    "connections": REFUSED * 6,
    "pipelined": ORDINARY * 500,
}
AT_ONCE: Final = 50


def told_by(received: bytes) -> list[str]:
    """The statuses in what was received."""
    return [part[:3].decode("ascii", "replace") for part in received.split(b"HTTP/1.1 ")[1:]]


def ask(port: int, source: str, flood: bytes) -> list[str]:
    """Connect many times at once, ask, and read until all of them are at their end."""
    clients = []
    for _ in range(AT_ONCE):
        try:
            client = socket.create_connection(("127.0.0.1", port), 5, (source, 0))
            client.sendall(flood)
            client.shutdown(socket.SHUT_WR)
            clients.append(client)
        except OSError:
            continue
    told = []
    for client in clients:
        received = b""
        try:
            while more := client.recv(65536):
                received += more
        except OSError:
            received += b""  # cut off: what was read counts
        told += told_by(received)
        client.close()
    return told or ["cut off"]


def main(port: str, source: str, uid: str, flood: str) -> None:
    """Ask until there is something on standard input, and it was refused at least once."""
    if int(uid):
        "localhost".encode("idna")  # loads what names of hosts need, which another user may not be able to read
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    told: Counter[str] = Counter()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    while not (select.select([sys.stdin], [], [], 0)[0] and told["503"]):
        told.update(ask(int(port), source, FLOODS[flood]))
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
