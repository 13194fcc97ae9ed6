"""What would a grant put into a token, and for whom?"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.assembly.callers import token_grants
from agent.assembly.issuing import subject_of
from agent.callers import Facts
from agent.cli.supposed import configure_supposed, with_patterns
from agent.errors import ConfigurationError
from agent.settings import Settings, TokenFile
from agent.templates import Unfillable
from agent.wording import NotGranted, TokenGrant, Wording

#: How to say what a template names: with which option, and as in what.
_SAID_BY: Final = {
    "USER": "--user backup",
    "UID": "--user backup",
    "UNIT": "--unit backup.service",
    "INSTANCE": "--unit backup@daily.service",
    "USER_UNIT": "--user-unit sync.service",
    "CONTAINER": "--container backup",
}


def configure_granted(parser: argparse.ArgumentParser) -> None:
    """Add the scopes, and the words that say as whom."""
    parser.add_argument(
        "--scope", action="append", default=[], metavar="SCOPE", help="what it may be used for; may be repeated"
    )
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="as who shows a token of this file")
    configure_supposed(parser)


def granted(settings: Settings, audience: str, scopes: Sequence[str], facts: Facts) -> Wording | None:
    """What the configuration has tokens for an audience say to a caller of whom this is known; None if it has none.

    With no facts, the first grant counts, whoever it means, and then the first file. Raises ConfigurationError if
    nothing is granted to such a caller, or not these scopes, or if more would have to be known.
    """
    grants = [grant for grant in token_grants(settings.grants, subject_of(settings)) if grant.name == audience]
    kept = [file for file in settings.files if isinstance(file, TokenFile) and file.audience == audience]
    if not grants and not kept:
        return None
    known = with_patterns(facts, {fact for grant in grants for fact in grant.when})
    fitting = [grant for grant in grants if not facts or grant.when <= known]
    if facts and not fitting:
        raise ConfigurationError(
            f"nobody of whom this is known is granted tokens for {audience}",
            hint=f"see what is missing, with the same words: rolecall who {audience}",
        )
    wording = _filled(fitting[0], known) if fitting else kept[0].wording(subject_of(settings))
    try:
        return wording.asking(scopes) if scopes else wording
    except NotGranted as strange:
        has = ", ".join(wording.scopes) or "none"
        raise ConfigurationError(f"the scope {strange} is not granted there", hint=f"granted is: {has}") from strange


def _filled(grant: TokenGrant, known: Facts) -> Wording:
    try:
        return grant.extent.filled(known, grant.setting)
    except Unfillable as missing:
        raise ConfigurationError(
            f"{grant.setting} names ${{{missing}}}, so its tokens depend on who asks",
            hint=_how_to_say(str(missing), known),
        ) from missing


def _how_to_say(variable: str, known: Facts) -> str:
    accounts = [value for name, value in known if name == "unix.user"]
    if variable == "UID" and accounts:
        return f"there is no user {accounts[0]!r} on this machine; name one that there is"
    if variable not in _SAID_BY:
        return "nobody but the agent knows that of a caller: ask it for the token"
    return f"say as whom, as in: {_SAID_BY[variable]}"
