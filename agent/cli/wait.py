"""How does a script or a unit wait until a role is there?"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from agent.cli.configuration import settings_of
from agent.cli.durations import seconds
from agent.cli.patience import patiently
from agent.cli.reach import Stranger, status_of
from agent.cli.status import another_configuration
from agent.cli.terminal import say, warn
from agent.errors import ConfigurationError, CredentialsUnavailable
from agent.settings import Settings

HELP = "return when roles have usable credentials"
EXAMPLE = "rolecall wait backup --timeout 30s"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the roles and the patience."""
    parser.add_argument("roles", nargs="*", metavar="ROLE", help="roles to wait for (default: all)")
    parser.add_argument("--timeout", type=seconds, default=30.0, metavar="30s", help="how long to wait (default: 30s)")


def run(arguments: argparse.Namespace) -> int:
    """Wait. Raises AgentUnreachable or CredentialsUnavailable, with the reason, when time is up."""
    settings = settings_of(arguments.config)
    if unknown := sorted(set(arguments.roles) - settings.roles.keys()):
        raise ConfigurationError(
            f"the configuration has no role {unknown[0]!r}", hint=f"it has: {', '.join(sorted(settings.roles))}"
        )
    wanted = sorted(arguments.roles or settings.roles)
    status = patiently(lambda left: _ask(settings, wanted, left), arguments.timeout, ", ".join(wanted))
    for name in sorted(role["role"] for role in status["roles"] if role["role"] in wanted and _is_idle(role)):
        say(f"role {name} is fetched when a caller asks, so there was nothing to wait for")
        say(f"hint: have the caller itself wait for what it gets: rolecall exec {name} -- COMMAND")
    if (other := another_configuration(settings, status)) is not None:
        warn(other)
    return 0


def _ask(settings: Settings, wanted: Sequence[str], patience: float) -> dict[str, Any]:
    """The agent's status, all being there. Raises what is still missing: AgentUnreachable or CredentialsUnavailable."""
    status = status_of(settings, patience)
    try:
        roles = {role["role"]: role for role in status["roles"]}
        for name in wanted:
            _look_at(name, roles.get(name))
    except (KeyError, TypeError):
        raise Stranger(settings.listen.admin) from None
    return status


def _is_idle(role: Mapping[str, Any]) -> bool:
    """Whether nothing of the role is fetched before somebody asks: what each caller gets depends on who it is."""
    return bool(role.get("state") == "idle")


def _look_at(name: str, role: Mapping[str, Any] | None) -> None:
    if role is None:
        raise CredentialsUnavailable(
            f"the running agent does not know role {name}",
            hint="restart it, so that it reads its configuration; or is it another one? look at [listen]",
        )
    if not role["usable"] and not _is_idle(role):
        raise CredentialsUnavailable(
            f"role {name} has no credentials: {role['problem'] or 'the first are still on their way'}",
            hint=role["hint"] or "see more with: rolecall status",
        )
