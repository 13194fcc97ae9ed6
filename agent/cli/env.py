"""What goes into the environment of a program that is to have a role?"""

import argparse
import json
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agent.cli.environment import (
    TOKEN,
    TOKEN_FILE,
    Environment,
    environment,
    only_for_units,
    over_default_profile,
    trouble_with_file,
)
from agent.cli.reach import Access
from agent.cli.terminal import warn
from agent.cli.unread import way
from agent.errors import ConfigurationError

HELP = "print the environment an SDK needs to have a role"
EXAMPLE = 'eval "$(rolecall env)"     # for the whole machine: rolecall env --format environment >>/etc/environment'

#: What every reader of .env files takes as it stands.
_PLAIN = re.compile(r"[A-Za-z0-9_./:,@%+=-]*")

#: Formats of what others are to have, in an environment of their own.
_ELSEWHERE = frozenset({"environment", "systemd"})


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the role, the token file and the format."""
    parser.add_argument("role", metavar="ROLE", nargs="?", default="", help="default: the one that the caller has")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token to show to the agent")
    parser.add_argument("--format", choices=sorted(_FORMATS), default="sh", help="for whom (default: sh)")


def run(arguments: argparse.Namespace) -> int:
    """Print the environment. It holds the token: that is what was asked for."""
    name = "json" if arguments.json else arguments.format
    reach = way(arguments.config, arguments.role, arguments.token_file, elsewhere=name in _ELSEWHERE)
    if reach.unit_tokens is not None and name != "systemd":
        raise only_for_units(reach)
    if name == "environment" and reach.token is not None:
        raise _not_for_everybody(reach)
    if (trouble := trouble_with_file(reach)) is not None:
        if name == "systemd":  # there it is the file or nothing
            raise trouble
        warn(trouble)
    env = environment(reach, os.environ)
    if name in {"sh", "fish"}:  # meant for here and now, so what lies around here counts
        env = replace(env, settings=env.settings | over_default_profile(os.environ))
    print(_FORMATS[name](env) if reach.unit_tokens is None else as_systemd(env, reach.unit_tokens))
    return 0


def as_shell(env: Environment) -> str:
    """Lines for sh and bash to source."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in env.settings.items()]
    return "\n".join([f"unset {' '.join(env.unset)}", *lines])


def as_fish(env: Environment) -> str:
    """Lines for fish to source; it minds two characters between single quotes."""

    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    lines = [f"set -gx {name} {quoted(value)}" for name, value in env.settings.items()]
    return "\n".join([*(f"set -e {name}" for name in env.unset), *lines])


def as_dotenv(env: Environment) -> str:
    """Write a .env file. Its readers agree on no escapes, so there are none; nor can it unset anything."""

    def quoted(name: str, value: str) -> str:
        if _PLAIN.fullmatch(value):
            return value
        for quote, minded in (("'", "'\\"), ('"', '"\\$`')):
            if not any(one in value for one in (*minded, "${", "\n")):
                return f"{quote}{value}{quote}"
        raise _unwritable("dotenv", name)

    return "\n".join(
        [
            f"# must not be set: {' '.join(env.unset)}",
            *(f"{name}={quoted(name, value)}" for name, value in env.settings.items()),
        ]
    )


def as_environment(env: Environment) -> str:
    """Write lines for /etc/environment.

    It is read by pam_env(8), by systemd's EnvironmentFile= and by people's scripts. They agree on nothing but bare
    words: to pam_env even a # between quotes begins a comment.
    """
    for name, value in env.settings.items():
        if not _PLAIN.fullmatch(value):
            raise _unwritable("environment", name)
    return "\n".join(
        [
            "# for everybody who signs in, and for cron; a service has it by: rolecall env --format systemd",
            *(f"{name}={value}" for name, value in env.settings.items()),
        ]
    )


def as_docker(env: Environment) -> str:
    """For --env-file, which knows no quotes; the file of the token is not in the container, its value is enough."""
    lines = ["# docker run --network host --env-file: the address is this machine's own"]
    for name, value in env.settings.items():
        if "\n" in value:
            raise _unwritable("docker", name)
        if name != TOKEN_FILE:
            lines.append(f"{name}={value}")
    return "\n".join(lines)


def as_systemd(env: Environment, unit_tokens: Path | None = None) -> str:
    """Write a drop-in. All may read units, so the token comes as a credential; %d is where systemd puts those.

    With the socket `unit_tokens` it is the unit's own token, which systemd fetches there.
    """
    settings = dict(env.settings)
    settings.pop(TOKEN, None)
    file = settings.pop(TOKEN_FILE, None) if unit_tokens is None else str(unit_tokens)
    lines = ["[Unit]", "Wants=rolecall.service", "After=rolecall.service", "", "[Service]"]
    if file is not None:
        if "\n" in file:
            raise _unwritable("systemd", TOKEN_FILE)
        lines += [
            f"LoadCredential=rolecall-token:{file.replace('%', '%%')}",
            f'Environment="{TOKEN_FILE}=%d/rolecall-token"',
        ]
    lines += [f'Environment="{name}={_unit(value)}"' for name, value in settings.items()]
    unset = [name for name in env.unset if name != TOKEN_FILE or file is None]
    return "\n".join([*lines, f"UnsetEnvironment={' '.join(unset)}"])


def as_json(env: Environment) -> str:
    """For other programs: what to set, and what must not be there."""
    return json.dumps({"set": env.settings, "unset": env.unset}, indent=2)


def _unit(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped.replace("\n", "\\n")


def _not_for_everybody(access: Access) -> ConfigurationError:
    role = f"role {access.role}" if access.role else "the role"
    return ConfigurationError(
        f"{role} is granted by a token, and everybody can read /etc/environment",
        hint="grant it by unit, user or group, and leave the token to those who need it: see docs/configuration.md",
    )


def _unwritable(name: str, variable: str) -> ConfigurationError:
    return ConfigurationError(
        f"the value of {variable} has characters that no {name} file can hold",
        hint="choose another --format, or another path for the token file",
    )


_FORMATS: dict[str, Callable[[Environment], str]] = {
    "sh": as_shell,
    "fish": as_fish,
    "dotenv": as_dotenv,
    "docker": as_docker,
    "environment": as_environment,
    "systemd": as_systemd,
    "json": as_json,
}
