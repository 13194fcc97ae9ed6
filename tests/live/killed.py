"""What is left of a command that is killed, at each of its steps in turn?

    python -m tests.live.killed HOME WORD…

A step is whatever may change the file system, as the interpreter's audit events tell (sys.addaudithook). Each run
begins with a copy of HOME, HOME-0, HOME-1, …, which stays for the test to look at; HOME in a word stands for the copy.
The first run comes to its end, and so does the last, whose number is printed.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

from agent.cli import main

_CHANGES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.chmod", "os.truncate"}
_MOST = 200


def run_and_die(step: int, place: Path, words: list[str]) -> None:
    """Run the command up to a step, or to its end. Never returns."""
    left = step

    def hook(event: str, details: tuple[object, ...]) -> None:
        nonlocal left
        if event in _CHANGES or (event == "open" and _writes(details[2])):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    code = 70
    try:
        os.chdir(place)
        sys.addaudithook(hook)
        code = main(words)
    finally:
        os._exit(code)


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def died(step: int, home: Path, words: list[str]) -> bool:
    """Whether a run was killed before its end."""
    place = home.with_name(f"{home.name}-{step}")
    shutil.copytree(home, place)
    for config in place.rglob("*.toml"):
        config.write_text(config.read_text().replace(str(home), str(place)))
    mine = [word.replace(str(home), str(place)) for word in words]
    if not step:
        assert main(mine) == 0  # here, so that all that it needs is loaded for those who follow
        return True
    child = os.fork()
    if not child:
        run_and_die(step, place, mine)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


if __name__ == "__main__":
    at, shown = Path(sys.argv[1]), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    last = next(step for step in range(_MOST) if not died(step, at, sys.argv[2:]))
    os.write(shown, f"{last}\n".encode())
