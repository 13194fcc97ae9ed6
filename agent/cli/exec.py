"""How is a program run with a role?

It takes our place (execve(2)), so signals and exit code are its own; nothing of us stays between.
"""

import argparse
import os
import signal
from pathlib import Path

from agent.cli.durations import seconds
from agent.cli.environment import environment, only_for_units, over_default_profile, trouble_with_file
from agent.cli.terminal import say, warn
from agent.cli.unread import way
from agent.errors import ConfigurationError

HELP = "wait for a role, then run a command with it"
EXAMPLE = "rolecall exec backup -- aws s3 ls"

NOT_FOUND, NOT_EXECUTABLE = 127, 126


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the role, the token file, the patience and the command."""
    parser.add_argument("role", metavar="ROLE", nargs="?", default="", help="default: the one that you are granted")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token to show to the agent")
    parser.add_argument("--timeout", type=seconds, default=30.0, metavar="30s", help="how long to wait for the role")
    parser.usage = "%(prog)s [ROLE] [-c FILE] [--token-file FILE] [--timeout 30s] -- CMD …"


def run(arguments: argparse.Namespace) -> int:
    """Become the command; returns only if that is impossible: 127 not found, 126 not executable, as shells do."""
    command = arguments.command
    if not command:
        raise ConfigurationError("there is no command after --", hint=f"for example: {EXAMPLE}")
    reach = way(arguments.config, arguments.role, arguments.token_file)
    if reach.unit_tokens is not None:
        raise only_for_units(reach)
    if (trouble := trouble_with_file(reach)) is not None:
        warn(trouble)
    # SDKs that ask once only must find the role there, so we ask before they do.
    reach.fetch_patiently(arguments.timeout)
    env = environment(reach, os.environ)
    kept = {name: value for name, value in os.environ.items() if name not in env.unset}
    merged = kept | env.settings | over_default_profile(os.environ)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores these two, and what is ignored stays so in the command
    try:
        os.execvpe(command[0], command, merged)  # noqa: S606 - running what the user typed is what this verb is for
    except FileNotFoundError:
        say(f"error: there is no command {command[0]!r}")
        return NOT_FOUND
    except OSError as error:
        say(f"error: {command[0]} cannot be run: {error.strerror}")
        return NOT_EXECUTABLE
