"""Other users of this machine, for real: each a process that asks the agent what it is told to."""

import asyncio
import json
import os
from typing import Any, Final

from tests.unit.callers.kernel.world import Puppet

#: The users that every Debian has, by name.
NOBODY, DAEMON, WWW_DATA = "nobody", "daemon", "www-data"

#: What a puppet needs to speak HTTP.
_SPEAKING: Final = """
def request(path, *lines, method="GET", host="127.0.0.1"):
    return "\\r\\n".join((f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "", "")).encode()
def answered(client, last=b""):
    got = b""
    while b"\\r\\n\\r\\n" not in got:
        came = client.recv(65536)
        if not came:
            return [0, ""]
        got += came
    head, _, body = got.partition(b"\\r\\n\\r\\n")
    length = int(next(line for line in head.split(b"\\r\\n") if line.startswith(b"Content-Length")).split()[1])
    while len(body) < length:
        came = client.recv(65536)
        if not came:
            return [0, ""]
        body += came
    return [int(head.split()[1]), body.decode()]
def asked(port, path="/v1/credentials", *lines, family=socket.AF_INET, **how):
    here = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with connected(here, port, family=family) as client:
        client.sendall(request(path, "Connection: close", *lines, **how))
        return answered(client)
"""


class User(Puppet):
    """A process of one user."""

    def __init__(self, uid: int) -> None:
        super().__init__(uid)
        self.do(_SPEAKING)

    async def told(self, program: str) -> Any:
        """What it finds out by this program, which leaves it in `answer`."""
        return await asyncio.to_thread(self.do, program)

    async def asks(self, port: int, path: str = "/v1/credentials", *lines: str, **how: object) -> tuple[int, Any]:
        """What the agent answers it: the status, and the document, or the text that is none."""
        words = "".join(f", {line!r}" for line in lines) + "".join(f", {name}={value!r}" for name, value in how.items())
        status, body = await self.told(f"answer = asked({port}, {path!r}{words})")
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body


def role_in(document: dict[str, str]) -> str:
    """The name of the role whose credentials these are."""
    return document["RoleArn"].rpartition("/")[2]


def is_root() -> bool:
    """Whether this process can be other users."""
    return os.geteuid() == 0
