"""What could be wrong?

The chain from the configuration to what a program receives, link by link, each tried against the real world. This
door has the words for what is found; each link has a file of its own, and `diagnosis` says what it all comes to.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

#: The links, in the order in which one depends on those before it.
Link = Literal[
    "configuration",
    "key",
    "sts",
    "clock",
    "issuer",
    "token",
    "sign-in",
    "roles",
    "rules",
    "endpoint",
    "callers",
    "environment",
]
LINKS: Final[tuple[Link, ...]] = get_args(Link)

#: error: programs get no credentials, or will get none soon, or no token of others can be verified.
#: warning: they may not, in some place or at some time.
#: note: good to know, and nothing to do.
Severity = Literal["error", "warning", "note"]

#: certain: it was seen. likely: it explains what was seen best. possible: it depends on what cannot be seen from here.
Sureness = Literal["certain", "likely", "possible"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        link: where in the chain.
        severity: how bad it is.
        what: one sentence on what is wrong; never a secret.
        hint: one sentence on what to do.
        sure: how sure that is.
        about: what the finding is about, such as a setting or a kid: of several with the same, only the worst is told.
    """

    link: Link
    severity: Severity
    what: str
    hint: str
    sure: Sureness = "certain"
    about: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one link.

    Attributes:
        good: what was seen to be in order, one sentence; "" where nothing was.
        findings: what was found, in the order in which it was.
        not_tried: why the link, or a part of it, was not tried; one sentence, or "".
    """

    link: Link
    good: str = ""
    findings: tuple[Finding, ...] = ()
    not_tried: str = ""

    @property
    def is_broken(self) -> bool:
        """Whether what depends on this link cannot work."""
        return any(finding.severity == "error" for finding in self.findings)


#: Tries a link, given what became of those before it.
Check = Callable[[Sequence[Tried]], Awaitable[Tried]]
