"""Where does each role's credentials come from, and how is STS opened?"""

from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from agent.clock import RemoteClock
from agent.credentials import CredentialSource
from agent.credentials.sts import Answer, AwsSts, Role, Sts, StsWebIdentity
from agent.errors import ConfigurationError, CredentialsUnavailable
from agent.events import Report
from agent.narrowing import WHOLE, Narrowing
from agent.secret import Secret
from agent.settings.credentials import Sts as StsSettings
from agent.settings.credentials import StsRole
from agent.tokens import TokenSource

if TYPE_CHECKING:
    from agent.clients.aws import StsEndpoint

#: Time for what has no time limit of its own: the name look-up, and an answer that trickles.
_LOOKING_UP = timedelta(seconds=5)


class OpenedSts:
    """STS behind one client that all roles share; open between entering and leaving."""

    def __init__(self, settings: StsSettings) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._stack = AsyncExitStack()
        self._sts: Sts | None = None

    @property
    def patience(self) -> timedelta:
        """How long one request may take in all: what connecting and answering may, and looking up the name."""
        return self._settings.connect_timeout + self._settings.read_timeout + _LOOKING_UP

    async def __aenter__(self) -> Self:
        """Open the client. Raises ConfigurationError."""
        from agent.clients.aws import sts_client  # the largest import there is: see ADR 0006

        endpoint = sts_endpoint(self._settings)
        self._sts = AwsSts(await self._stack.enter_async_context(sts_client(endpoint)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client and its connections."""
        self._sts = None
        await self._stack.aclose()

    async def assume_role_with_web_identity(self, role: Role, token: Secret) -> Answer:
        """Ask STS. Raises CredentialsUnavailable."""
        if self._sts is None:
            raise CredentialsUnavailable("STS has been closed: the agent is stopping")
        return await self._sts.assume_role_with_web_identity(role, token)


def sts_endpoint(settings: StsSettings) -> "StsEndpoint":
    """Where STS is, and how it is reached."""
    from agent.clients.aws import StsEndpoint

    return StsEndpoint(
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        fips=settings.fips,
        dualstack=settings.dualstack,
        ca_bundle=settings.ca_bundle,
        proxy=settings.proxy,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
    )


def role_of(name: str, settings: StsRole, narrowing: Narrowing = WHOLE) -> Role:
    """What is asked of STS for a role, or for so much of it.

    Raises ConfigurationError if the role cannot be what it claims, or the narrowing would widen it: of several session
    policies AWS allows what any of them does, so a grant can have one only where the role has none.
    """
    limits, limited = (narrowing.policy, narrowing.policy_arns), (settings.session_policy, settings.policy_arns)
    if any(limits) and any(limited):
        raise ConfigurationError(
            f"roles.{name} has a session policy, and a grant of it has another: AWS would allow what either does",
            hint="write all of it in the grant, or all of it in the role",
        )
    policy, policy_arns = limits if any(limits) else limited
    return Role(
        arn=settings.arn,
        session_name=narrowing.session_name or settings.session_name,
        duration=min(settings.duration, narrowing.duration or settings.duration),
        policy=policy,
        policy_arns=policy_arns,
        setting=f"roles.{name}",
    )


def credential_source(
    role: Role, sts: OpenedSts, tokens: TokenSource, *, clock: RemoteClock, report: Report
) -> CredentialSource:
    """The source of one role's credentials."""
    return StsWebIdentity(sts, role, tokens, clock, report, patience=sts.patience)
