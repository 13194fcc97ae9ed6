"""Somebody at a terminal of his own, who types what he is asked for."""

import asyncio
import os
import pty
import sys
from collections.abc import Mapping, Sequence
from typing import Final

#: Makes the terminal on its stdin its own, as a login does, and becomes the program.
_TAKING: Final = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


async def typed(
    words: Sequence[str], environ: Mapping[str, str], answers: Sequence[tuple[str, str]], patience: float = 30
) -> tuple[int, str]:
    """Run a program at a terminal, and type each answer when its question has come; exit code, and what it showed."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _TAKING,
        *words,
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    try:
        async with asyncio.timeout(patience):
            for question, answer in answers:
                while question not in shown:
                    shown += await asyncio.to_thread(_read, ours)
                before, _, shown_after = shown.partition(question)
                shown = before.replace(question, "") + "…" + shown_after
                os.write(ours, answer.encode() + b"\n")
            while more := await asyncio.to_thread(_read, ours):
                shown += more
            return await process.wait(), shown
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


def _read(descriptor: int) -> str:
    """What comes next; "" at the end, which a terminal shows as an error."""
    try:
        return os.read(descriptor, 4096).decode("utf-8", "replace")
    except OSError:
        return ""
