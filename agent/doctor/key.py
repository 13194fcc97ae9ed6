"""Is there a key that signs, is it the right one, and does the next one come?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent.doctor import Finding, Tried
from agent.errors import AgentError
from agent.keys import PublicKey, kind_of
from agent.ring import Ring, Rules

#: How long after its time a key that is announced may still be waiting before somebody should look.
_GRACE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Keys:
    """What was seen of our keys.

    Attributes:
        ring: how they stand, by the file if there is one.
        rules: how they are to follow one another.
        signing: the public half of the key that was opened and has signed.
        now: when that was.
        lock_holder: the process that works by this ring, as the kernel says; None for none, or if nobody knows.
    """

    ring: Ring
    rules: Rules
    signing: PublicKey
    now: datetime
    lock_holder: int | None = None


def unavailable(error: AgentError) -> Tried:
    """The link where there is no key to be had."""
    if isinstance(error.__cause__, PermissionError):
        return Tried("key", not_tried=f"{error.what}; run this as the agent's user: sudo -u rolecall rolecall doctor")
    return Tried("key", findings=(Finding("key", "error", error.what, error.hint),))


def examined(keys: Keys) -> Tried:
    """The link where the key was opened, and has signed."""
    found = (*_right_one(keys), *_stuck(keys), *_old(keys), *_algorithm(keys.signing))
    return Tried("key", f"the key {keys.signing.kid} ({keys.signing.algorithm}) signs", found)


def _right_one(keys: Keys) -> Iterator[Finding]:
    named = keys.ring.signing.public.kid
    if named != keys.signing.kid:
        yield Finding(
            "key",
            "error",
            f"the key that signs is {keys.signing.kid}, and by the ring it should be {named}",
            "see what is in the place that [key] names: rolecall keys list",
        )


def _stuck(keys: Keys) -> Iterator[Finding]:
    waiting = keys.ring.announced
    if waiting is None:
        return
    age = keys.now - waiting.since
    if age > keys.rules.announce + _GRACE:
        why = "though it is seen now" if waiting.seen else "since nobody has seen it through the issuer's public URL"
        yield Finding(
            "key",
            "warning",
            f"the rotation is stuck: the key {waiting.public.kid} was announced {_days(age)} ago and does not sign "
            f"yet, {why}",
            "see that the agent runs, and that it may publish: rolecall publish, then rolecall publish --check",
            about=waiting.public.kid,
        )


def _old(keys: Keys) -> Iterator[Finding]:
    member, every = keys.ring.signing, keys.rules.every
    if every is not None and keys.ring.announced is None and member.counted > 2 * every:
        yield Finding(
            "key",
            "warning",
            f"the key {member.public.kid} has signed for {_days(member.counted)}, and rotation.every is {_days(every)}",
            "see why no other follows it: journalctl -u rolecall; or begin by hand: rolecall keys rotate",
        )


def _algorithm(public: PublicKey) -> Iterator[Finding]:
    if kind_of(public).startswith("ec"):
        yield Finding(
            "key",
            "note",
            f"tokens are signed with {public.algorithm}: AWS takes that, Azure and some others take RS256 alone",
            'for them, have an RSA key follow: rotation.kind = "rsa-2048", then rolecall keys rotate',
        )


def other_agent(holder: int, directory: str) -> Finding:
    """What is wrong if somebody works by our ring while no agent answers where ours should."""
    return Finding(
        "key",
        "error",
        f"process {holder} works with the keys in {directory}, and is not the agent of this configuration: no agent "
        "answers where that should",
        "stop one of the two agents, or give each its own rotation.state and its own keys",
        sure="likely",
    )


def _days(span: timedelta) -> str:
    days = span.days
    return f"{days} day{'' if days == 1 else 's'}"
