"""How are callers recognised, and what are they granted?"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from agent.callers import Grant
from agent.callers.bearer import BearerTokens
from agent.clock import Clock
from agent.events import Report
from agent.settings.callers import Grant as GrantSettings


def bearer_tokens(settings: Sequence[GrantSettings], *, clock: Clock, report: Report) -> BearerTokens:
    """One reader for all token files; a file that several grants name keeps old tokens for the shortest overlap."""
    overlaps: dict[Path, timedelta] = {}
    for grant in settings:
        for path in grant.token_file:
            overlaps[path] = min(overlaps.get(path, grant.token_overlap), grant.token_overlap)
    return BearerTokens(overlaps, clock=clock, report=report)


def grants(settings: Sequence[GrantSettings]) -> list[Grant]:
    """One grant for each role and each way to be recognised."""
    found = []
    for grant in settings:
        known = [frozenset({("token.file", str(path))}) for path in grant.token_file]
        if grant.anyone:  # only where it is spelt out: a grant that names nobody is nobody's
            known = [frozenset()]
        found += [Grant(role, when) for role in grant.roles for when in known]
    return found
