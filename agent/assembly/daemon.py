"""How is the daemon put together?

The object graph, by hand, from the key to the listeners, in the order in which a credential comes to be. Nothing
starts here.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from uuid import UUID

from prometheus_client import CollectorRegistry

from agent import __version__
from agent.assembly.callers import bearer_tokens, grants
from agent.assembly.credentials import OpenedSts, credential_source
from agent.assembly.keys import signing_key
from agent.assembly.outputs import Doors
from agent.assembly.tokens import token_source
from agent.clients.systemd import ServiceManager
from agent.clock import Clock, RemoteClock, instant
from agent.events import Event, Report
from agent.keys import SigningKey
from agent.schedule import RefreshPolicy
from agent.service import Service
from agent.sessions import Keeper, RoleSession
from agent.settings import Settings
from agent.status.snapshot import KeyStatus, Overview
from agent.telemetry.audit import Audit
from agent.telemetry.log import Log
from agent.telemetry.metrics import Metrics
from agent.vending import Vendor
from agent.web.stats import RequestStats

#: How many characters the names of the roles that are not ready may take in the one line on how we are.
_ROOM = 150


async def assemble(
    settings: Settings,
    *,
    clock: Clock,
    chance: random.Random,
    logger: logging.Logger,
    manager: ServiceManager,
    credentials_directory: Path | None,
) -> Service:
    """Build the daemon; nothing is opened but the key. Raises ConfigurationError or KeyUnavailable."""
    aws_time = RemoteClock(clock)
    readers: list[Report] = []
    report = _telling(readers)
    key, _ = await asyncio.gather(_key(settings, credentials_directory), asyncio.to_thread(_import_aws))

    sts = OpenedSts(settings.sts)
    sessions = _sessions(settings, key, sts, clock=aws_time, report=report, chance=chance)
    keeper = Keeper(sessions.values(), clock=aws_time, concurrency=settings.sts.concurrency, spread=chance.random)
    tokens = bearer_tokens(settings.grants, clock=clock, report=report)
    vendor = Vendor(sessions, [tokens], grants(settings.grants), report)

    stats = RequestStats()
    doors = Doors(settings.listen)
    overview = Overview(
        sessions,
        clock=aws_time,
        version=__version__,
        keys=lambda: _shown(key),
        listeners=doors.open_now,
        callers=vendor.callers,
    )
    metrics = Metrics(CollectorRegistry(), overview, stats)
    audit = Audit(logger, clock)
    readers += [Log(logger, aws_time), audit, metrics]
    await tokens.read()  # or the first callers would be strangers

    def nudge() -> None:
        tokens.look()
        keeper.retry_now()

    return Service(
        clients=sts,
        jobs=[
            keeper.keep_fresh,
            tokens.keep_read,
            audit.keep_telling,
            lambda: manager.keep_told(clock, lambda: _state(overview)),
        ],
        listeners=[
            doors.credentials(vendor, tuple(sessions), aws_time, stats, logger, report),
            doors.admin(overview, metrics, keeper),
        ],
        tried=keeper.tried,
        nudge=nudge,
        state=lambda: _state(overview),
    )


def _telling(readers: Sequence[Report]) -> Report:
    def report(event: Event) -> None:
        for reader in readers:
            reader(event)

    return report


async def _key(settings: Settings, credentials_directory: Path | None) -> SigningKey | None:
    return None if settings.key is None else await signing_key(settings.key, credentials_directory)


def _import_aws() -> None:
    """Load the largest library while the key is being checked, which takes OpenSSL about as long."""
    import agent.clients.aws  # noqa: F401 - for OpenedSts to find it loaded


def _sessions(
    settings: Settings,
    key: SigningKey | None,
    sts: OpenedSts,
    *,
    clock: RemoteClock,
    report: Report,
    chance: random.Random,
) -> Mapping[str, RoleSession]:
    def token_id() -> str:
        return str(UUID(int=chance.getrandbits(128), version=4))

    sessions = {}
    for name, role in settings.roles.items():
        tokens = token_source(settings, role, key, clock=clock, token_id=token_id, report=report)
        source = credential_source(name, role, sts, tokens, clock=clock, report=report)
        sessions[name] = RoleSession(
            name, role.arn, source, RefreshPolicy(), clock=clock, report=report, spread=chance.random
        )
    return sessions


def _shown(key: SigningKey | None) -> Sequence[KeyStatus]:
    return [] if key is None else [KeyStatus(key.public.kid, key.public.algorithm, "signing")]


def _state(overview: Overview) -> str:
    """One line for `systemctl status`, and short however many roles there are."""
    roles = overview.snapshot().roles
    bad = [role.role for role in roles if not role.ready]
    if bad:
        return f"{len(roles) - len(bad)} of {len(roles)} roles ready; not ready: {_some(bad)}"
    ends = [role.expires_at for role in roles if role.expires_at is not None]
    return f"{len(roles)} of {len(roles)} roles ready; the first set ends at {instant(min(ends))}"


def _some(names: Sequence[str]) -> str:
    """The first names that find room on the line, and how many are left out."""
    ends = accumulate(len(name) + 2 for name in names)
    shown = sum(end <= _ROOM for end in ends)
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f", … and {rest} more" if rest else "")
