"""Which custodian has which key of the ring?

Usually there is one. While the keys move to another, there are two: the one whose keys sign and are retired, and the
one in which new keys are made.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.keys import Custodian, Kind, PublicKey, SigningKey
from agent.ring import Held, Member

_MOVING: Final = (
    "to move to other keys, leave [key] as it was and name the new place in [key.next]; if that key is lost for good: "
    "rolecall keys rotate --emergency"
)


_GIVING_UP: Final = "put back what [key] and [key.next] said, or give that key up: rolecall keys retire KID"


@dataclass(frozen=True, slots=True)
class Custody:
    """The custodians of a host: `current` is [key], `following` is [key.next], if there is one."""

    current: Custodian
    following: Custodian | None = None

    async def first(self) -> tuple[SigningKey, Held]:
        """The key of a host that has no ring yet.

        Raises KeyUnavailable if there is none, ConfigurationError if nothing says which of several it is.
        """
        names = await self.current.names()
        if len(names) > 1:
            raise ConfigurationError(
                f"[key] names {len(names)} keys, and nothing says which of them signs: {', '.join(names)}",
                hint="the ring does, which is ring.json in rotation.state: if there was one, put it back; or name the "
                "key that signs (for PEM files: key.file instead of key.directory)",
            )
        if not names:
            raise KeyUnavailable("[key] names no key that is there", hint="make one: rolecall keys new")
        key = await self.current.open(names[0])
        return key, _held(self.current, names[0], key.public)

    async def open(self, member: Member) -> SigningKey:
        """The private half of a key of the ring, and never another. Raises KeyUnavailable or ConfigurationError."""
        trouble: AgentError | None = None
        for custodian in self.custodians:
            if custodian.kind != member.held.custodian:
                continue
            try:
                key = await custodian.open(member.held.name)
            except AgentError as error:  # also a setting of the one that does not fit a key of the other
                trouble = trouble or error
            else:
                if key.public == member.public:
                    return key
                if key.public.kid == member.public.kid:
                    trouble = trouble or _another_algorithm(key.public, member.public)
        if trouble is not None:
            raise trouble
        raise KeyUnavailable(
            f"the key {member.public.kid} is not to be had: by the ring it is {member.held.name} "
            f"({member.held.custodian}), and [key] has another there, or is another custodian",
            hint=_GIVING_UP if member.state == "announced" else _MOVING,
        )

    async def make(self, kind: Kind) -> tuple[SigningKey, Held]:
        """Have a new key: made, or, where keys are not ours to make, the one that [key.next] names.

        Raises KeyUnavailable or ConfigurationError.
        """
        custodian = self.following or self.current
        try:
            name = await custodian.make(kind)
        except ConfigurationError:
            if custodian is not self.following:
                raise
            match await custodian.names():
                case [name]:
                    key = await custodian.open(name)
                    return key, Held(custodian.kind, name, ours=False)
            raise
        try:
            key = await custodian.open(name)
        except AgentError:  # or there would be one more after each try
            with suppress(AgentError):
                await custodian.discard(name)
            raise
        return key, Held(custodian.kind, name, ours=True)

    async def moved(self, member: Member) -> bool:
        """Whether a key is where keys are to be; without [key.next] they all are. Raises KeyUnavailable."""
        if self.following is None:
            return True
        if self.following.kind != member.held.custodian:
            return False
        try:
            return (await self.following.open(member.held.name)).public.kid == member.public.kid
        except KeyUnavailable:
            if self.current.kind == self.following.kind:  # perhaps it is in the other
                return False
            raise

    async def destroy(self, kid: str, held: Held) -> None:
        """Destroy the private half of a key that was made for us; nothing if it is gone. Raises KeyUnavailable."""
        for custodian in self.custodians:
            if custodian.kind == held.custodian and await _is(custodian, held.name, kid):
                await custodian.discard(held.name)

    async def close(self) -> None:
        """Let go of connections."""
        for custodian in self.custodians:
            await custodian.close()

    @property
    def custodians(self) -> tuple[Custodian, ...]:
        """One, or two while the keys move."""
        return (self.current,) if self.following is None else (self.current, self.following)


def _another_algorithm(here: PublicKey, shown: PublicKey) -> ConfigurationError:
    return ConfigurationError(
        f"the key {shown.kid} is published as one that signs with {shown.algorithm}, and is to sign with "
        f"{here.algorithm} by its setting",
        hint="put key.algorithm back; for another algorithm take another key, from a [key.next] that has it",
    )


async def _is(custodian: Custodian, name: str, kid: str) -> bool:
    """Whether a name still means this key: nothing else is ever destroyed under it.

    Raises KeyUnavailable while the custodian is away: what cannot be seen is not gone.
    """
    try:
        return (await custodian.open(name)).public.kid == kid
    except KeyUnavailable:
        await custodian.names()
        return False


def _held(custodian: Custodian, name: str, public: PublicKey) -> Held:
    # Keys that we make in files are called by their kid: `rolecall keys new` has made this one.
    return Held(custodian.kind, name, ours=public.kid in name)
