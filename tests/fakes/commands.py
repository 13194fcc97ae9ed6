"""A command, run as its users run it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROLECALL = (sys.executable, "-W", "error", "-m", "agent")


def clean(**environ: str) -> dict[str, str]:
    """An environment in which nothing lies around."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "HOME": "/nonexistent", **environ}


def rolecall(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `rolecall WORDS` to its end."""
    command: Sequence[str] = [*ROLECALL, *map(str, words)]
    return subprocess.run(command, env=clean(**environ), capture_output=True, text=True, check=False, timeout=50)
