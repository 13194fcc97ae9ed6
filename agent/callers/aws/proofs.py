"""Who is this AWS caller, by what it has shown?

The one way from an Authorization header to facts. What can be told without asking anybody is told first, and what was
shown before is not asked about again; so only a new proof that looks like one leads to a call to STS.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from agent.callers import Facts
from agent.callers.aws import BEARER, PRESIGNED, Principal, rejected
from agent.callers.aws.canonical import facts
from agent.callers.aws.fairness import Patience
from agent.callers.aws.presigned import Presigned, read_presigned
from agent.callers.aws.spent import Spent
from agent.callers.aws.web_identity import WebIdentity
from agent.clock import Clock
from agent.errors import TokenRejected

_LIKE: Final = "aws.principal.like"


class Sts(Protocol):
    """Whoever can tell whose a presigned request is."""

    async def whose(self, proof: Presigned, address: str) -> Principal:
        """Say so. Raises TokenRejected or ProofUnchecked."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known of whoever has shown a proof, and how the proof can be given back if nothing comes of it."""

    facts: Facts
    give_back: Callable[[], None]


class Proofs:
    """Tells who AWS callers are."""

    def __init__(
        self,
        sts: Sts,
        origins: Mapping[str, frozenset[str]],
        web_identity: WebIdentity,
        ways: Collection[Facts],
        *,
        clock: Clock,
    ) -> None:
        """Ask `sts` at these `origins` alone. `ways` are what some grant wants to be known of a caller."""
        self._sts = sts
        self._origins = origins
        self._web_identity = web_identity
        self._ways = tuple(ways)
        self._patterns = tuple(sorted({value for way in ways for name, value in way if name == _LIKE}))
        self._clock = clock
        self._spent = Spent(clock)
        self._patience = Patience(clock)

    async def prove(self, presented: bytes | None, address: str) -> Shown:
        """Who has shown this, which is used up by it; `address` is where it came from.

        Raises TokenRejected if it is no good, ProofUnchecked if that cannot be told now.
        """
        self._patience.check(address)
        scheme, _, shown = (presented or b"").partition(b" ")
        digest = hashlib.sha256(shown).digest()
        if reason := self._spent.why_refused(digest):
            raise rejected("the proof was shown before, and got nobody anything", reason, hint="make a new one")
        match scheme.lower().decode("latin-1"):
            case kind if kind == PRESIGNED.lower():
                proving = self._by_sts(shown, address)
            case kind if kind == BEARER.lower():
                proving = self._by_token(shown)
            case _:
                raise rejected("no proof of an AWS identity was shown", "missing", hint="see docs/aws-callers.md")
        try:
            mark, principal = await proving
        except TokenRejected as error:
            if error.reason == "refused":  # all else is told at once, and costs nobody anything
                self._spent.refuse(digest, "refused")
                self._patience.strain(address)
            raise
        known = facts(principal, self._patterns)
        if not any(way <= known for way in self._ways):
            # Anybody can have an AWS account and make as many good proofs as he likes: they take no room of others.
            self._spent.give_back(mark)
            self._spent.refuse(digest, "used_before")
        return Shown(known, partial(self._spent.give_back, mark))

    async def _by_sts(self, shown: bytes, address: str) -> tuple[bytes, Principal]:
        proof = read_presigned(shown, self._origins)
        proof.check_time(self._clock.now())
        mark = bytes.fromhex(proof.mark.reveal())
        # Before STS is asked: of two that come at once, one is refused.
        self._spent.spend(mark, proof.signed_at, proof.expires_at)
        try:
            return mark, await self._sts.whose(proof, address)
        except BaseException:
            self._spent.give_back(mark)  # what STS did not believe is no proof; it is remembered as refused
            raise

    async def _by_token(self, shown: bytes) -> tuple[bytes, Principal]:
        proven, made = await self._web_identity.read(shown)
        self._spent.spend(proven.mark, made, proven.until)
        return proven.mark, proven.principal
