"""What is wrong with the configuration? Nothing is started, nothing is asked of the network.

But all that the daemon is made of is made: what `run` would refuse when it starts must not be called good here.
"""

import argparse
import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.assembly.callers import unusable_tokens
from agent.assembly.rehearsal import Refusal, rehearse
from agent.cli.configuration import settings_of
from agent.cli.machine import absent
from agent.cli.named_files import Named, named
from agent.cli.summary import summary
from agent.cli.terminal import paint, say, show_json
from agent.clock import SystemClock
from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.keys import PublicKey
from agent.settings import Settings
from agent.settings.audiences import untakable
from agent.settings.doubts import warnings
from agent.settings.keys import paths_of
from agent.settings.mistakes import shown
from agent.settings.spelling import UNIT_CREDENTIALS
from agent.settings.verifying import rules_beside

HELP = "say everything that is wrong with the configuration"
EXAMPLE = "rolecall check -c /etc/rolecall/rolecall.toml"

#: Exit codes, those of every verb.
FAILED, MISUSED = 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments beyond those of every verb: what is checked is the file."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Print what is good and what is doubtful; 0. Raises ConfigurationError or KeyUnavailable with all that is wrong.

    With --json, mistakes are a result as well: they are printed, and the exit code is what it would be without.
    """
    doubts: list[str] = []
    try:
        settings = settings_of(arguments.config)
        key, refusals = _rehearsed(settings)
        refusals = [*refusals, *_tokens(settings)]
        told = {refusal.path for refusal in refusals}
        if settings.key is not None and key is None and not refusals:
            what = " and ".join("it" if word == "file" else f"key.{word}" for word in _of_the_unit(settings))
            doubts.append(
                f"key: systemd hands {what} to the unit alone, so it was not tried: see journalctl -u rolecall"
            )
        doubts += untakable(settings, None if key is None else key.algorithm)
        doubts += rules_beside(settings.verify, key.algorithm) if key is not None else ()
        doubts += [*warnings(settings), *(_not_tried(refusal) for refusal in refusals if _forbidden(refusal))]
        doubts += [doubt for word, doubt in files(settings, _credentials()) if word.rpartition(".")[0] not in told]
        doubts += absent(settings)
        if ends := [refusal for refusal in refusals if not _forbidden(refusal)]:
            raise _end(ends)
    except AgentError as error:
        if not arguments.json:
            _say(doubts)
            raise
        show_json({"good": False, "mistakes": error.what.splitlines(), "hint": error.hint, "warnings": doubts})
        return MISUSED if isinstance(error, ConfigurationError) else FAILED
    if arguments.json:
        show_json({"good": True, "file": str(settings.path), "mistakes": [], "warnings": doubts})
        return 0
    print(f"{paint('configuration is good', 'green')}: {settings.path}")
    for line in summary(settings, key):
        print(f"  {line}")
    _say(doubts)
    return 0


def _say(doubts: Sequence[str]) -> None:
    for doubt in doubts:
        say(f"{paint('warning', 'yellow')}: {doubt}")


def _credentials() -> Path | None:
    """Systemd's directory of credentials, inside the unit."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) if directory else None


def _rehearsed(settings: Settings) -> tuple[PublicKey | None, Sequence[Refusal]]:
    # Outside the unit there is no trying of what systemd gives to the unit alone.
    try_key = _credentials() is not None or not _of_the_unit(settings)
    rehearsal = asyncio.run(rehearse(settings, _credentials(), try_key=try_key))
    return rehearsal.key, rehearsal.refusals


def _tokens(settings: Settings) -> Iterator[Refusal]:
    """Token files by which nobody gets anything; those that cannot be read, or should not be, are doubts."""
    unusable = asyncio.run(unusable_tokens(settings.grants, clock=SystemClock()))
    for one in named(settings):
        if one.path in unusable and one.word.endswith(".token_file") and not [*_doubts(one, _credentials())]:
            yield Refusal(one.word, unusable[one.path])


def _of_the_unit(settings: Settings) -> list[str]:
    """The words of [key] that name what only the unit is given."""
    return [word for word, path in paths_of(settings.key) if path.is_relative_to(UNIT_CREDENTIALS)]


def _forbidden(refusal: Refusal) -> bool:
    """Whether it is only that whoever runs this may not read what the agent, another user, perhaps may."""
    return isinstance(refusal.error.__cause__, PermissionError)


def _not_tried(refusal: Refusal) -> str:
    return f"{refusal.path}: {refusal.error.what}; so it was not tried: run this as the agent's user"


def _end(refusals: Sequence[Refusal]) -> AgentError:
    """Say all of them in one: that of the key if it is the key alone, else of the configuration."""
    only_the_key = all(isinstance(refusal.error, KeyUnavailable) for refusal in refusals)
    kind = KeyUnavailable if only_the_key else ConfigurationError
    hints = dict.fromkeys(refusal.error.hint for refusal in refusals)
    what = "\n".join(f"{refusal.path}: {refusal.error.what}" for refusal in refusals)
    return kind(what, hint="; ".join(hints))


def files(settings: Settings, credentials: Path | None) -> Iterator[tuple[str, str]]:
    """Look at every file and directory that is named, as the user who runs this.

    Yields a setting and a sentence for each doubt. `credentials` is systemd's directory for them, None outside the
    unit: then the unit's are not looked at.
    """
    for one in named(settings):
        yield from ((one.word, doubt) for doubt in _doubts(one, credentials))


def _doubts(one: Named, credentials: Path | None) -> Iterator[str]:
    if one.secret and credentials is None and one.path.is_relative_to(UNIT_CREDENTIALS):
        return
    # Where systemd puts credentials, the group bits are the mask of an access list, and no group's.
    from_systemd = one.secret and one.path.parent == credentials
    closed_to = one.closed_to & stat.S_IRWXO if from_systemd else one.closed_to
    yield from _directory(one) if one.directory else _file(one, closed_to)


def _file(named: Named, closed_to: int) -> Iterator[str]:
    word, path, name = named.word, named.path, shown(str(named.path))
    try:
        facts = path.stat()
    except FileNotFoundError:
        if not named.made:
            yield f"{word}: {name} does not exist"
        return
    except OSError as error:
        yield f"{word}: {name} cannot be looked at: {error.strerror}"
        return
    if not stat.S_ISREG(facts.st_mode):
        yield f"{word}: {name} is not a file"
        return
    try:
        path.open("rb").close()
    except OSError:
        yield f"{word}: {name} cannot be read by this user; the agent's user must be able to"
    if facts.st_mode & closed_to:
        mode = stat.S_IMODE(facts.st_mode)
        yield f"{word}: {name} is open to others (mode {mode:04o}); close it with: chmod {mode & ~closed_to:04o}"


def _directory(named: Named) -> Iterator[str]:
    word, path, name = named.word, named.path, shown(str(named.path))
    try:
        mode = path.stat().st_mode
        if not stat.S_ISDIR(mode):
            yield f"{word}: {name} is not a directory"
        elif named.written and mode & named.closed_to:
            said = "whoever wants can put something else there"
            yield f"{word}: {name} can be written to by everybody (mode {stat.S_IMODE(mode):04o}): {said}; name another"
        elif named.written and not os.access(path, os.W_OK | os.X_OK):
            yield f"{word}: {name} cannot be written to by this user; the agent's user must be able to"
        elif not os.access(path, os.R_OK | os.X_OK):
            yield f"{word}: {name} cannot be read by this user; the agent's user must be able to"
    except FileNotFoundError:
        wanted = "; make it, and let the agent's user write to it" if named.written else ""
        yield f"{word}: {name} does not exist{wanted}"
    except OSError as error:
        yield f"{word}: {name} cannot be looked at: {error.strerror}"
