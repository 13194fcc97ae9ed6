"""How is the daemon put together?

The object graph, by hand, from the key to the listeners, in the order in which a credential comes to be. Nothing
starts here.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from agent import __version__
from agent.assembly.cognito import Cognito
from agent.assembly.credentials import OpenedSts
from agent.assembly.files import kept_files
from agent.assembly.holding import Holding, Issuers, holding
from agent.assembly.identity_center import IdentityCenter, identity_center
from agent.assembly.outputs import Common, Doors, Named
from agent.assembly.publishing import Place, place
from agent.assembly.recognition import Recognition
from agent.assembly.rotation import chores, ring_held, rotation, started
from agent.assembly.tokens import shared_tokens
from agent.assembly.verifying import Verification, verification
from agent.clients.systemd import ServiceManager
from agent.clock import Clock, RemoteClock, WorldClock, instant
from agent.events import Event, Report
from agent.ring import prospect
from agent.rotation import Rotation
from agent.service import Service
from agent.sessions import RoleSession
from agent.settings import Settings
from agent.status.snapshot import Beside, KeyRing, KeyStatus, Overview, StatusSnapshot
from agent.status.tokens import token_statuses
from agent.telemetry.audit import Audit
from agent.telemetry.log import Log
from agent.telemetry.metrics import Metrics
from agent.web.stats import RequestStats

if TYPE_CHECKING:
    from agent.assembly.aws_callers import AwsDoor

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

    sts = OpenedSts(settings.sts)
    sessions: dict[str, RoleSession] = {}
    published = place(settings, sessions, clock=aws_time, chance=chance, report=report)
    walk = _walk(settings, credentials_directory, published, clock=aws_time, report=report)
    if walk is not None:
        await asyncio.gather(started(walk, settings, clock), asyncio.to_thread(_import_aws, settings))
    signer = None if walk is None else walk.signer
    shared = shared_tokens(settings, signer, credentials_directory, clock=aws_time, report=report, chance=chance)
    center = identity_center(settings, wall=clock, clock=aws_time, report=report)
    held = holding(settings, Issuers(signer, shared, center), sts, clock=aws_time, report=report, chance=chance)
    sessions |= held.whole
    files = kept_files(settings, held.roster, signer, clock=aws_time, report=report, chance=chance, shared=shared)

    ring, world = (lambda: None if walk is None else walk.ring), WorldClock(aws_time)
    checking = verification(settings, ring, clock=world, report=report)

    common = Common(aws_time, RequestStats(), logger, report)
    doors = Doors(settings.listen, common)
    overview = Overview(
        held.roster,
        clock=aws_time,
        version=__version__,
        keys=partial(_shown, walk),
        listeners=doors.open_now,
        callers=held.vendor.callers,
        beside=_beside(held, center, checking),
    )
    metrics, audit = Metrics(CollectorRegistry(), overview, common.stats), Audit(logger, clock)
    readers += [Log(logger, aws_time), audit, metrics, held.heard, *(file.heard for file in files)]
    await held.seeing.begin()  # or the first callers would be strangers

    outside = _outside(settings, held, common, credentials_directory)
    listeners = [*_for_callers(settings, doors, held, checking), doors.admin(overview, metrics, held.keeper)]
    if outside is not None:
        listeners.append(doors.aws_callers(outside))
    if published is not None and published.site is not None:
        listeners.append(doors.issuer(published.site, credentials_directory))
    signed_in = shared if isinstance(shared, Cognito) else None
    ways = _clients(sts if settings.uses_sts else None, center, outside, signed_in)
    hurried = [one for one in (shared, checking, *files, *_there(walk), *held.keepers) if one is not None]
    return Service(
        clients=_opened(settings, walk, published, held.seeing, doors, ways),
        jobs=[
            *held.jobs,
            *(job for one in (checking, outside, center, signed_in) if one is not None for job in one.jobs),
            *(file.keep_fresh for file in files),
            audit.keep_telling,
            lambda: manager.keep_told(clock, lambda: _state(overview)),
            *(chore for one in _there(walk) for chore in chores(one)),
        ],
        listeners=listeners,
        tried=_all_tried([one.tried for one in (held, checking) if one is not None]),
        nudge=_all_of([held.seeing.tokens.look, *(one.retry_now for one in hurried)]),
        state=lambda: _state(overview),
    )


def _beside(held: Holding, center: IdentityCenter | None, checking: Verification | None) -> Beside:
    """What the status tells beside roles."""
    return Beside(
        sign_ins=lambda: () if center is None else (center.status,),
        tokens=lambda: token_statuses(held.issuing.roster, held.tokens.callers),
        rules=tuple if checking is None else checking.statuses,
    )


def _for_callers(settings: Settings, doors: Doors, held: Holding, checking: Verification | None) -> Iterator[Named]:
    """The listeners that callers of this machine ask, for what is held and about the tokens of others."""
    names, seeing = held.roster.names, held.seeing
    yield from doors.credentials(held.vendor, held.tokens, names, seeing.recogniser)
    if settings.containers is not None:
        yield from doors.containers(settings.containers, held.vendor, held.tokens, names, seeing.of_containers)
    if checking is not None:
        yield doors.verifying(checking, seeing.recogniser)


def _outside(settings: Settings, held: Holding, common: Common, credentials_directory: Path | None) -> "AwsDoor | None":
    """The listener for callers inside AWS, where there is one. Raises ConfigurationError."""
    if settings.aws_callers is None:
        return None
    from agent.assembly.aws_callers import aws_door

    vendor = held.issuing.vendor(held.remote, [])
    return aws_door(settings, held.remote, vendor, common, credentials_directory=credentials_directory)


def _clients(
    sts: OpenedSts | None, center: IdentityCenter | None, outside: "AwsDoor | None", signed_in: Cognito | None
) -> Iterator[AbstractAsyncContextManager[object]]:
    """The ways to AWS, of those that are needed: STS for us, Identity Center, and STS for callers inside AWS."""
    if sts is not None:
        yield sts
    if center is not None:
        yield center.center
    if outside is not None:
        yield outside.open()
    if signed_in is not None:
        yield signed_in.open()


def _walk(
    settings: Settings,
    credentials_directory: Path | None,
    published: Place | None,
    *,
    clock: RemoteClock,
    report: Report,
) -> Rotation | None:
    """The walk from key to key; None where the tokens are not our own. Raises ConfigurationError."""
    if settings.key is None or settings.issuer is None:
        return None
    publisher = None if published is None else published.publisher
    return rotation(settings, credentials_directory, publisher=publisher, clock=clock, report=report)


def _there(walk: Rotation | None) -> Sequence[Rotation]:
    """The walk from key to key, where there is one."""
    return () if walk is None else (walk,)


def _all_of(calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
    def every() -> None:
        for call in calls:
            call()

    return every


def _all_tried(tries: Sequence[Callable[[], Awaitable[None]]]) -> Callable[[], Awaitable[None]]:
    async def every() -> None:
        await asyncio.gather(*(tried() for tried in tries))

    return every


def _telling(readers: Sequence[Report]) -> Report:
    def report(event: Event) -> None:
        for reader in readers:
            reader(event)

    return report


@asynccontextmanager
async def _opened(
    settings: Settings,
    walk: Rotation | None,
    published: Place | None,
    seeing: Recognition,
    doors: Doors,
    clients: Iterable[AbstractAsyncContextManager[object]],
) -> AsyncIterator[None]:
    """What is open while the daemon lives.

    The clients of AWS, the custodian, the place where we publish, the ring as ours alone,
    the kernel, and the socket at which systemd fetches tokens, which units that are started with us wait for. Raises
    KeyUnavailable where another agent has the ring, ListenerUnavailable, ConfigurationError.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(seeing.open())
        if settings.unit_tokens is not None and seeing.unit_tokens is not None:
            await stack.enter_async_context(doors.unit_tokens(seeing.unit_tokens, settings.unit_tokens.socket))
        if walk is not None:
            stack.enter_context(ring_held(settings))
        if published is not None:
            stack.push_async_callback(published.close)
        if walk is not None:
            stack.push_async_callback(walk.close)
        for client in clients:
            await stack.enter_async_context(client)
        yield


def _import_aws(settings: Settings) -> None:
    """Load the largest library, if it is needed, while the key is being checked, which takes OpenSSL about as long."""
    if settings.uses_sts:
        import agent.clients.aws  # noqa: F401 - for OpenedSts to find it loaded


def _shown(walk: Rotation | None) -> KeyRing:
    """How the keys stand."""
    ring = None if walk is None else walk.ring
    if walk is None or ring is None:
        return KeyRing()
    keys = []
    for member in ring.members:
        ahead = prospect(ring, member, walk.rules)
        public = member.public
        keys.append(
            KeyStatus(
                public.kid,
                public.algorithm,
                member.state,
                custodian=member.held.custodian,
                since=member.since,
                published=walk.published.get(public.kid),
                next=ahead.next,
                next_in=ahead.within,
            )
        )
    return KeyRing(tuple(keys), None if walk.looked_at is None else walk.looked_at.wall)


def _state(overview: Overview) -> str:
    """One line for `systemctl status`, and short however many roles there are."""
    now = overview.snapshot()
    return "; ".join(filter(None, (_of_roles(now), _of_tokens(now), _of_rules(now))))


def _of_tokens(now: StatusSnapshot) -> str:
    """How the tokens for others stand, where there are no roles, or where some are not to be had."""
    if bare := [one.audience for one in now.tokens if one.state == "bare"]:
        return f"no tokens for {_some(bare)}"
    count = len(now.tokens)
    return f"tokens for {count} relying part{'y' if count == 1 else 'ies'}" if count and not now.roles else ""


def _of_rules(now: StatusSnapshot) -> str:
    """How it stands with verifying, where there are no roles, or where some tokens cannot be verified."""
    if bare := [one.rule for one in now.rules if one.state == "bare"]:
        return f"no keys for the rule{'' if len(bare) == 1 else 's'} {_some(bare)}"
    count = len(now.rules)
    return f"{count} rule{'' if count == 1 else 's'} for tokens of others" if count and not now.roles else ""


def _of_roles(now: StatusSnapshot) -> str:
    roles = now.roles
    if not roles and (now.tokens or now.rules):
        return ""
    bad = [role.role for role in roles if not role.ready]
    if bad:
        return f"{len(roles) - len(bad)} of {len(roles)} roles ready; not ready: {_some(bad)}"
    ends = [role.expires_at for role in roles if role.expires_at is not None]
    first = f"; the first set ends at {instant(min(ends))}" if ends else ""
    return f"{len(roles)} of {len(roles)} roles ready{first}"


def _some(names: Sequence[str]) -> str:
    """The first names that find room on the line, and how many are left out."""
    ends = accumulate(len(name) + 2 for name in names)
    shown = sum(end <= _ROOM for end in ends)
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f", … and {rest} more" if rest else "")
