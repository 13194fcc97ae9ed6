"""How do we walk from one signing key to the next, and never break a token?

Announce, wait until the world has seen it for long enough, let it sign, keep the old one shown, forget it. Which step
may be taken is decided by `agent.ring` alone; here it is done, one step at a time. The ring is written before the world
is told, and the key that is to sign is at hand before the ring says that it signs: whoever kills us at any moment finds
a whole ring, from which the next start goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, NoReturn

from agent.clock import Clock
from agent.custody import Custody
from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.events import (
    IssuerCrowded,
    IssuerSeen,
    KeyAnnounced,
    KeyForgotten,
    KeyPromoted,
    KeyReady,
    Report,
    RotationStuck,
    RotationWell,
    SitePublished,
)
from agent.keys import Custodian, PublicKey, SigningKey, kind_of
from agent.ledger import Ledger
from agent.publishing import Jwk, Publisher, Sight, Sighting
from agent.publishing.discovery import MANY_KEYS, crowding, published
from agent.ring import LONGEST_BLINK, Order, Ring, Rules
from agent.ring_file import Moment

#: How often it is seen whether somebody else has changed the ring, or a time is up. Seconds.
PACE: Final = 2.0
#: How long to wait after a step that failed: where somebody may wait for us, and where nobody does.
_SOON: Final = timedelta(seconds=15)
_LATER: Final = timedelta(minutes=5)
#: How often the issuer is looked at while no key waits for it.
_IDLE: Final = timedelta(hours=1)
#: How often what has been counted is written down while nothing else is: so much is lost with each sudden end.
_KEPT: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Site:
    """The issuer's site.

    Attributes:
        publisher: where we publish; None where somebody else does.
        sight: how the world sees it; None where there is no looking.
        check: how often to look while a key waits to be seen.
    """

    publisher: Publisher | None
    sight: Sight | None
    check: timedelta = timedelta(minutes=10)


class Rotation:
    """The keys of this host, and the one that signs now."""

    def __init__(
        self,
        custody: Custody,
        site: Site,
        rules: Rules,
        *,
        ledger: Ledger,
        clock: Clock,
        report: Report,
    ) -> None:
        """Open nothing yet; the ring is that of `ledger`."""
        self._custody = custody
        self._site = site
        self._rules = rules
        self._ledger = ledger
        self._clock = clock
        self._report = report
        self._signer: SigningKey | None = None
        self._absence = KeyUnavailable("the signing key has not been opened yet", hint="wait a moment")
        self._placed: tuple[object, ...] | None = None
        #: Kids that a look missed, which could not be written down.
        self._missed: frozenset[str] = frozenset()
        self._published: Mapping[str, bool] = {}
        #: By the steady clock, in seconds: when a step that failed, or that has its times, is taken again.
        self._pauses: dict[str, float] = {}
        self._troubles: dict[str, str] = {}
        self._moved = ""

    # --- what others ask

    def signer(self) -> SigningKey:
        """The key that signs now. Raises KeyUnavailable while it cannot be had."""
        if self._signer is None:
            raise self._absence
        return self._signer

    @property
    def ring(self) -> Ring | None:
        """The ring as it stands, with the time that has passed; None until there is one."""
        return self._ledger.ring if self._ledger.known else None

    @property
    def custodians(self) -> Sequence[Custodian]:
        """Who holds the keys."""
        return self._custody.custodians

    @property
    def rules(self) -> Rules:
        """How long each stage takes."""
        return self._rules

    @property
    def published(self) -> Mapping[str, bool]:
        """By kid, whether the latest look at the issuer showed the key; empty until there was one."""
        return self._published

    @property
    def looked_at(self) -> Moment | None:
        """When the issuer was last read; None if it never was."""
        return self._ledger.looked_at

    # --- the daemon's part

    async def start(self) -> None:
        """Have the ring, and the key that signs. Raises KeyUnavailable or ConfigurationError.

        After KeyUnavailable `keep_turning` goes on trying: it may be a device that is not there yet.
        """
        try:
            await self._have_key()
        except KeyUnavailable as error:
            self._absence = error
            raise

    async def load(self) -> None:
        """Have the ring as it was written last; found it if there is none. Raises as `start` does."""
        if await self._ledger.load():
            self._pauses.clear()
        if not self._ledger.known:
            key, held = await self._custody.first()
            founded = Ring.founded(key.public, held, self._clock.now())
            self._ledger.found(founded.signs_tokens(self._rules.longest))
            self._have(key)

    async def keep_turning(self) -> NoReturn:
        """Take every step when its time has come, for ever. What fails is reported and tried again."""
        while True:
            await self.turn()
            await self._clock.sleep(PACE)

    async def turn(self) -> None:
        """Take the steps whose time has come."""
        await self._tried("key", self._have_key, _SOON)
        if not self._ledger.known:
            return
        hurried = self._ledger.ring.ordered == "emergency"
        await self._tried("successor", self._announce_if_due, _SOON if hurried else _LATER)
        await self._tried("promotion", self._promote_if_ripe, _SOON)
        await self._tried("forgetting", self._forget_if_over, _SOON)
        await self._tried("publishing", self._publish_if_changed, _SOON if self._ledger.ring.withdrawn else _LATER)
        await self._tried("issuer", self._look, self._site.check)
        await self._tried("destroying", self._destroy, _LATER)
        await self._tried("tokens", self._note_longest, _LATER)
        await self._tried("state", self._write, _LATER)

    def retry_now(self) -> None:
        """Try again, on the next turn, what has failed, and look at the issuer: somebody has mended it, and says so."""
        for step in ("issuer", *self._troubles):
            self._pauses.pop(step, None)

    async def close(self) -> None:
        """Let go of the custodian; nothing is signed after this."""
        await self._custody.close()

    # --- what an operator asks

    async def order(self, what: Order, kid: str | None = None) -> None:
        """Have another key, on the next turn; for an emergency, one that signs at once, in place of that of `kid`.

        Raises ConfigurationError where there is no such key, KeyUnavailable.
        """
        self._ledger.file()
        await self._change(lambda ring: ring.order(what, kid))
        if what == "emergency" and kid is not None and kid not in {key.kid for key in self._ledger.ring.shown}:
            self._report(KeyForgotten(kid, "stolen"))

    async def take_back(self, kid: str) -> None:
        """Let go of a key that is announced, or retired for long enough. Raises ConfigurationError, KeyUnavailable."""
        self._ledger.file()
        await self._change(lambda ring: ring.take_back(kid))
        self._report(KeyForgotten(kid, "taken back"))

    # --- steps

    async def _have_key(self) -> None:
        """Have the ring as it was written last, or found it; and the key that signs at hand, or none."""
        await self.load()
        member = self._ledger.ring.signing
        if self._signer is not None and self._signer.public.kid == member.public.kid:
            return
        if self._signer is not None:  # somebody else has let another key sign, and may well know why
            self._signer = None
            self._absence = KeyUnavailable(f"the key {member.public.kid}, which signs now, is just being opened")
        with suppress(KeyUnavailable):  # a full disk is no reason not to sign; it is noted with whatever step is next
            await self._note_longest()
        self._have(await self._custody.open(member))

    async def _note_longest(self) -> None:
        """Have it written how long tokens live, before the first of them is signed: its key is shown until then."""
        if self._ledger.ring.signing.longest < self._rules.longest:
            await self._change(lambda ring: ring)

    def _have(self, key: SigningKey) -> None:
        self._signer = key
        self._report(KeyReady(key.public.kid, key.public.algorithm))

    async def _announce_if_due(self) -> None:
        if self._ledger.ring.announced is None and (self._ledger.ring.due(self._rules) or not await self._is_moved()):
            await self._announce()
        if self._ledger.ring.ordered == "emergency":
            await self._replace_at_once()

    async def _announce(self, lost: str | None = None) -> SigningKey:
        """Make a key, and announce it; in place of one that is lost, if that is why."""
        file = self._ledger.file()
        await self._change(lambda ring: ring)  # no key is made that could not be written down
        key, held = await self._custody.make(self._rules.kind or kind_of(self._ledger.ring.signing.public))

        def announced(ring: Ring) -> Ring:
            left = ring if lost is None else ring.take_back(lost)
            return left.announce(key.public, held, self._clock.now())

        try:
            await self._change(announced)
        except AgentError:
            if held.ours and not await asyncio.to_thread(file.may_hold, key.public.kid):  # or each try would leave one
                with suppress(AgentError):
                    await self._custody.destroy(key.public.kid, held)
            raise
        if lost is not None:
            self._report(KeyForgotten(lost, "taken back"))
        self._report(KeyAnnounced(key.public.kid, self._rules.announce))
        self._pauses.clear()
        return key

    async def _is_moved(self) -> bool:
        """Whether the key that signs is where keys are to be; once it is, it stays there."""
        member = self._ledger.ring.signing
        if self._moved != member.public.kid and await self._custody.moved(member):
            self._moved = member.public.kid
        return self._moved == member.public.kid

    async def _replace_at_once(self) -> None:
        """Obey: the key that signs is stolen, and the operator was told what this breaks."""
        announced, stolen = self._ledger.ring.announced, self._ledger.ring.signing.public.kid
        assert announced is not None
        try:
            key = await self._custody.open(announced)
        except KeyUnavailable as away:
            # Where another can be made, it is not the custodian that is away, but this key. There is no time to wait.
            try:
                key = await self._announce(lost=announced.public.kid)
            except ConfigurationError:
                raise away from None
        await self._change(lambda ring: ring.replace_at_once(key.public.kid, self._clock.now()))
        self._have(key)
        self._report(KeyPromoted(key.public.kid, stolen))
        self._report(KeyForgotten(stolen, "stolen"))
        self._pauses.clear()

    async def _promote_if_ripe(self) -> None:
        ripe, before = self._ledger.ring.ripe(self._rules), self._ledger.ring.signing.public.kid
        since = self._ledger.moment().after(self.looked_at)
        if ripe is None or since is None or since > LONGEST_BLINK:  # look again first
            return
        key = await self._custody.open(ripe)  # that it can sign is seen before it has to
        await self._change(lambda ring: ring.promote(key.public.kid, self._rules, self._clock.now()))
        self._have(key)
        self._report(KeyPromoted(ripe.public.kid, before))

    async def _forget_if_over(self) -> None:
        over = [member.public.kid for member in self._ledger.ring.over(self._rules)]
        if not over:
            return
        await self._change(lambda ring: ring.forget(self._rules))
        for kid in over:
            self._report(KeyForgotten(kid, "retired"))
        self._pauses.clear()

    async def _publish_if_changed(self) -> None:
        ring = self._ledger.ring
        wanted = _wanted(ring)
        if self._site.publisher is None or wanted == self._placed:
            return
        placed = await self._site.publisher.publish(*wanted)
        self._placed = wanted
        self._report(SitePublished(tuple((one.where, one.state) for one in placed)))

    async def _look(self) -> None:
        """Look at the issuer as the world sees it, and again after a while."""
        if self._site.sight is None:
            return
        began = self._ledger.moment()
        sighting = await self._site.sight.look()
        ring = self._ledger.ring
        seen = frozenset(key.kid for key in ring.shown if _is_shown(key, sighting))
        self._published = {key.kid: key.kid in seen for key in ring.shown}
        self._report(IssuerSeen(ring.signing.public.kid in seen, tuple(self._published), tuple(sorted(seen))))
        for kind, count in crowding(tuple(sighting.keys.values())).items():
            if count >= MANY_KEYS:
                self._report(IssuerCrowded(kind, count))
        self._missed |= {key.kid for key in ring.shown} - seen
        # What we have not taken away ourselves is not gone, though this look may not show it.
        undone = self._site.publisher is not None and self._placed != _wanted(ring)
        still = {kid for kid in ring.withdrawn if undone or kid in sighting.keys}
        complete = len(seen) == len(ring.shown) and not still
        if not complete:  # what we have published is not there, or not any more
            self._placed = None
        calm = complete and ring.announced is None
        self._pause("issuer", max(self._site.check, _IDLE) if calm else self._site.check)

        def looked(now: Ring, since: timedelta | None) -> Ring:
            return now.looked(seen - self._missed | still, since).looked(seen | still, timedelta(0))

        self._pause("state", _KEPT)
        await self._ledger.look(began, looked)
        self._missed = frozenset()

    async def _destroy(self) -> None:
        """Destroy the private halves of forgotten keys."""
        for key in self._ledger.ring.forgotten:
            if key.held is not None:
                with suppress(ConfigurationError):  # not ours to destroy, after all
                    await self._custody.destroy(key.kid, key.held)
                await self._change(partial(Ring.destroyed, kid=key.kid))

    async def _write(self) -> None:
        """Write down from time to time what has been counted."""
        if self._ledger.is_kept:
            await self._change(lambda ring: ring)

    async def _change(self, step: Callable[[Ring], Ring]) -> None:
        """Take a step from the ring as it stands, and have it written before anybody acts on it."""
        self._pause("state", _KEPT)
        await self._ledger.change(lambda ring: step(ring).signs_tokens(self._rules.longest))

    def _pause(self, step: str, span: timedelta) -> None:
        self._pauses[step] = self._clock.steady() + span.total_seconds()

    # --- telling

    async def _tried(self, step: str, taken: Callable[[], Awaitable[None]], again: timedelta) -> None:
        """Take a step; what keeps us from it is told once, and once more when it is over."""
        if self._clock.steady() < self._pauses.get(step, 0.0):
            return
        self._pauses.pop(step, None)
        try:
            await taken()
        except AgentError as error:
            self._pause(step, again)
            if step == "key":
                self._absence = KeyUnavailable(error.what, hint=error.hint)
            if self._troubles.get(step) != error.what:
                self._troubles[step] = error.what
                self._report(RotationStuck(step, error))
        else:
            if self._troubles.pop(step, None) is not None:
                self._report(RotationWell(step))


def _is_shown(key: PublicKey, sighting: Sighting) -> bool:
    """Whether the world reads this very key under its kid, and no other that somebody has put there."""
    there = sighting.keys.get(key.kid)
    return there is not None and all(there.get(name) == value for name, value in key.jwk.items())


def _wanted(ring: Ring) -> tuple[tuple[Jwk, ...], tuple[str, ...]]:
    """What the world is to see, and what it is to see no more."""
    return tuple(published(key) for key in ring.shown), ring.withdrawn
