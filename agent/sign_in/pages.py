"""What does somebody see who comes back from signing in? One short page, with nothing in it from elsewhere."""

import base64
import hashlib
from html import escape
from typing import Final

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:34em;padding:0 1.5em;color:#1b2430;"
    "background:#fbfbf9}h1{font-size:1.4em;margin:0 0 .5em}.good h1{color:#0f7b52}.bad h1{color:#a3341d}"
    "p{margin:.4em 0}@media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#15191e}"
    ".good h1{color:#4cc38a}.bad h1{color:#f0846a}}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: What comes with every page: it is kept by nobody, framed by nobody, and asks nobody for anything. Its address, with
#: the code in it, goes nowhere.
HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Connection", "close"),
)


def page(title: str, *said: str, tone: str = "bad") -> bytes:
    """A page of a heading and some sentences; `tone` is good or bad."""
    sentences = "".join(f"<p>{escape(one)}</p>" for one in said)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} - rolecall</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f'<body class="{tone}"><main><h1>{escape(title)}</h1>{sentences}</main></body></html>\n'
    ).encode()


WORKED: Final = page("You are signed in", "You can close this window, and go back to the terminal.", tone="good")
DENIED: Final = page("Nobody was signed in", "The request was denied. You can close this window.")
FAILED: Final = page("Nobody was signed in", "The terminal says why. You can close this window.")
FOREIGN: Final = page(
    "This is not the sign-in that was asked for",
    "It was begun elsewhere, or long ago, so nothing was done with it.",
    "Use the address that the terminal shows now.",
)
ANSWERED: Final = page("This has been answered already", "You can close this window, and go back to the terminal.")
NOTHING: Final = page("There is nothing here", "This address is for the way back from a sign-in.")
