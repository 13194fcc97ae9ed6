"""What may the operator ask for? One module a verb; this one parses, dispatches and apologises.

A verb's module holds `HELP` (one line), `EXAMPLE`, `configure(parser)` and `run(arguments) -> exit code`. Only
the verb that was asked for is imported, so that a small one starts fast.
"""

import argparse
import difflib
import os
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
    "run",
    "status",
    "wait",
    "env",
    "exec",
    "credentials",
    "token",
    "keys",
    "publish",
    "sandbox",
)

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


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
    try:
        return _dispatch(words)
    except ConfigurationError as error:
        _apologise(error)
        return MISUSED
    except AgentError as error:
        _apologise(error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; without this the interpreter complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return DONE if words else MISUSED
    if words[0] in {"-V", "--version"}:
        print(f"rolecall {__version__}")
        return DONE
    name = words[0]
    if name not in VERBS:
        near = difflib.get_close_matches(name, VERBS, n=1)
        raise ConfigurationError(
            f"there is no command {name!r}",
            hint=f"did you mean: rolecall {near[0]}" if near else "see them all with: rolecall --help",
        )
    verb = _verb(name)
    parser = argparse.ArgumentParser(
        prog=f"rolecall {name}",
        description=verb.HELP,
        epilog=f"example:\n  {verb.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration (default: $ROLECALL_CONFIG, ./rolecall.toml, /etc/rolecall/rolecall.toml)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    verb.configure(parser)
    # What follows a "--" is a command for somebody else: argparse would take options out of it.
    mine, command = _split(words[1:])
    arguments = parser.parse_args(mine)
    if command and name != "exec":
        raise ConfigurationError(f"rolecall {name} takes nothing after --", hint=f"for example: {verb.EXAMPLE}")
    arguments.command = command
    return verb.run(arguments)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return words, []
    here = words.index("--")
    return words[:here], words[here + 1 :]


def _verb(name: str) -> Verb:
    return cast("Verb", import_module(f"agent.cli.{name}"))  # a module is what has these names


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
    if len(words) > 2 and words[0] in {"-c", "--config"}:
        return [words[2], *words[:2], *words[3:]]
    return words


def _apologise(error: AgentError) -> None:
    print(f"error: {error.what}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
