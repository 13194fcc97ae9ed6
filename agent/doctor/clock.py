"""Does STS answer, and is it the same time there as here?"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from agent.doctor import Finding, Severity, Tried
from agent.errors import AgentError

#: Beyond this AWS refuses what this machine signs (Signature Version 4), and others refuse its tokens.
_WRONG: Final = timedelta(minutes=5)
#: Beyond this the clock is not kept by anybody.
_DOUBTFUL: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Probe:
    """What STS said to a token that is none, so that nothing is asked of anybody.

    Attributes:
        code: STS's error code, or an HTTP status.
        ahead: how far STS's clock is ahead of ours; None if what answered is not STS, or did not tell.
        what, hint: our words for it, where it says that STS itself is at fault or is not what is configured.
        passes: whether that may be over soon, with nobody changing anything.
    """

    code: str
    ahead: timedelta | None
    what: str = ""
    hint: str = ""
    passes: bool = False


def unreachable(error: AgentError, about: str = "") -> Tried:
    """The link where STS did not answer."""
    return Tried("sts", findings=(Finding("sts", "error", error.what, error.hint, about=about),))


def answered(probe: Probe, where: str) -> Tried:
    """The link where something answered."""
    if probe.what:
        return Tried("sts", findings=(Finding("sts", "error", probe.what, probe.hint, _sure(probe)),))
    if probe.ahead is None:
        said = f"what answers at {where} does not sign its answers as STS does ({probe.code})"
        hint = "see that sts.endpoint_url, if set, is really STS, and that no proxy or sign-in page answers instead"
        return Tried("sts", findings=(Finding("sts", "error", said, hint, "likely"),))
    return Tried("sts", f"STS answers: {where}")


def _sure(probe: Probe) -> Literal["certain", "likely"]:
    return "likely" if probe.passes else "certain"


def compared(ahead: timedelta | None) -> Tried:
    """The link of the clock; `ahead` is how far STS is ahead of this machine."""
    if ahead is None:
        return Tried("clock", not_tried="STS has not told the time")
    off = abs(ahead)
    if off <= _DOUBTFUL:
        return Tried("clock", f"this machine's clock is within {max(off.total_seconds(), 1):.0f} s of STS's")
    severity: Severity = "error" if off > _WRONG else "warning"
    way = "behind" if ahead > timedelta(0) else "ahead of"
    what = f"this machine's clock is {_spelt(off)} {way} STS's"
    if severity == "error":
        what += "; AWS refuses what programs here sign"
    return Tried(
        "clock", findings=(Finding("clock", severity, what, "set it, and have it kept: timedatectl set-ntp true"),)
    )


def _spelt(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    if seconds < 300:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{round(seconds / 3600)} h"
