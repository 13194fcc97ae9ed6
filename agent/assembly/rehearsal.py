"""Would the daemon start? All that it is made of is made once, and nothing is begun."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from agent.assembly.callers import grants
from agent.assembly.credentials import OpenedSts
from agent.assembly.identity_center import OpenedCenter
from agent.assembly.rotation import signing_key
from agent.assembly.sessions import refused
from agent.assembly.tokens import check_identity
from agent.clock import SystemClock
from agent.errors import AgentError
from agent.keys import PublicKey
from agent.settings import Settings


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the daemon would end with, and the path of the setting that it is about."""

    path: str
    error: AgentError


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The public half of the key, if it was tried and is good, and every reason not to start."""

    key: PublicKey | None
    refusals: tuple[Refusal, ...]


async def rehearse(settings: Settings, credentials_directory: Path | None, *, try_key: bool = True) -> Rehearsal:
    """Make the key, the identity of each role and the client for STS, if it is used, which connects to nothing yet.

    `try_key` False leaves the key out, where only the agent's unit has it.
    """
    key: PublicKey | None = None
    refusals = [refusal async for refusal in _clients(settings)]
    for name, role in settings.token_roles.items():
        try:
            check_identity(settings, role)
        except AgentError as error:
            refusals.append(Refusal(f"roles.{name}", error))
    refusals += [Refusal(setting, error) for setting, error in refused(settings, grants(settings.grants))]
    if settings.key is not None and try_key:
        try:
            async with signing_key(settings, credentials_directory, SystemClock()) as signing:
                key = signing.public
        except AgentError as error:
            refusals.insert(0, Refusal("key", error))
    return Rehearsal(key, tuple(refusals))


async def _clients(settings: Settings) -> AsyncIterator[Refusal]:
    try:
        if settings.uses_sts:
            async with OpenedSts(settings.sts):
                pass
    except AgentError as error:
        yield Refusal("sts", error)
    try:
        if settings.identity_center is not None:
            async with OpenedCenter(settings.identity_center):
                pass
    except AgentError as error:
        yield Refusal("identity_center", error)
