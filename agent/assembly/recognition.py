"""Who can tell who is asking? Whatever the grants ask for, and nothing else."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from agent.assembly.callers import Wanted, bearer_tokens, wanted
from agent.assembly.rotation import boot
from agent.callers import Attestor, Grant, Recogniser
from agent.callers.bearer import BearerTokens
from agent.clock import Clock
from agent.errors import AgentError, ConfigurationError
from agent.events import CallersSeen, CallersUnseen, ContainersSeen, ContainersUnseen, Report
from agent.service import Job
from agent.settings import Containers, Settings
from agent.web.origins import ByAddress
from agent.wording import TokenGrant

if TYPE_CHECKING:
    from agent.callers.kernel import KernelRecogniser, Sight
    from agent.callers.unit_tokens.attestor import UnitTokens


@dataclass
class Recognition:
    """All that tells who is asking.

    Attributes:
        recogniser: whom listeners on this machine's own addresses ask about each connection.
        tokens: callers' tokens in files.
        unit_tokens: tokens that systemd hands to units, where there are any.
        attestors: all who say what is known of a peer, in the order in which they are asked.
        jobs: what runs for as long as they are asked.
    """

    recogniser: Recogniser
    tokens: BearerTokens
    kernel: "KernelRecogniser | None" = None
    unit_tokens: "UnitTokens | None" = None
    attestors: list[Attestor] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    @property
    def of_containers(self) -> Recogniser:
        """Whom listeners ask that containers reach."""
        from agent.callers.containers.origins import ContainerOrigins

        return ContainerOrigins(self.recogniser)

    async def begin(self) -> None:
        """Read what has to be known when the first caller comes. Raises KeyUnavailable."""
        await self.tokens.read()
        if self.unit_tokens is not None:
            await asyncio.to_thread(self.unit_tokens.load)

    def open(self) -> AbstractContextManager[object]:
        """Let the kernel be asked, until the end."""
        return self.kernel or nullcontext()


def recognition(
    settings: Settings, granted: Sequence[Grant | TokenGrant], *, clock: Clock, report: Report
) -> Recognition:
    """Put it together; nothing is asked yet. Raises ConfigurationError."""
    asked = wanted(granted)
    tokens = bearer_tokens(settings.grants, clock=clock, report=report)
    found = Recognition(ByAddress(), tokens, attestors=[tokens], jobs=[tokens.keep_read])
    if settings.callers.recognise == "kernel":
        _by_kernel(found, settings, asked, clock=clock, report=report)
    if settings.unit_tokens is not None:
        _by_unit_tokens(found, settings, asked, clock=clock, report=report)
    if settings.containers is not None:
        _by_container(found, settings.containers, asked, clock=clock, report=report)
    return found


def _by_kernel(found: Recognition, settings: Settings, asked: Wanted, *, clock: Clock, report: Report) -> None:
    from agent.callers.kernel import KernelRecogniser, Patterns

    patterns = Patterns(asked.patterns["systemd.unit"], asked.patterns["systemd.user_unit"])
    found.kernel = KernelRecogniser(clock, patterns, want_sockets=settings.callers.executables)
    found.recogniser = found.kernel
    found.jobs.append(lambda: _tell_what_is_seen(settings, asked, report))
    if asked.users or asked.groups or asked.every_user:
        from agent.callers.accounts import Accounts

        accounts = Accounts(asked.users, asked.groups, clock=clock, report=report, all_names=asked.every_user)
        found.attestors.append(accounts)
        found.jobs.append(accounts.keep_known)
    if settings.callers.executables:
        from agent.callers.executables import Executables

        found.attestors.append(Executables(clock))


def _by_unit_tokens(found: Recognition, settings: Settings, asked: Wanted, *, clock: Clock, report: Report) -> None:
    from agent.callers.unit_tokens.attestor import Lifetimes, UnitTokens
    from agent.callers.unit_tokens.file import SecretsFile

    words = settings.unit_tokens
    assert words is not None  # or nobody would ask
    found.unit_tokens = UnitTokens(
        SecretsFile(words.secret),
        Lifetimes(words.rotate, words.overlap),
        asked.patterns["token.unit"],
        clock=clock,
        boot=boot(),
        report=report,
    )
    found.attestors.append(found.unit_tokens)
    found.jobs.append(found.unit_tokens.keep_rotated)


def _by_container(found: Recognition, words: Containers, asked: Wanted, *, clock: Clock, report: Report) -> None:
    from agent.callers.containers.attestor import Containers as ByContainer
    from agent.callers.containers.engine import Engine
    from agent.callers.kernel.sock_diag import SockDiag

    def tell(error: AgentError | None) -> None:
        report(ContainersSeen() if error is None else ContainersUnseen(error))

    containers = ByContainer(
        Engine(words.engine, words.engine_socket),
        line=SockDiag if words.recognise == "namespace" else None,
        clock=clock,
        tell=tell,
        patterns=asked.patterns["container.name"],
    )
    found.attestors.append(containers)
    found.jobs.append(containers.keep_known)


async def _tell_what_is_seen(settings: Settings, asked: Wanted, report: Report) -> NoReturn:
    """Say once what can be told of callers here, and what is granted by more than that."""
    from agent.callers.kernel import probe

    sight = await asyncio.to_thread(probe)
    report(CallersSeen(sight.summary))
    for error in unseen(settings, asked, sight):
        report(CallersUnseen(error))
    await asyncio.Event().wait()
    raise AssertionError  # nobody sets that event


def unseen(settings: Settings, asked: Wanted, sight: "Sight") -> Iterator[ConfigurationError]:
    """What grants ask for and cannot be told of callers on this machine."""
    concerned = {"users": asked.accounts, "units": asked.units, "both": asked.accounts or asked.units}
    yield from (ConfigurationError(one.what, hint=one.hint) for one in sight.wanting if concerned[one.of])
    if settings.callers.executables:
        from agent.callers.executables import why_blind

        if (blind := why_blind()) is not None:
            yield blind
