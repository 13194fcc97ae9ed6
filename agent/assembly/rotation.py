"""How do our signing keys follow one another, and where are they shown?"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agent.assembly.keys import chores as custodian_chores
from agent.assembly.keys import custody
from agent.clock import Clock, SystemClock, within
from agent.errors import KeyUnavailable
from agent.events import Report
from agent.keys import SigningKey
from agent.ledger import Ledger
from agent.publishing import Publisher, Sight, Sighting
from agent.publishing.discovery import published
from agent.ring import Ring, Rules
from agent.ring_file import RingFile
from agent.rotation import Rotation, Site
from agent.service import READY_PATIENCE, Job
from agent.settings import Pem, Settings
from agent.settings.lifetimes import longest_token
from agent.settings.succession import usual_keep

if TYPE_CHECKING:
    from agent.publishing.world import PublicSite

#: Names one run of this machine, and so of the clock that counts it (proc(5)).
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def rotation(
    settings: Settings,
    credentials_directory: Path | None,
    *,
    publisher: Publisher | None,
    clock: Clock,
    report: Report,
) -> Rotation:
    """The keys of this host, nothing of which is opened yet. Raises ConfigurationError."""
    words = settings.rotation
    check = timedelta(minutes=10) if words is None else words.check
    return Rotation(
        custody(settings, credentials_directory, clock),
        Site(publisher, None if publisher is None else _LateSight(settings, clock), check),
        rules(settings),
        ledger=Ledger(ring_file(settings), clock=clock, boot=boot(), report=report),
        clock=clock,
        report=report,
    )


def chores(walk: Rotation) -> Sequence[Job]:
    """What has to be done meanwhile, for ever."""
    return [walk.keep_turning, *(job for custodian in walk.custodians for job in custodian_chores(custodian))]


def rules(settings: Settings) -> Rules:
    """How long each stage of a rotation takes; where the ring is not kept, none begins. Raises ConfigurationError."""
    words, longest = settings.rotation, longest_token(settings)
    if words is None or ring_file(settings) is None:
        return Rules(every=None, keep=usual_keep(longest), longest=longest)
    return Rules(words.every if words.automatic else None, words.announce, words.keep, words.kind, longest)


def ring_file(settings: Settings) -> RingFile | None:
    """Where the ring is kept; None where one key signs for good.

    A rotation that nobody has asked for in so many words is no reason not to start: it needs a place to write to. But
    a ring that is there says which of the keys signs, whoever may write to it.
    """
    words = settings.rotation
    if words is None or words.state is None:
        return None
    file = RingFile(words.state)
    if not settings.rotation_asked and not os.path.lexists(file.path) and not os.access(words.state, os.W_OK):
        return None
    return file


@contextmanager
def ring_held(settings: Settings) -> Iterator[None]:
    """Have the ring to ourselves while this lasts. Raises KeyUnavailable, above all where another agent has it.

    A file system that has become read-only is no reason not to sign: nobody can change the ring there, and it says
    which key it is.
    """
    file = ring_file(settings)
    with ExitStack() as stack:
        try:
            if file is not None:
                stack.enter_context(file.ours())
        except KeyUnavailable as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS):
                raise
        yield


class _LateSight:
    """Our issuer as the world sees it; what reads it is loaded for the first look, for which no start has to wait."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._site: Sight | None = None

    async def look(self) -> Sighting:
        """Read the issuer's documents. Raises IssuerUnreadable."""
        if self._site is None:
            self._site = await asyncio.to_thread(public_site, self._settings, self._clock)
        return await self._site.look()


def public_site(settings: Settings, clock: Clock) -> "PublicSite":
    """Our issuer as the world sees it."""
    from agent.publishing.world import PublicSite

    assert settings.issuer is not None
    return PublicSite(
        settings.issuer.url, clock=clock, ca_bundle=settings.issuer.ca_bundle, proxy=settings.issuer.proxy
    )


@asynccontextmanager
async def signing_key(
    settings: Settings, credentials_directory: Path | None, clock: Clock
) -> AsyncIterator[SigningKey]:
    """The key that signs now, for as long as the context lasts. Raises KeyUnavailable or ConfigurationError."""
    walk = rotation(settings, credentials_directory, publisher=None, clock=clock, report=lambda _: None)
    try:
        await walk.start()
        yield walk.signer()
    finally:
        await walk.close()


async def publish_ring(settings: Settings, credentials_directory: Path | None, publisher: Publisher) -> Ring:
    """Publish our keys as they stand: the ring. Raises KeyUnavailable, ConfigurationError, PublishingFailed."""
    walk = rotation(settings, credentials_directory, publisher=None, clock=SystemClock(), report=lambda _: None)
    try:
        await walk.load()
        ring = walk.ring
        assert ring is not None  # or it would have been raised why not
        await publisher.publish([published(key) for key in ring.shown], ring.withdrawn)
        return ring
    finally:
        await walk.close()


async def started(walk: Rotation, settings: Settings, clock: Clock) -> None:
    """Have the key that signs, if it is there. Raises ConfigurationError, and KeyUnavailable for a key in a file.

    Devices and services come late, hang and go: the agent starts without them, and goes on asking.
    """
    try:
        await within(clock, READY_PATIENCE, walk.start())
    except TimeoutError:
        return
    except KeyUnavailable:
        ring = walk.ring
        # Where the keys move, [key] may be a file, and the one that signs in a device.
        if isinstance(settings.key, Pem) if ring is None else ring.signing.held.custodian == "pem":
            raise


def boot() -> str:
    """The id of this run of the machine; where nobody says, one that no other process will have."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"process {os.getpid()}"
