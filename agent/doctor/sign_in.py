"""Is somebody signed in, until when, and may they have what is configured?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from agent.clock import instant
from agent.doctor import Finding, Tried
from agent.errors import AgentError

#: A sign-in that ends sooner is worth a word.
_SOON: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A permission set that a role is had by."""

    role: str
    account: str
    permission_set: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of a sign-in.

    Attributes:
        ends_at: until when it lasts without a person, as far as can be known.
        renewable: whether its access token is renewed by itself.
        command: what somebody runs to sign in.
        assigned: the permission sets that may be had, by account; None where that could not be asked.
        why_not: why it could not.
    """

    ends_at: datetime
    renewable: bool
    command: str
    assigned: Mapping[str, Sequence[str]] | None = field(repr=False)
    why_not: str = ""


def missing(error: AgentError) -> Tried:
    """The link where nobody is signed in, or nothing can be made of it."""
    return Tried("sign-in", findings=(Finding("sign-in", "error", error.what, error.hint),))


def examined(seen: Seen, wanted: Sequence[Wanted], now: datetime) -> Tried:
    """The link where somebody is."""
    findings = []
    if seen.ends_at <= now:
        said = f"the sign-in ended at {instant(seen.ends_at)}, and nothing renews it"
        findings.append(Finding("sign-in", "error", said, f"sign in: {seen.command}"))
    elif not seen.renewable and seen.ends_at - now < _SOON:
        said = f"the sign-in ends at {instant(seen.ends_at)}, and nothing renews it"
        findings.append(Finding("sign-in", "warning", said, f"sign in: {seen.command}"))
    for one in wanted:
        if seen.assigned is not None and one.permission_set not in seen.assigned.get(one.account, ()):
            said = f"whoever is signed in is not assigned {one.permission_set} in account {one.account}"
            hint = f"correct roles.{one.role}, or ask for it: rolecall login --list shows what there is"
            findings.append(Finding("sign-in", "error", said, hint, about=f"roles.{one.role}"))
    lasts = "is renewed by itself, at the latest until" if seen.renewable else "lasts until"
    good = "" if seen.ends_at <= now else f"somebody is signed in, which {lasts} {instant(seen.ends_at)}"
    return Tried("sign-in", good, tuple(findings), seen.why_not)
