"""Which browser does somebody sign in with?"""

import shlex
import subprocess
import sys
import webbrowser
from collections.abc import Mapping
from threading import Thread
from typing import TextIO


def why_no_browser(environ: Mapping[str, str], terminal: TextIO) -> str:
    """Why none can be opened for whoever sits here; empty if one can. $BROWSER says that one can."""
    if environ.get("BROWSER"):
        return ""
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return "this is a session over SSH, and its browser would open on the other machine's screen"
    if sys.platform != "darwin" and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return "there is no screen (DISPLAY and WAYLAND_DISPLAY are not set)"
    return "" if terminal.isatty() else "nobody sits at a terminal"


def open_browser(url: str, environ: Mapping[str, str]) -> None:
    """Open this machine's, or that which $BROWSER names; nobody waits for it, and what it prints goes nowhere.

    Where it does not open, whoever sits here has the address on the screen.
    """
    Thread(target=_open, args=(url, environ.get("BROWSER", "")), name="browser", daemon=True).start()


def _open(url: str, named: str) -> None:
    for command in filter(None, named.split(":")):
        if _ran(shlex.split(command), url):
            return
    if not named:
        webbrowser.open(url, new=2)


def _ran(words: list[str], url: str) -> bool:
    """Run a command as $BROWSER has it: with the address in the place of %s, or behind it."""
    line = [word.replace("%s", url) for word in words]
    try:
        subprocess.run(  # noqa: S603 - what its user has named to be run
            line if "%s" in " ".join(words) else [*line, url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
    except OSError:
        return False
    return True
