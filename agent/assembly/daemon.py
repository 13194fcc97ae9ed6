"""How is the daemon put together?

The object graph, by hand, from the key to the listeners, in the order in which a credential comes to be. Nothing
starts here.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry

from agent import __version__
from agent.assembly.callers import grants, token_grants
from agent.assembly.credentials import OpenedSts
from agent.assembly.files import kept_files
from agent.assembly.issuing import issuing, subject_of
from agent.assembly.outputs import Common, Doors
from agent.assembly.publishing import Place, place
from agent.assembly.recognition import Recognition, recognition
from agent.assembly.rotation import chores, ring_held, rotation, started
from agent.assembly.sessions import kept, session_maker
from agent.assembly.tokens import shared_tokens
from agent.clients.systemd import ServiceManager
from agent.clock import Clock, RemoteClock, instant
from agent.events import Event, KeyForgotten, KeyReady, Report
from agent.narrowing import WHOLE
from agent.ring import prospect
from agent.rotation import Rotation
from agent.service import Service
from agent.sessions import Keeper, RoleSession
from agent.settings import Settings
from agent.status.snapshot import KeyRing, KeyStatus, Overview
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

    sts = OpenedSts(settings.sts)
    sessions: dict[str, RoleSession] = {}
    published = place(settings, sessions, clock=aws_time, chance=chance, report=report)
    walk = _walk(settings, credentials_directory, published, clock=aws_time, report=report)
    if walk is not None:
        await asyncio.gather(started(walk, settings, clock), asyncio.to_thread(_import_aws))
    granted = grants(settings.grants)
    local = token_grants(settings.grants, subject_of(settings))
    signer = None if walk is None else walk.signer
    shared = shared_tokens(settings, signer, credentials_directory, clock=aws_time, report=report, chance=chance)
    make = session_maker(settings, signer, sts, clock=aws_time, report=report, chance=chance, shared=shared)
    roster, keeper = kept(settings, granted, make, clock=aws_time, report=report, chance=chance)
    sessions |= {one.name: one.session for one in roster.kept() if one.extent == WHOLE}
    tokens = issuing(settings, local, signer, clock=aws_time, report=report, chance=chance)
    keepers = (keeper, tokens.keeper)
    seeing = recognition(settings, [*granted, *local], clock=aws_time, report=report)
    vendor = Vendor(roster, seeing.attestors, granted, report)
    token_vendor = tokens.vendor(local, seeing.attestors)
    files = kept_files(settings, roster, signer, clock=aws_time, report=report, chance=chance, shared=shared)

    stats = RequestStats()
    doors = Doors(settings.listen, Common(aws_time, stats, logger, report))
    keys = partial(_shown, walk)
    overview = Overview(
        roster, clock=aws_time, version=__version__, keys=keys, listeners=doors.open_now, callers=vendor.callers
    )
    metrics, audit = Metrics(CollectorRegistry(), overview, stats), Audit(logger, clock)
    readers += [
        Log(logger, aws_time),
        audit,
        metrics,
        *(_hurrying(one) for one in keepers),
        _replacing(tokens.keeper),
        *(file.heard for file in files),
    ]
    await seeing.begin()  # or the first callers would be strangers

    listeners = [
        *doors.credentials(vendor, token_vendor, roster.names, seeing.recogniser),
        doors.admin(overview, metrics, keeper),
    ]
    if settings.containers is not None:
        listeners += doors.containers(settings.containers, vendor, token_vendor, roster.names, seeing.of_containers)
    if published is not None and published.site is not None:
        listeners.append(doors.issuer(published.site, credentials_directory))
    return Service(
        clients=_opened(settings, sts, walk, published, seeing, doors),
        jobs=[
            *(one.keep_fresh for one in keepers),
            roster.keep_tidy,
            tokens.roster.keep_tidy,
            *seeing.jobs,
            *(file.keep_fresh for file in files),
            audit.keep_telling,
            lambda: manager.keep_told(clock, lambda: _state(overview)),
            *(chore for one in _there(walk) for chore in chores(one)),
        ],
        listeners=listeners,
        tried=_all_tried(keepers),
        nudge=_all_of(
            [seeing.tokens.look, *(one.retry_now for one in (shared, *files, *_there(walk), *keepers) if one)]
        ),
        state=lambda: _state(overview),
    )


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


def _all_tried(keepers: Sequence[Keeper]) -> Callable[[], Awaitable[None]]:
    async def tried() -> None:
        for keeper in keepers:
            await keeper.tried()

    return tried


def _all_of(calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
    def every() -> None:
        for call in calls:
            call()

    return every


def _telling(readers: Sequence[Report]) -> Report:
    def report(event: Event) -> None:
        for reader in readers:
            reader(event)

    return report


@asynccontextmanager
async def _opened(
    settings: Settings,
    sts: OpenedSts,
    walk: Rotation | None,
    published: Place | None,
    seeing: Recognition,
    doors: Doors,
) -> AsyncIterator[None]:
    """What is open while the daemon lives.

    STS, the custodian, the place where we publish, the ring as ours alone, the kernel, and the socket at which systemd
    fetches tokens, which units that are started with us wait for. Raises KeyUnavailable where another agent has the
    ring, ListenerUnavailable, ConfigurationError.
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
        await stack.enter_async_context(sts)
        yield


def _hurrying(keeper: Keeper) -> Report:
    """Tries again at once what may have failed for want of the key."""

    def read(event: Event) -> None:
        if isinstance(event, KeyReady):
            keeper.retry_now()

    return read


def _replacing(tokens: Keeper) -> Report:
    """Has tokens signed anew when the key that signed them was stolen: it is shown no longer."""

    def read(event: Event) -> None:
        if isinstance(event, KeyForgotten) and event.why == "stolen":
            tokens.renew_all()

    return read


def _import_aws() -> None:
    """Load the largest library while the key is being checked, which takes OpenSSL about as long."""
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
    roles = overview.snapshot().roles
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
