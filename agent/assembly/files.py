"""Which files are kept fresh, and by what?"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from agent.assembly.tokens import token_source
from agent.clock import RemoteClock
from agent.events import Report
from agent.narrowing import WHOLE
from agent.roster import RoleRoster
from agent.settings import CredentialsFile, Settings
from agent.tokens import TokenSource
from agent.tokens.self_signed import Signer

if TYPE_CHECKING:
    from agent.outputs.credentials_file import CredentialsFile as KeptCredentials
    from agent.outputs.token_file import WebIdentityTokenFile as KeptToken


def kept_files(
    settings: Settings,
    roster: RoleRoster,
    signer: Signer | None,
    *,
    clock: RemoteClock,
    report: Report,
    chance: random.Random,
    shared: TokenSource | None = None,
) -> "list[KeptCredentials | KeptToken]":
    """One for each of [[files]]; nothing is touched yet. Raises ConfigurationError."""
    if not settings.files:
        return []
    from agent.outputs.attempts import Means
    from agent.outputs.credentials_file import CredentialsFile as KeptCredentials
    from agent.outputs.replacing import Place
    from agent.outputs.token_file import WebIdentityTokenFile as KeptToken

    means = Means(clock, report, chance.random)
    found: list[KeptCredentials | KeptToken] = []
    for file in settings.files:
        place = Place(file.path, file.permissions, file.group)
        if isinstance(file, CredentialsFile):
            session = roster.held(file.role, WHOLE)
            assert session is not None  # what a file holds is at hand from the start
            found.append(KeptCredentials(session, place, file.profile, means))
        else:
            role = settings.token_roles[file.role]
            ids = _token_ids(chance)
            tokens = token_source(settings, role, signer, clock=clock, token_id=ids, report=report, shared=shared)
            found.append(KeptToken(file.role, tokens, place, means))
    return found


def _token_ids(chance: random.Random) -> Callable[[], str]:
    return lambda: str(UUID(int=chance.getrandbits(128), version=4))
