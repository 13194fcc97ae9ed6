"""Does AWS give us each role, for as long as is wanted, and what must its trust policy say if it does not?"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, Literal, Protocol

from agent.doctor import Finding, Link, Tried
from agent.doctor.diagnosis import broken
from agent.doctor.pace import each

#: The shortest session that STS gives, and the longest that every role allows (AWS STS, DurationSeconds).
SHORTEST: Final = timedelta(minutes=15)
ALWAYS_ALLOWED: Final = timedelta(hours=1)
#: What tells our sessions in CloudTrail from those of the agent; a session name has 64 characters at most.
MARK: Final = "-doctor"
_LONGEST_NAME: Final = 64

_LET_IN: Final = (
    "see that no firewall, bot rule or country block keeps AWS from the issuer's site, and that it answers within 5 s "
    "everywhere; what was published or mended just now, AWS may read only some minutes later"
)

#: What a refusal is laid to.
Cause = Literal["key set", "thumbprint", "token time", "sts", "trust", "other"]

#: Which link, if that is broken already, explains a refusal.
_EXPLAINED: Final[Mapping[Cause, tuple[Link, ...]]] = {
    "key set": ("issuer", "token"),
    "thumbprint": ("issuer",),
    "token time": ("clock",),
    "sts": ("sts",),
    "other": ("token",),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A role as it is configured.

    Attributes:
        name, arn, session_name: as configured.
        duration: the whole span that the agent asks for.
        pinned: whether its tokens name the roles that they are for.
        policy: what its trust policy must say; None where nobody here knows.
    """

    name: str
    arn: str
    session_name: str
    duration: timedelta
    pinned: bool = True
    policy: Mapping[str, object] | None = field(default=None, hash=False, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What STS said: nothing against it, or what it is laid to, in our words."""

    granted: bool
    cause: Cause = "other"
    what: str = ""
    hint: str = ""
    about: str = ""


class Exchange(Protocol):
    """A token for a role, and what STS says to it; what it gives is thrown away."""

    async def __call__(self, wanted: Wanted, *, powerless: bool = False) -> Outcome:
        """Ask for this role, so named and for so long; `powerless` asks for credentials that may do nothing.

        Raises nothing: what comes to pass is an outcome.
        """
        ...


#: What a refusal is laid to, by STS's code and words of its text: the first row that fits counts.
_LAID_TO: Final[tuple[tuple[str, tuple[str, ...], Cause], ...]] = (
    ("InvalidIdentityToken", ("retrieve verification key",), "key set"),
    ("InvalidIdentityToken", ("thumbprint",), "thumbprint"),
    ("InvalidIdentityToken", ("no openidconnect provider",), "other"),
    ("InvalidIdentityToken", ("in the future", "not yet valid", "not valid yet", "before"), "token time"),
    ("InvalidIdentityToken", ("audience", "roles claim", "not a valid jwt", "missing a required", "tags"), "other"),
    ("InvalidIdentityToken", ("",), "key set"),  # that is how STS speaks of a signature that is not good
    ("ExpiredToken", ("",), "token time"),
    ("IDPCommunicationError", ("",), "key set"),
    ("AccessDenied", ("sts:tagsession", "sts:setsourceidentity"), "other"),
    ("AccessDenied", ("",), "trust"),
    ("NotAuthorized", ("",), "trust"),
)


def cause_of(code: str, message: str) -> Cause:
    """What a refusal of STS's is laid to."""
    text = message.lower()
    rows = (
        row for row in _LAID_TO if row[0] == code.removesuffix("Exception") and any(word in text for word in row[1])
    )
    return next((cause for _, _, cause in rows), "other")


async def examined(wanted: Sequence[Wanted], exchange: Exchange, before: Sequence[Tried]) -> Tried:
    """The link of all roles."""
    tried = await each(lambda role: _tried(role, exchange), wanted)
    outcomes = [*zip(wanted, tried, strict=True)]
    given = [role.name for role, outcome in outcomes if outcome.granted]
    findings: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    folded = []
    for role, outcome in outcomes:
        if outcome.granted:
            continue
        because = broken(before, *_EXPLAINED.get(outcome.cause, ()))
        if because:
            folded.append(because)
            continue
        for finding in _findings(role, outcome, given):
            findings.setdefault((finding.link, _apart(finding.what, role)), []).append((role.name, finding))
    told = [_together([*group]) for group in findings.values()]
    good = f"AWS gives {_listed(given)}" if given else ""
    why = f"what STS says of them follows from the link {folded[0]}" if folded else ""
    return Tried("roles", good, tuple(told), why)


async def _tried(role: Wanted, exchange: Exchange) -> Outcome:
    """Ask for the role for a short time, and for all of its time where not every role allows that."""
    marked = role.session_name[: _LONGEST_NAME - len(MARK)] + MARK
    outcome = await exchange(replace(role, session_name=marked, duration=SHORTEST))
    if outcome.cause == "trust" and not outcome.granted:
        outcome = await _why_denied(role, outcome, exchange)
    if outcome.granted and role.duration > ALWAYS_ALLOWED:
        # The mark may be what a trust policy does not let in; and nobody should have a long session for nothing.
        return await exchange(role, powerless=True)
    return outcome


async def _why_denied(role: Wanted, denied: Outcome, exchange: Exchange) -> Outcome:
    """STS says no in the same words to everything; so change one thing at a time."""
    by_name = await exchange(replace(role, duration=SHORTEST))
    if by_name.granted:  # the trust policy names the session: ours was called otherwise
        return by_name
    if not role.pinned and (await exchange(replace(role, pinned=True, duration=SHORTEST))).granted:
        return replace(
            denied,
            cause="other",
            what=f"the trust policy of {role.arn} takes only tokens that name the role (sts:RoleAuthorizedByIdp), and "
            "identity.pin_roles is off",
            hint="set identity.pin_roles = true, or take sts:RoleAuthorizedByIdp out of the trust policy",
            about="identity.pin_roles",
        )
    bare = re.sub(r":role/.*/", ":role/", role.arn)
    if bare != role.arn and (await exchange(replace(role, arn=bare, duration=SHORTEST))).granted:
        return replace(
            denied,
            cause="other",
            what=f"there is no role {role.arn} that trusts us, and there is {bare}",
            hint=f"write roles.{role.name}.arn without the path, or see which of the two is meant",
        )
    return denied


def _findings(role: Wanted, outcome: Outcome, given: Sequence[str]) -> Iterator[Finding]:
    match outcome.cause:
        case "key set":
            what = f"AWS cannot use the issuer's keys, though from here they are as they should be: {outcome.what}"
            yield Finding("issuer", "error", what, _LET_IN, "likely")
        case "thumbprint":
            yield Finding("issuer", "error", outcome.what, outcome.hint)
        case "sts":
            yield Finding("sts", "error", outcome.what, outcome.hint, "likely")
        case "token time":
            yield Finding("clock", "error", outcome.what, outcome.hint, "likely")
        case "trust":
            yield Finding("roles", "error", outcome.what, _trust_hint(role, outcome, given), "likely")
        case _:
            yield Finding("roles", "error", outcome.what, outcome.hint, about=outcome.about)


def _trust_hint(role: Wanted, outcome: Outcome, given: Sequence[str]) -> str:
    """What to compare; STS tells nobody whether the role is not there or does not trust us."""
    works = f"{given[0]} works by the same issuer, so it is this role: " if given else ""
    if role.policy is None:
        return works + outcome.hint
    return (
        f"{works}see that the role exists by exactly this ARN, with its path if it has one, and that its trust policy "
        f"says: {json.dumps(role.policy['Statement'], separators=(', ', ': '))}"
    )


def _apart(what: str, role: Wanted) -> str:
    """The words without the role, to know those that say the same of several."""
    return what.replace(role.arn, "").replace(f"roles.{role.name}", "")


def _together(group: Sequence[tuple[str, Finding]]) -> Finding:
    _, first = group[0]
    if len(group) == 1:
        return first
    others = _listed([name for name, _ in group[1:]])
    return replace(first, what=f"{first.what} (and the same for {others})")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
