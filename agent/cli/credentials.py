"""What do the AWS config file's `credential_process` lines run? One document on stdout."""

import argparse
from pathlib import Path

from agent.cli.durations import seconds
from agent.cli.environment import only_for_units
from agent.cli.unread import way
from agent.outputs.process import from_ecs

HELP = "print a role's credentials as credential_process wants them"
EXAMPLE = "rolecall credentials backup      # in ~/.aws/config: credential_process = rolecall credentials backup"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the role, the token file and the patience."""
    parser.add_argument("role", metavar="ROLE", nargs="?", default="", help="default: the one that you are granted")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token to show to the agent")
    parser.add_argument("--timeout", type=seconds, default=10.0, metavar="10s", help="how long to wait for the agent")


def run(arguments: argparse.Namespace) -> int:
    """Print the document that every SDK's credential_process reads."""
    reach = way(arguments.config, arguments.role, arguments.token_file)
    if reach.unit_tokens is not None:
        raise only_for_units(reach)
    reply = reach.fetch_patiently(arguments.timeout)
    print(from_ecs(reply.body).decode())
    return 0
