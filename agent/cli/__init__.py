"""What may the operator ask for? One module a verb; this one parses, dispatches and apologises.

A verb's module holds `HELP` (one line), `EXAMPLE`, `configure(parser)` and `run(arguments) -> exit code`. Only
the verb that was asked for is imported, so that a small one starts fast.
"""

import argparse
import difflib
import errno
import gc
import io
import os
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from agent import __version__
from agent.errors import AgentError, ConfigurationError

VERBS = (
    "demo",
    "init",
    "check",
    "doctor",
    "run",
    "status",
    "wait",
    "who",
    "env",
    "exec",
    "credentials",
    "token",
    "keys",
    "publish",
    "sandbox",
    "login",
    "completion",
)

#: Verbs that print no result, so that there is nothing to be had as JSON.
_SILENT = frozenset({"run", "wait", "exec", "completion"})

#: What people say who know it from other programs.
_ALIASES = {"version": "--version"}

#: What -c names: for all verbs but one it is there already.
_CONFIG = "configuration (default: $ROLECALL_CONFIG, ./rolecall.toml, /etc/rolecall/rolecall.toml)"
_NEW_CONFIG = "where to write the configuration (default: rolecall.toml, beside everything else)"

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

_CANNOT_WRITE = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class Verb(Protocol):
    """What a verb's module offers."""

    HELP: str
    EXAMPLE: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's own arguments."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; the exit code. Raises AgentError for what a person can cause."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks; the exit code: 0 done, 1 it did not work, 2 usage or configuration."""
    words = _config_last(list(sys.argv[1:] if argv is None else argv))
    if sys.stderr is None:  # it is closed, and print would take what is meant for it to stdout, among the results
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as we live
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path may hold bytes that are no text, and a terminal may not know our punctuation: neither is a reason to
        # say nothing at all.
        sys.stdout.reconfigure(errors="surrogateescape" if sys.stdout.encoding == "utf-8" else "backslashreplace")
    try:
        try:
            return _dispatch(words)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # now, while what goes wrong with it can still be said
    except ConfigurationError as error:
        _apologise(error)
        return MISUSED
    except AgentError as error:
        _apologise(error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno not in _CANNOT_WRITE or error.filename is not None:
            raise
        # Without this the interpreter tries once more at exit, and complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:  # that is somebody who has seen enough
            _apologise(AgentError(f"the output cannot be written: {(error.strerror or '').lower()}"))
        return FAILED


def _dispatch(words: list[str]) -> int:
    if not words:
        print(_overview(), file=sys.stderr)
        return MISUSED
    if words[0] == "help" and len(words) > 1:
        words = [words[1], "--help"]
    if words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return DONE
    if words[0] in {"-V", "--version"}:
        print(f"rolecall {__version__}")
        return DONE
    name = words[0]
    if name not in VERBS:
        near = [_ALIASES[name]] if name in _ALIASES else difflib.get_close_matches(name, VERBS, n=1)
        raise ConfigurationError(
            f"there is no command {name!r}",
            hint=f"did you mean: rolecall {near[0]}" if near else "see them all with: rolecall --help",
        )
    verb, parser = _verb(name), parser_of(name)
    # What follows a "--" is a command for somebody else: argparse would take options out of it.
    mine, command = _split(words[1:])
    arguments, left = parser.parse_known_args(mine)
    if left:
        _guess(words, arguments, left[0])
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if command and name != "exec":
        raise ConfigurationError(f"rolecall {name} takes nothing after --", hint=f"for example: {verb.EXAMPLE}")
    arguments.command = command
    return verb.run(arguments)


def parser_of(name: str) -> argparse.ArgumentParser:
    """What reads the words behind a verb."""
    verb = _verb(name)
    parser = argparse.ArgumentParser(
        prog=f"rolecall {name}",
        description=verb.HELP,
        epilog=f"example:\n  {verb.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # what is short for one option today is short for two tomorrow
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help=_NEW_CONFIG if name == "init" else _CONFIG)
    if name not in _SILENT:
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
    verb.configure(parser)
    return parser


def _guess(words: list[str], arguments: argparse.Namespace, surplus: str) -> None:
    """Say what was meant by a word that the verb does not take, where that is plain. Raises ConfigurationError then."""
    what = f"rolecall {words[0]} does not take {surplus!r} there"
    if words[0] == "exec" and not surplus.startswith("-"):
        # argparse may have taken options out of the command, so it is told by the words as they came.
        here = words.index(surplus, words.index(arguments.role) + 1)
        meant = shlex.join(["rolecall", *words[:here], "--", *words[here:]])
        raise ConfigurationError(what, hint=f"put -- before the command: {meant}")
    if surplus.endswith(".toml"):
        meant = shlex.join(["rolecall", *(word for word in words if word != surplus), "-c", surplus])
        raise ConfigurationError(what, hint=f"did you mean: {meant}")


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return words, []
    here = words.index("--")
    return words[:here], words[here + 1 :]


def _verb(name: str) -> Verb:
    # What an import makes, stays; the collector would look for something to throw away a hundred times, in vain.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return cast("Verb", import_module(f"agent.cli.{name}"))  # a module is what has these names
    finally:
        if collecting:
            gc.enable()


def _overview() -> str:
    lines = [f"  {name:<12} {_verb(name).HELP}" for name in VERBS]
    return "\n".join(
        [
            "usage: rolecall VERB [-c FILE] [--json] …",
            "",
            "AWS roles for machines outside AWS, with no long-lived AWS secret anywhere.",
            "",
            *lines,
            "",
            "Start with: rolecall demo      Each verb explains itself: rolecall VERB --help",
        ]
    )


def _config_last(words: list[str]) -> list[str]:
    """Take `-c FILE` before the verb as if it stood after it; both are habits people have."""
    count = 2 if words[:1] in (["-c"], ["--config"]) else 1
    if words and words[0].startswith(("-c", "--config")) and len(words) > count:
        return [words[count], *words[:count], *words[count + 1 :]]
    return words


def _apologise(error: AgentError) -> None:
    print(f"error: {error.what}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
