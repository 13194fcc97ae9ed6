"""Something that listens on a port and answers with the bytes it was told to, whatever it is asked."""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Answering:
    """`answers` are given one a connection, the last again and again; None is never to answer."""

    answers: Sequence[bytes | None]
    listening: socket.socket
    requests: list[bytes] = field(default_factory=list)
    open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = int(self.listening.getsockname()[1])

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
            self.requests.append(connection.recv(65536))
            if answer is None:
                self.open.append(connection)
                continue
            connection.sendall(answer)
            connection.close()


@contextmanager
def answering(*answers: bytes | None, host: str = "127.0.0.1") -> Iterator[Answering]:
    """Listen on an ephemeral port while the context lasts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = Answering(answers, socket.create_server((host, 0), family=family))
    thread = threading.Thread(target=one.serve)
    thread.start()
    try:
        yield one
    finally:
        one.listening.shutdown(socket.SHUT_RDWR)
        one.listening.close()
        thread.join()
        for connection in one.open:
            connection.close()


def http(status: int, body: bytes | object, media_type: str = "application/json") -> bytes:
    """One whole answer; a body that is no bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {media_type}\r\nContent-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw
