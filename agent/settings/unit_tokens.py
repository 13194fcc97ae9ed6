"""What may the operator say about tokens that systemd hands to units?"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from agent.settings.mistakes import Wrong, shown
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, file_path, span, text

#: What fits into the address of a Unix socket, with the zero byte at its end (unix(7)).
LONGEST_SOCKET: Final = 107


def socket_path(value: str, surroundings: Surroundings) -> Path:
    """Read the path of a Unix socket, whole. Raises Wrong."""
    path = file_path(value, surroundings)
    if value.startswith("@"):
        raise Wrong(f"{shown(value)} is an abstract socket, which belongs to nobody; write a path")
    if (size := len(str(path).encode())) > LONGEST_SOCKET:
        raise Wrong(f"is {size} bytes long as an absolute path; a socket's takes at most {LONGEST_SOCKET}")
    return path


SocketPath = Annotated[Path, text(socket_path)]


class UnitTokens(Section):
    """Where units get tokens of their own by LoadCredential=, and how long one is good.

    `secret` is the file, of the agent alone, from which tokens are made; it is replaced every `rotate`, and what was
    made of an earlier one is good for `overlap` after that: a unit keeps the token that it was started with.
    """

    socket: SocketPath = Field(Path("/run/rolecall/unit-tokens.sock"))
    secret: FilePath = Field(Path("/var/lib/rolecall/unit-tokens.json"))
    rotate: Annotated[timedelta, span("1d", "1095d")] = timedelta(days=30)
    overlap: Annotated[timedelta, span("1h", "1095d")] = timedelta(days=90)
