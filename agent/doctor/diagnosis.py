"""What does it all come to, and what is to be mended first?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.doctor import LINKS, Finding, Link, Severity, Sureness, Tried

_SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
_SURENESS: Final[tuple[Sureness, ...]] = ("certain", "likely", "possible")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Every link, in the order of the chain."""

    tried: tuple[Tried, ...]

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found, the worst first; what is equally bad, in the order of the chain; nothing twice."""
        found = [finding for one in self.tried for finding in one.findings]
        told: list[Finding] = []
        for finding in sorted(dict.fromkeys(found), key=_rank):
            if not finding.about or finding.about not in {other.about for other in told}:
                told.append(finding)
        return told

    @property
    def is_broken(self) -> bool:
        """Whether there is an error."""
        return any(one.is_broken for one in self.tried)

    @property
    def verdict(self) -> str:
        """All of it in one sentence."""
        counts = {level: sum(one.severity == level for one in self.findings) for level in _SEVERITIES}
        errors, warnings = counts["error"], counts["warning"]
        if errors:
            first = self.findings[0]
            others = "" if errors == 1 else f", and {errors - 1} more after it"
            return f"the chain is broken at its link {first.link}{others}: mend that first"
        untried = sum(bool(one.not_tried) for one in self.tried)
        what = f"{warnings} thing{'s' if warnings > 1 else ''} to look at" if warnings else ""
        left = f"{untried} link{'s' if untried > 1 else ''} not tried to the end" if untried else ""
        told = " and ".join(filter(None, (what, left)))
        return f"nothing is broken; {told}" if told else "everything is in order"


def broken(before: Sequence[Tried], *links: Link) -> Link | None:
    """The first of these links that is broken, for others to say why they were not tried; None if all hold."""
    there = {one.link for one in before if one.is_broken}
    return next((link for link in LINKS if link in links and link in there), None)


def _rank(finding: Finding) -> tuple[int, int, int]:
    return (
        _SEVERITIES.index(finding.severity),
        LINKS.index(finding.link),
        _SURENESS.index(finding.sure),
    )
