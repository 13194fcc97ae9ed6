"""Where do the secrets of unit tokens outlive us?

In one small file for the agent's eyes only, replaced whole: so units that were started before the agent was keep their
tokens. What cannot be read is never written over, nor what somebody else has written since we read it.
"""

import base64
import errno
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from agent.callers.unit_tokens.generations import Generation, Generations
from agent.durable import flush_names, replace_private
from agent.errors import KeyUnavailable

_VERSION: Final = 1
#: A thousand generations are 200 kB.
_LARGEST: Final = 1_000_000
_SECRET_BYTES: Final = 32
#: More than anybody counts, in seconds: a thousand years.
_LONGEST: Final = 1000 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Moment:
    """When time was last counted: by the steady clock (seconds) of one run of the machine."""

    boot: str
    steady: float

    def after(self, before: "Moment") -> timedelta:
        """The time since then; none if the machine was started in between, since no clock has counted it."""
        return timedelta(seconds=max(self.steady - before.steady, 0.0) if self.boot == before.boot else 0.0)


@dataclass(frozen=True, slots=True)
class Saved:
    """The generations as they were then."""

    generations: Generations
    at: Moment


class SecretsFile:
    """The file of the secrets, in a directory of the agent's own."""

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self.path = path
        self._version: tuple[int, ...] | None = None

    def read(self) -> Saved | None:
        """What is there; None if there is nothing yet. Blocks. Raises KeyUnavailable."""
        try:
            # NOFOLLOW: a link that leads nowhere would look as if there had never been a file. NONBLOCK: as may a pipe.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(self.path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
                facts = os.fstat(file.fileno())
                self._judge(facts)
                text = file.read(_LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from error
        try:
            saved = _saved(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            # Not from the error: it may hold what stands in the file, and so may its frames.
            raise self._damaged() from None
        self._version = _version(facts)
        return saved

    def write(self, saved: Saved) -> None:
        """Replace what is there, whole and on the disk. Blocks. Raises KeyUnavailable."""
        try:
            self._only_ours()
            self._version = _version(replace_private(self.path, json.dumps(_written(saved), indent=1).encode()))
            flush_names(self.path.parent)
        except OSError as error:
            raise self._failed("written", error) from error

    def _only_ours(self) -> None:
        """See that nobody has put another file there. Raises KeyUnavailable, and OSError."""
        with suppress(FileNotFoundError):  # taken away: then it is put back
            if _version(self.path.lstat()) != self._version:
                raise KeyUnavailable(
                    f"somebody else has written to {self.path}, where the secrets of unit tokens are",
                    hint="if that was meant, start the agent again: systemctl restart rolecall",
                )

    def _judge(self, facts: os.stat_result) -> None:
        if not stat.S_ISREG(facts.st_mode):
            raise KeyUnavailable(f"{self.path} is no ordinary file", hint="name one in unit_tokens.secret")
        if facts.st_mode & 0o077:
            raise KeyUnavailable(
                f"others may read or write {self.path}, and so make tokens of any unit",
                hint=f"if nobody has: chmod 600 {self.path}; if somebody may have: remove it, start the agent and then"
                " the units again",
            )

    def _damaged(self) -> KeyUnavailable:
        return KeyUnavailable(
            f"{self.path} does not hold the secrets of unit tokens, or is damaged",
            hint="restore it from a backup, or move it away: then units have to be started again, after the agent",
        )

    def _failed(self, done: str, error: OSError) -> KeyUnavailable:
        hint = "give file and directory to the user that the agent runs as, or name others in unit_tokens.secret"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "make room on that file system; nothing is lost"
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            hint = f"make the directory, for the agent alone: install -d -m 700 {self.path.parent}"
        why = (error.strerror or str(error)).lower()
        return KeyUnavailable(f"the secrets of unit tokens in {self.path} cannot be {done}: {why}", hint=hint)


def _version(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size


# --- as JSON


def _written(saved: Saved) -> dict[str, object]:
    return {
        "version": _VERSION,
        "counted": {"boot": saved.at.boot, "steady": saved.at.steady},
        "generations": [
            {
                "id": one.id,
                "secret": base64.b64encode(one.secret).decode("ascii"),
                "age": one.age.total_seconds(),
                "superseded": None if one.superseded is None else one.superseded.total_seconds(),
            }
            for one in saved.generations.all
        ],
    }


def _saved(read: dict[str, Any]) -> Saved:
    """Raises ValueError, TypeError, KeyError, AttributeError or OverflowError for what we would not have written."""
    if read["version"] != _VERSION:
        raise ValueError
    at = Moment(_text(read["counted"]["boot"]), _seconds(read["counted"]["steady"]))
    newest, *earlier = (_generation(one) for one in read["generations"])
    ids = {one.id for one in (newest, *earlier)}
    if newest.superseded is not None or any(one.superseded is None for one in earlier) or len(ids) != 1 + len(earlier):
        raise ValueError
    return Saved(Generations(newest, tuple(earlier)), at)


def _generation(read: dict[str, Any]) -> Generation:
    secret = base64.b64decode(_text(read["secret"]), validate=True)
    name = _text(read["id"])
    if len(secret) != _SECRET_BYTES or not (name.isascii() and name.isalnum()):
        raise ValueError
    superseded = read["superseded"]
    return Generation(
        name,
        secret,
        timedelta(seconds=_seconds(read["age"])),
        None if superseded is None else timedelta(seconds=_seconds(superseded)),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        raise ValueError
    return float(value)
