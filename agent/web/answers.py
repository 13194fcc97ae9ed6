"""What does an answer look like on the wire?

Both routes, the ready-made bytes and aiohttp's responses, take their headers from here.
"""

from datetime import UTC, datetime
from email.utils import format_datetime

from agent.web import JSON


def http_date(moment: datetime) -> str:
    """The one form of a date that HTTP may send (RFC 9110 5.6.7), in whole seconds, those begun cut off."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def headers(
    body: bytes, date: str, own: tuple[tuple[str, str], ...] = (), media_type: str = JSON
) -> list[tuple[str, str]]:
    """The headers of every answer, in the order sent; `own` are those of this one.

    The date is the remote service's, since one SDK reckons the life of credentials from it.
    """
    return [
        ("Content-Type", media_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Date", date),
        ("Server", "rolecall"),  # aiohttp would name itself, Python and both versions
        *own,
    ]


def wire(status: str, named: list[tuple[str, str]], body: bytes, *, last: bool) -> bytes:
    """The whole answer as HTTP/1.1 bytes; `last` says that the connection ends with it."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named)]
    if last:
        lines.append("Connection: close")
    return "\r\n".join((*lines, "", "")).encode("ascii") + body
