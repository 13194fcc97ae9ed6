"""What do the AWS config file's `credential_process` lines run? One document on stdout."""

import argparse
from pathlib import Path

from agent.cli.configuration import settings_of
from agent.cli.durations import seconds
from agent.cli.reach import access
from agent.outputs.process import from_ecs

HELP = "print a role's credentials as credential_process wants them"
EXAMPLE = "rolecall credentials backup      # in ~/.aws/config: credential_process = rolecall credentials backup"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the role, the token file and the patience."""
    parser.add_argument("role", metavar="ROLE")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token to show to the agent")
    parser.add_argument("--timeout", type=seconds, default=10.0, metavar="10s", help="how long to wait for the agent")


def run(arguments: argparse.Namespace) -> int:
    """Print the document that every SDK's credential_process reads."""
    reach = access(settings_of(arguments.config), arguments.role, arguments.token_file)
    reply = reach.fetch_patiently(arguments.timeout)
    print(from_ecs(reply.body).decode())
    return 0
