"""Which key signs, which keys are shown, and until when?

Pure. A key is announced, then signs, is then retired, and in the end forgotten. All spans are counted by whoever owns
the ring, on a clock that never jumps: what a wall clock says of the time that has passed moves nobody on.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from agent.errors import ConfigurationError
from agent.keys import Kind, PublicKey

State = Literal["announced", "signing", "retired"]
#: What an operator has told us to do and is not done yet.
Order = Literal["rotate", "emergency"]

#: No key signs before it was seen for this long: API Gateway keeps a key set for two hours.
LEAST_ANNOUNCED: Final = timedelta(hours=2, minutes=15)
#: No token is longer where nothing is said of it: STS needs minutes, and by hand none is made for more than an hour.
USUAL_TOKEN: Final = timedelta(hours=1)
#: For how long a key is still shown after the end of its last token: AWS's leeway, and two hours of a kept key set.
AFTERWARDS: Final = timedelta(hours=2, minutes=5)
#: No key that signed is taken away before this.
LEAST_KEPT: Final = USUAL_TOKEN + AFTERWARDS
#: What may lie between two looks at the issuer for the time between them to count as time in which a key was seen.
LONGEST_BLINK: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """How long each stage takes.

    Attributes:
        every: a key signs for this long before its successor is made; None: until somebody says so.
        announce: a key is seen through the issuer's public URL for this long before it signs.
        keep: a key is shown for this long after it has signed last.
        kind: that of new keys; None: that of the key that signs.
        longest: the longest token that is signed from now on.
    """

    every: timedelta | None = timedelta(days=90)
    announce: timedelta = timedelta(hours=24)
    keep: timedelta = timedelta(hours=24)
    kind: Kind | None = None
    longest: timedelta = USUAL_TOKEN

    def __post_init__(self) -> None:
        """Refuse what would break tokens."""
        least = least_kept(self.longest)
        if self.announce < LEAST_ANNOUNCED or self.keep < least:
            raise ConfigurationError(
                f"a key must be seen for {LEAST_ANNOUNCED} before it signs, and shown for {least} afterwards",
                hint="leave rotation.announce and rotation.keep out, or choose longer ones",
            )


def least_kept(longest: timedelta) -> timedelta:
    """For how long a key must be shown after it has signed a token that lives so long."""
    return max(longest, USUAL_TOKEN) + AFTERWARDS


@dataclass(frozen=True, slots=True)
class Held:
    """Where a private key is: the kind of its custodian, its name there, and whether it was made for us."""

    custodian: str
    name: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A key of the ring.

    Attributes:
        public: its public half.
        held: where the private half is.
        state: where on its way it is.
        since: when it came to be so, by a clock that may have been wrong: for people to read.
        counted: announced: for how long it has been seen without a break; signing: for how long it has signed;
            retired: for how long it has not.
        seen: whether the latest look at the issuer showed it.
        longest: the longest token that it may have signed, whatever is configured by now.
    """

    public: PublicKey
    held: Held
    state: State
    since: datetime
    counted: timedelta = timedelta(0)
    seen: bool = False
    longest: timedelta = USUAL_TOKEN

    def kept(self, rules: Rules) -> timedelta:
        """For how long it is shown after it has signed last: as the rules say, and until its last token is over."""
        return max(rules.keep, least_kept(self.longest))


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A key that has left the ring; to be taken from the issuer's site, and destroyed if it was made for us.

    Attributes:
        kid: its name.
        held: where the private half is; None once it is destroyed, or is not ours to destroy.
        shown: whether it may still be on the issuer's site.
    """

    kid: str
    held: Held | None
    shown: bool


_Change = Callable[[Member], Member]


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of one issuer on this host, as a value: every step gives a new ring.

    Just one member signs. Attributes:
        members: in the order in which they came.
        forgotten: those of which something is still to be done.
        ordered: what somebody has told us to do.
    """

    members: tuple[Member, ...]
    forgotten: tuple[Forgotten, ...] = ()
    ordered: Order | None = None

    def __post_init__(self) -> None:
        """Hold to what every ring is. Raises ValueError: no step leads to another, only a damaged file does."""
        states = [member.state for member in self.members]
        if states.count("signing") != 1 or states.count("announced") > 1:
            raise ValueError("just one key of a ring signs, and at most one is announced")
        kids = [member.public.kid for member in self.members] + [key.kid for key in self.forgotten]
        if len(set(kids)) != len(kids):
            raise ValueError("a key is in the ring twice")
        if any(key.held is not None and not key.held.ours for key in self.forgotten):
            raise ValueError("a key is to be destroyed that is not ours")

    @classmethod
    def founded(cls, public: PublicKey, held: Held, now: datetime) -> "Ring":
        """The ring of a host that has one key, which signs: there is none that could sign while it is announced."""
        return cls((Member(public, held, "signing", now),))

    @property
    def signing(self) -> Member:
        """The key that signs."""
        return next(member for member in self.members if member.state == "signing")

    @property
    def announced(self) -> Member | None:
        """The key that will sign next, if one is on its way."""
        return next((member for member in self.members if member.state == "announced"), None)

    @property
    def retired(self) -> tuple[Member, ...]:
        """The keys that sign no more, and are shown for the sake of tokens that they have signed."""
        return tuple(member for member in self.members if member.state == "retired")

    @property
    def shown(self) -> tuple[PublicKey, ...]:
        """What the world is to see."""
        return tuple(member.public for member in self.members)

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """The kids of those that the world is to see no more."""
        return tuple(key.kid for key in self.forgotten if key.shown)

    # --- time passes

    def passed(self, span: timedelta) -> "Ring":
        """So much time has passed, by the steady clock."""
        counting = {"signing", "retired"}
        return self._each(lambda m: replace(m, counted=m.counted + span) if m.state in counting else m)

    def looked(self, seen: Collection[str], since_last: timedelta | None) -> "Ring":
        """The issuer was read through its public URL, and these kids were there with our keys under them.

        `since_last` is the time since the look before this one; None if nobody knows. What is missing begins anew. A
        long time without a look is no proof that the key was there all the while, and counts only in part.
        """
        between = timedelta(0) if since_last is None else min(since_last, LONGEST_BLINK)

        def look(member: Member) -> Member:
            there = member.public.kid in seen
            if member.state != "announced":
                return replace(member, seen=there)
            counted = timedelta(0)
            if there:
                counted = member.counted + (between if member.seen else timedelta(0))
            return replace(member, seen=there, counted=counted)

        left = tuple(replace(key, shown=key.shown and key.kid in seen) for key in self.forgotten)
        return replace(self._each(look), forgotten=_unfinished(left))

    # --- steps

    def due(self, rules: Rules) -> bool:
        """Whether it is time for another key: somebody says so, or the one that signs has done so long enough."""
        if self.announced is not None:
            return False
        return self.ordered is not None or (rules.every is not None and self.signing.counted >= rules.every)

    def announce(self, public: PublicKey, held: Held, now: datetime) -> "Ring":
        """Let the world see a new key. Raises ConfigurationError if it is known, or if one is on its way."""
        if public.kid in {member.public.kid for member in self.members} | {key.kid for key in self.forgotten}:
            raise ConfigurationError(
                f"the key {public.kid} is in use already, or has been", hint="a rotation needs a key that is new"
            )
        if (on_its_way := self.announced) is not None:
            raise ConfigurationError(
                f"the key {on_its_way.public.kid} is announced and has not signed yet",
                hint="wait for it, or take it back: rolecall keys retire KID",
            )
        return replace(self, members=(*self.members, Member(public, held, "announced", now)))

    def ripe(self, rules: Rules) -> Member | None:
        """The announced key, once it may sign: seen for long enough, without a break, and there when last looked at.

        None in an emergency, too: there it takes over by another step, and the one that signs is not to be kept.
        """
        key = self.announced
        if key is None or self.ordered == "emergency":
            return None
        return key if key.seen and key.counted >= rules.announce else None

    def signs_tokens(self, longest: timedelta) -> "Ring":
        """From now on tokens may live so long; to be noted before the first is signed.

        The key that signs will be shown until the last of them is over, also where shorter ones are signed by then.
        """
        return self._each(lambda m: replace(m, longest=max(m.longest, longest)) if m.state == "signing" else m)

    def promote(self, kid: str, rules: Rules, now: datetime) -> "Ring":
        """Let this announced key sign from now on; the one that did is retired.

        Raises ConfigurationError if the world has not seen it for long enough: this is the one way by which a key
        comes to sign, but for an emergency.
        """
        key = self.ripe(rules)
        if key is None or key.public.kid != kid:
            raise ConfigurationError(
                f"the key {kid} is none that the world has seen for long enough to sign",
                hint="see where each stands with: rolecall keys list",
            )
        return replace(_signs(self, key, now).signs_tokens(rules.longest), ordered=None)

    def over(self, rules: Rules) -> tuple[Member, ...]:
        """The retired keys that no token in use was signed with."""
        return tuple(member for member in self.retired if member.counted >= member.kept(rules))

    def forget(self, rules: Rules) -> "Ring":
        """Let go of retired keys that no token in use was signed with."""
        return _without(self, self.over(rules))

    def replace_at_once(self, kid: str, now: datetime) -> "Ring":
        """The key that signs is in the wrong hands: this announced one signs, however long it was seen, and it goes.

        Tokens are refused wherever the new key has not been read yet; see `rolecall keys rotate --emergency`. Raises
        ConfigurationError if it is not announced, or if nobody has said that this is an emergency.
        """
        key = self.announced
        if key is None or key.public.kid != kid or self.ordered != "emergency":
            raise ConfigurationError(
                f"the key {kid} cannot take over at once", hint="see where each stands with: rolecall keys list"
            )
        stolen = self.signing.public.kid
        ring = _signs(self, key, now)
        return replace(_without(ring, [m for m in ring.retired if m.public.kid == stolen]), ordered=None)

    def take_back(self, kid: str) -> "Ring":
        """Let go of a key that is announced and has signed nothing, or of a retired one before its time is over.

        With a key on its way goes the order to have one, but never that of an emergency. Raises ConfigurationError for
        the one that signs, for one of which a token may still be in use, and for none.
        """
        member = next((member for member in self.members if member.public.kid == kid), None)
        if member is None:
            raise ConfigurationError(f"there is no key {kid} in the ring", hint="see: rolecall keys list")
        if member.state == "signing":
            raise ConfigurationError(
                f"the key {kid} is the one that signs",
                hint="replace it with: rolecall keys rotate; if it was stolen, with --emergency",
            )
        if member.state == "retired" and member.counted < (least := least_kept(member.longest)):
            raise ConfigurationError(
                f"tokens that the key {kid} has signed may still be in use for {least - member.counted}",
                hint="wait; it leaves by itself",
            )
        done = member.state == "announced" and self.ordered == "rotate"
        return replace(_without(self, [member]), ordered=None if done else self.ordered)

    def order(self, what: Order, kid: str | None = None) -> "Ring":
        """Note what somebody has told us to do; an emergency stays one until it is over.

        An emergency is about the key of that kid, and without one about that which signs. Where another signs by now,
        there is nothing to wait for: the stolen one goes at once. Raises ConfigurationError if it is not there.
        """
        if what == "emergency" and kid not in (None, self.signing.public.kid):
            stolen = [member for member in self.members if member.public.kid == kid]
            if not stolen:
                raise ConfigurationError(
                    f"the key {kid} is not in the ring any more, and nothing was changed",
                    hint="see: rolecall keys list",
                )
            return _without(self, stolen)
        return replace(self, ordered="emergency" if self.ordered == "emergency" else what)

    def destroyed(self, kid: str) -> "Ring":
        """The private half of a forgotten key is gone, or is nothing that we could destroy."""
        left = tuple(replace(key, held=None) if key.kid == kid else key for key in self.forgotten)
        return replace(self, forgotten=_unfinished(left))

    def _each(self, change: _Change) -> "Ring":
        return replace(self, members=tuple(change(member) for member in self.members))


def _signs(ring: Ring, key: Member, now: datetime) -> Ring:
    """Let one key sign, and retire the one that did."""

    def turn(member: Member) -> Member:
        if member == key:
            return replace(member, state="signing", since=now, counted=timedelta(0))
        if member.state == "signing":
            return replace(member, state="retired", since=now, counted=timedelta(0))
        return member

    return replace(ring, members=tuple(turn(member) for member in ring.members))


def _without(ring: Ring, gone: Collection[Member]) -> Ring:
    """Take keys out of the ring; what is to be done about them is noted."""
    left = tuple(Forgotten(m.public.kid, m.held if m.held.ours else None, shown=True) for m in gone)
    return replace(
        ring,
        members=tuple(member for member in ring.members if member not in gone),
        forgotten=(*ring.forgotten, *left),
    )


def _unfinished(keys: tuple[Forgotten, ...]) -> tuple[Forgotten, ...]:
    return tuple(key for key in keys if key.shown or key.held is not None)


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is next for a key, in words, and in how long; None where that does not depend on time alone."""

    next: str
    within: timedelta | None


def prospect(ring: Ring, member: Member, rules: Rules) -> Prospect:
    """What is next for a key of the ring."""
    if member.state == "announced":
        return _until("signs", rules.announce, member) if member.seen else Prospect("signs, once it is seen", None)
    if member.state == "retired":
        return _until("leaves", member.kept(rules), member)
    if ring.announced is not None:
        return Prospect("is retired, once its successor signs", prospect(ring, ring.announced, rules).within)
    if rules.every is None and ring.ordered is None:
        return Prospect("signs until it is told otherwise", None)
    return _until("its successor is made", timedelta(0) if ring.ordered else rules.every or timedelta(0), member)


def _until(what: str, span: timedelta, member: Member) -> Prospect:
    return Prospect(what, max(span - member.counted, timedelta(0)))
