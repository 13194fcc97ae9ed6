"""How does an operator let one key follow another?

The ring of keys is a file, which the commands and the running agent take turns at changing. Where an agent runs, it is
told what to do, since it has the keys; where none does, the command takes the step itself.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Final

from agent.assembly.publishing import place
from agent.assembly.rotation import ring_file, rotation, rules
from agent.cli.durations import seconds
from agent.cli.terminal import Progress, paint, say, show_json, warn
from agent.clock import SystemClock, instant
from agent.errors import ConfigurationError, KeyUnavailable
from agent.events import Event, RotationStuck
from agent.ring import Member, Order, Prospect, Ring, prospect
from agent.rotation import Rotation
from agent.settings import Settings
from agent.spans import spell_duration

#: How long the running agent is given to do what it was told, in seconds: it looks every few.
_PATIENCE: Final = 40.0

_CONSEQUENCES: Final = """\
An emergency rotation is for a key that is in the wrong hands. This is what it does, at once:

  * The key {stolen} signs no more, is withdrawn from the issuer's site and, where it was made for this host, destroyed.
  * {successor}
  * Whoever still keeps a copy of the old key set goes on believing the stolen key: AWS STS for some minutes, API
    Gateway for up to two hours. Empty their caches where you can (a CDN in front of the issuer: invalidate it).
  * Credentials that AWS has given for tokens of that key stay good until they end, also in the wrong hands. To end
    them, revoke the roles' active sessions in IAM; the roles of this host are: {roles}.
"""
_REFUSED: Final = (
    "Where it has not been read yet, new tokens are refused:\n    no role can be renewed there meanwhile; credentials "
    "that are held go on being served until they end."
)
_NEW: Final = f"A new key, which the world has never seen, takes its place. {_REFUSED}"
_UNSEEN: Final = f"A key that the world has seen for {{seen}} only takes its place. {_REFUSED}"
#: Steps of a rotation that, when they are stuck, keep no other from being taken.
_WARNINGS: Final = frozenset({"issuer", "certificates"})
_SEEN: Final = "A key that the world has seen for {seen} takes its place: nothing should fail."


def add_rotate(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add keys rotate."""
    parser = verbs.add_parser(
        "rotate",
        help="let a new key follow the one that signs, once the world has seen it for long enough",
        description="Makes and announces a new key. It signs once it has been seen through the issuer's public URL for "
        "rotation.announce, and the old one leaves once rotation.keep has passed after that.",
    )
    parser.add_argument("--emergency", action="store_true", help="the key is stolen: replace it now, whatever breaks")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument(
        "--timeout", type=seconds, default=_PATIENCE, metavar="40s", help="how long to wait for an agent that runs"
    )
    return parser


def add_retire(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add keys retire."""
    parser = verbs.add_parser(
        "retire", help="take back a key that is announced, or one that is retired for long enough"
    )
    parser.add_argument("kid", metavar="KID", help="the key's name, or how it begins; leave out a - at its beginning")
    return parser


def is_called(kid: str, given: str) -> bool:
    """Whether a key is meant by what was given: the beginning of its kid.

    One kid in 64 begins with a -, which on a command line would make it an option.
    """
    return kid.lstrip("-").startswith(given.lstrip("-"))


@dataclass(frozen=True, slots=True)
class Standing:
    """How one key stands, and what is next for it."""

    member: Member
    ahead: Prospect

    def described(self) -> dict[str, object]:
        """The same as JSON."""
        within = self.ahead.within
        return {
            "kid": self.member.public.kid,
            "algorithm": self.member.public.algorithm,
            "state": self.member.state,
            "custodian": self.member.held.custodian,
            "name": self.member.held.name,
            "since": instant(self.member.since),
            "seen_at_the_issuer": self.member.seen,
            "next": self.ahead.next,
            "next_in_seconds": None if within is None else round(within.total_seconds()),
        }

    def __str__(self) -> str:
        """The same as a line for people."""
        state = paint(f"{self.member.state:9}", "green" if self.member.state == "signing" else "cyan")
        held = f"{self.member.held.custodian} {self.member.held.name}"
        return f"{self.member.public.kid}  {self.member.public.algorithm}  {state}  {self._soon()}  ({held})"

    def _soon(self) -> str:
        return self.ahead.next if self.ahead.within is None else f"{self.ahead.next} in {spelt(self.ahead.within)}"


def spelt(span: timedelta) -> str:
    """A span for people, to the minute."""
    return spell_duration(timedelta(minutes=max(round(span.total_seconds() / 60), 1)))


async def ring_of(settings: Settings, credentials_directory: Path | None) -> Ring:
    """The keys of this host. Raises KeyUnavailable or ConfigurationError."""
    async with _walking(settings, credentials_directory, publishing=False) as (_, ring, _):
        return ring


async def standing(settings: Settings, credentials_directory: Path | None) -> Sequence[Standing]:
    """How each of the keys stands. Raises KeyUnavailable or ConfigurationError."""
    ring = await ring_of(settings, credentials_directory)
    return [Standing(member, prospect(ring, member, rules(settings))) for member in ring.members]


def rotate(settings: Settings, credentials_directory: Path | None, arguments: argparse.Namespace) -> int:
    """Begin a rotation, or take it all in one step in an emergency. 1 if the operator would not."""
    order: Order = "emergency" if arguments.emergency else "rotate"
    return asyncio.run(_rotate(settings, credentials_directory, order, arguments))


async def _rotate(
    settings: Settings, credentials_directory: Path | None, order: Order, arguments: argparse.Namespace
) -> int:
    async with _walking(settings, credentials_directory, publishing=True) as (walk, ring, told):
        if order == "rotate" and ring.announced is not None:
            say(f"A rotation is under way: the key {ring.announced.public.kid} is announced already.")
        elif order == "emergency" and not _agreed(ring, walk, settings, yes=arguments.yes):
            say("Nothing was changed.")
            return 1
        else:
            # Of the key that was shown: another may sign by the time that somebody has made up his mind.
            await walk.order(order, ring.signing.public.kid)
            is_done = partial(_is_done, order, ring.signing.public.kid)
            if _in_use(settings):
                await _obeyed(walk, is_done, arguments.timeout)
            else:
                await walk.turn()
                _raise(told, done=is_done(walk.ring))
    return show(await standing(settings, credentials_directory), as_json=arguments.json)


def retire(settings: Settings, credentials_directory: Path | None, arguments: argparse.Namespace) -> int:
    """Take back a key."""

    async def taken_back() -> Sequence[Standing]:
        async with _walking(settings, credentials_directory, publishing=True) as (walk, ring, told):
            named = [m.public.kid for m in ring.members if is_called(m.public.kid, arguments.kid)]
            if len(named) != 1:
                raise ConfigurationError(
                    f"{len(named) or 'no'} keys have a name that begins with {arguments.kid}",
                    hint="see: rolecall keys list",
                )
            await walk.take_back(named[0])
            if not _in_use(settings):
                await walk.turn()
                _raise(told, done=True)
        return await standing(settings, credentials_directory)

    return show(asyncio.run(taken_back()), as_json=arguments.json)


def _is_done(order: Order, signed: str, ring: Ring | None) -> bool:
    """Whether an order was carried out that was given while the key of that kid signed."""
    if ring is None:
        return False
    return ring.signing.public.kid != signed or (order == "rotate" and ring.announced is not None)


async def _obeyed(walk: Rotation, is_done: Callable[[Ring | None], bool], patience: float) -> None:
    """Wait until the agent that runs has carried the order out. Raises KeyUnavailable after so many seconds."""
    clock = SystemClock()
    deadline = clock.steady() + patience
    with Progress() as progress:
        while clock.steady() < deadline:
            progress.show("waiting for the running agent to do it …")
            await clock.sleep(0.25)
            await walk.load()
            if is_done(walk.ring):
                return
    raise KeyUnavailable(
        "the running agent has been told, and has not done it yet", hint="see why: journalctl -u rolecall"
    )


def _agreed(ring: Ring, walk: Rotation, settings: Settings, *, yes: bool) -> bool:
    """Spell out what it means, and ask; who is no person has to say --yes. Raises ConfigurationError."""
    announced = ring.announced
    seen = timedelta(0) if announced is None else announced.counted
    successor = _SEEN if announced is not None and announced.seen and seen >= walk.rules.announce else _UNSEEN
    if not seen:
        successor = _NEW
    say(
        _CONSEQUENCES.format(
            stolen=ring.signing.public.kid,
            successor=successor.format(seen=spelt(seen)),
            roles=", ".join(role.arn for role in settings.token_roles.values()),
        )
    )
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError("nobody can be asked whether to go on", hint="say so: --emergency --yes")
    print('Type "emergency" to go on: ', end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "emergency"


def show(keys: Sequence[Standing], *, as_json: bool) -> int:
    """Print how the keys stand; 0."""
    if as_json:
        show_json([key.described() for key in keys])
    else:
        for key in keys:
            print(key)
    return 0


@asynccontextmanager
async def _walking(
    settings: Settings, credentials_directory: Path | None, *, publishing: bool
) -> AsyncIterator[tuple[Rotation, Ring, Sequence[Event]]]:
    """The rotation as the agent would have it, its ring, and what it tells. Raises as `Rotation.load` does."""
    told: list[Event] = []
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        publisher = None
        published = place(settings, {}, clock=clock, chance=SystemRandom(), report=told.append) if publishing else None
        if published is not None:
            stack.push_async_callback(published.close)
            publisher = published.publisher if published.site is None else None  # our listener shows what it has
        walk = rotation(settings, credentials_directory, publisher=publisher, clock=clock, report=told.append)
        stack.push_async_callback(walk.close)
        await walk.load()
        ring = walk.ring
        assert ring is not None  # or it would have been raised why not
        yield walk, ring, told


def _in_use(settings: Settings) -> bool:
    file = ring_file(settings)
    return file is not None and file.in_use()


def _raise(told: Sequence[Event], *, done: bool) -> None:
    """What kept a step from being taken is what the operator has to know. Raises AgentError.

    Once it is `done`, nobody minds that the old key could not be had: it may be why there is another.
    """
    harmless = _WARNINGS | {"key"} if done else _WARNINGS
    stuck = [event for event in told if isinstance(event, RotationStuck)]
    for event in stuck:
        if event.step not in harmless:
            raise event.error
    for event in stuck:
        warn(event.error)
