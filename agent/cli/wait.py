"""How does a script or a unit wait until a role is there?"""

import argparse
import time

from agent.cli.configuration import settings_of
from agent.cli.durations import seconds
from agent.cli.reach import get
from agent.errors import AgentUnreachable, ConfigurationError, CredentialsUnavailable

HELP = "return when roles have usable credentials"
EXAMPLE = "rolecall wait backup --timeout 30s"

#: How often the agent is asked, in seconds.
_EVERY = 0.25


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
    wanted = set(arguments.roles) or set(settings.roles)
    deadline = time.monotonic() + arguments.timeout
    while True:
        trouble = _trouble(settings.listen.admin.host, settings.listen.admin.port, wanted)
        if trouble is None:
            return 0
        if time.monotonic() >= deadline:
            raise trouble
        time.sleep(_EVERY)


def _trouble(host: str, port: int, wanted: set[str]) -> AgentUnreachable | CredentialsUnavailable | None:
    """What is still missing, if anything."""
    try:
        status = get(host, port, "/status.json", {}).document
    except AgentUnreachable as error:
        return error
    roles = {role["role"]: role for role in status["roles"]}
    for name in sorted(wanted):
        role = roles.get(name)
        if role is None:
            return CredentialsUnavailable(
                f"the running agent does not know role {name}", hint="restart it, so that it reads its configuration"
            )
        if not role["usable"]:
            return CredentialsUnavailable(
                f"role {name} has no credentials: {role['problem'] or 'the first are still on their way'}",
                hint=role["hint"] or "see more with: rolecall status",
            )
    return None
