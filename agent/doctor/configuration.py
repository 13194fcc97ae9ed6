"""Is what is written down what was meant?"""

import re
from collections.abc import Sequence

from agent.doctor import Finding, Tried

_READ = "see docs/configuration.md, and what there is to see of it: rolecall check"


def refused(what: str, hint: str) -> Tried:
    """The link where the configuration cannot be used; `what` has a line for each mistake."""
    lines = what.splitlines() or [what]
    return Tried("configuration", findings=tuple(Finding("configuration", "error", line, hint) for line in lines))


def read(where: str, doubts: Sequence[str]) -> Tried:
    """The link where it can; `doubts` are sentences with the path of a setting before them."""
    findings = tuple(Finding("configuration", "warning", doubt, _READ, about=_setting(doubt)) for doubt in doubts)
    return Tried("configuration", f"{where} can be used", findings)


def _setting(doubt: str) -> str:
    """The path of the setting, without the number of the table that it stands in."""
    return re.sub(r"#\d+", "", doubt.partition(":")[0])
