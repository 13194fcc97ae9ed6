"""Which files are kept fresh, and by what?"""

import random
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from agent.assembly.issuing import identity_of, subject_of
from agent.assembly.tokens import token_ids, token_source
from agent.clock import RemoteClock, WorldClock
from agent.events import Report
from agent.narrowing import WHOLE
from agent.roster import RoleRoster
from agent.settings import CredentialsFile, Settings, TokenFile, WebIdentityTokenFile
from agent.tokens import TokenSource
from agent.tokens.self_signed import SelfSigned as SelfSignedTokens
from agent.tokens.self_signed import Signer

if TYPE_CHECKING:
    from agent.outputs.credentials_file import CredentialsFile as KeptCredentials
    from agent.outputs.token_file import TokenFile as KeptToken


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
    from agent.outputs.token_file import TokenFile as KeptToken

    means, ids, world = Means(clock, report, chance.random), token_ids(chance), WorldClock(clock)
    found: list[KeptCredentials | KeptToken] = []
    for file in settings.files:
        place = Place(file.path, file.permissions, file.group)
        match file:
            case CredentialsFile():
                session = roster.held(file.role, WHOLE)
                assert session is not None  # what a file holds is at hand from the start
                found.append(KeptCredentials(session, place, file.profile, means))
            case WebIdentityTokenFile():
                role = settings.token_roles[file.role]
                tokens = token_source(settings, role, signer, clock=clock, token_id=ids, report=report, shared=shared)
                found.append(KeptToken(file.role, tokens, place, means))
            case TokenFile():
                assert settings.issuer is not None  # the settings saw to it
                assert signer is not None
                identity = identity_of(settings.issuer.url, file.audience, file.wording(subject_of(settings)))
                issued = SelfSignedTokens(signer, identity, world, token_id=ids, report=report)
                found.append(KeptToken(file.audience, issued, place, replace(means, clock=world), "token"))
            case _:
                assert_never(file)
    return found
