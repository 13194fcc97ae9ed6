"""What goes into the environment of a program that is to have a role?"""

import argparse
import json
import shlex
from collections.abc import Callable
from pathlib import Path

from agent.cli.configuration import settings_of
from agent.cli.environment import Environment, environment
from agent.cli.reach import access

HELP = "print the environment an SDK needs to have a role"
EXAMPLE = 'eval "$(rolecall env backup)"'


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the role, the token file and the format."""
    parser.add_argument("role", metavar="ROLE")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token to show to the agent")
    parser.add_argument("--format", choices=sorted(_FORMATS), default="sh", help="for whom (default: sh)")


def run(arguments: argparse.Namespace) -> int:
    """Print the environment. It holds the token: that is what was asked for."""
    reach = access(settings_of(arguments.config), arguments.role, arguments.token_file)
    write = _FORMATS["json" if arguments.json else arguments.format]
    print(write(environment(reach)))
    return 0


def as_shell(env: Environment) -> str:
    """Lines for sh and bash to source."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in env.settings.items()]
    return "\n".join([f"unset {' '.join(env.unset)}", *lines])


def _fish(env: Environment) -> str:
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    lines = [f"set -gx {name} {quoted(value)}" for name, value in env.settings.items()]
    return "\n".join([*(f"set -e {name}" for name in env.unset), *lines])


def _dotenv(env: Environment) -> str:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'

    return "\n".join(f"{name}={quoted(value)}" for name, value in env.settings.items())


def _docker(env: Environment) -> str:
    """For --env-file, which knows no quotes; the file of the token is not in the container, its value is enough."""
    return "\n".join(
        f"{name}={value}" for name, value in env.settings.items() if name != "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
    )


def _systemd(env: Environment) -> str:
    """A drop-in. Everybody can read units, so the token comes as a credential; %d is where systemd puts those."""
    settings = dict(env.settings)
    settings.pop("AWS_CONTAINER_AUTHORIZATION_TOKEN", None)
    file = settings.pop("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", None)
    lines = ["[Unit]", "Wants=rolecall.service", "After=rolecall.service", "", "[Service]"]
    if file is not None:
        lines += [
            f"LoadCredential=rolecall-token:{file.replace('%', '%%')}",
            'Environment="AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=%d/rolecall-token"',
        ]
    lines += [f'Environment="{name}={_unit(value)}"' for name, value in settings.items()]
    return "\n".join([*lines, f"UnsetEnvironment={' '.join(env.unset)}"])


def _unit(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _json(env: Environment) -> str:
    return json.dumps({"set": env.settings, "unset": env.unset}, indent=2)


_FORMATS: dict[str, Callable[[Environment], str]] = {
    "sh": as_shell,
    "fish": _fish,
    "dotenv": _dotenv,
    "docker": _docker,
    "systemd": _systemd,
    "json": _json,
}
