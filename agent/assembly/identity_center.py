"""How is the sign-in of a person put together, for the daemon and for the commands?"""

import os
import pwd
import shlex
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from agent.assembly.credentials import sts_endpoint
from agent.clock import Clock, RemoteClock
from agent.credentials import CredentialSource
from agent.errors import CredentialsUnavailable
from agent.events import Report
from agent.service import Job
from agent.settings import IdentityCenter as Words
from agent.settings import IdentityCenterRole, Settings, Sts
from agent.sign_in import SOURCE, Answer, Center, Portal
from agent.sign_in.cache import Cache
from agent.sign_in.renewal import Renewal
from agent.sign_in.watch import Watch
from agent.status.sign_ins import SignInStatus

if TYPE_CHECKING:
    from agent.clients.identity_center import CenterEndpoint
    from agent.credentials.identity_center.validation import Given

#: What a request may take: connecting, answering, looking up the name, an answer that trickles.
_PATIENCE: Final = timedelta(seconds=20)
#: The configuration that is found without being named.
_FOUND: Final = Path("/etc/rolecall/rolecall.toml")
#: Where the AWS CLI and the SDKs look, of whoever runs us.
USUAL: Final = Path("~/.aws/sso/cache")


#: From here on users are people (login.defs(5), UID_MIN).
_FIRST_PERSON: Final = 1000


def portal_of(words: Words, command: str = "rolecall login") -> Portal:
    """The access portal that is configured; `command` is what to tell people to run."""
    return Portal(words.start_url, words.region, words.session or "", words.scopes, command)


def command_of(user: int, configuration: Path) -> str:
    """What to run to sign in for this user: a service has no screen, and nobody who is it.

    The configuration is named where it is not the one that every command finds, whatever folder it is run in.
    """
    named = "" if configuration == _FOUND else f" -c {shlex.quote(str(configuration))}"
    if not 0 < user < _FIRST_PERSON:
        return f"rolecall login{named}"
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = f"#{user}"
    return f"sudo -u {shlex.quote(name)} rolecall login --device{named}"


def cache_of(words: Words, portal: Portal) -> Cache:
    """Where its sign-in is kept."""
    return Cache(words.cache or USUAL.expanduser(), portal)


def center_endpoint(words: Words) -> "CenterEndpoint":
    """Where Identity Center is, and how it is reached."""
    from agent.clients.identity_center import CenterEndpoint

    return CenterEndpoint(words.region, words.endpoint_url, words.ca_bundle, words.proxy)


class OpenedCenter:
    """Identity Center behind clients that all share; open between entering and leaving."""

    def __init__(self, words: Words) -> None:
        """Open nothing yet."""
        self._words = words
        self._stack = AsyncExitStack()
        self._center: Center | None = None

    async def __aenter__(self) -> Self:
        """Open the clients. Raises ConfigurationError."""
        from agent.clients.identity_center import identity_center_client  # as large an import as STS's

        self._center = await self._stack.enter_async_context(identity_center_client(center_endpoint(self._words)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the clients and their connections."""
        self._center = None
        await self._stack.aclose()

    @property
    def issuer(self) -> str:
        """The address of sso-oidc."""
        return self._opened().issuer

    async def ask(self, operation: str, **parameters: object) -> Answer:
        """Ask once. Raises CredentialsUnavailable, CredentialsRefused."""
        return await self._opened().ask(operation, **parameters)

    def _opened(self) -> Center:
        if self._center is None:
            raise CredentialsUnavailable("IAM Identity Center has been closed: the agent is stopping")
        return self._center


@dataclass(frozen=True, slots=True)
class IdentityCenter:
    """What the daemon has of it: open `center` while it lives, and run its `jobs`.

    Attributes:
        clock: that of AWS, which learns from what the portal says.
    """

    words: Words
    sts: Sts
    portal: Portal
    center: OpenedCenter
    renewal: Renewal
    watch: Watch
    clock: RemoteClock
    report: Report

    @property
    def jobs(self) -> Sequence[Job]:
        """What runs beside it."""
        return [self.watch.keep_watch]

    @property
    def status(self) -> SignInStatus:
        """How the sign-in stands."""
        now = self.watch.standing
        return SignInStatus(SOURCE, now.state, now.command, now.ends_at, now.problem)

    def source(self, name: str, role: IdentityCenterRole) -> CredentialSource:
        """The source of one role's credentials."""
        from agent.credentials.identity_center.permission_set import PermissionSet
        from agent.credentials.identity_center.source import IdentityCenterCredentials, Shared

        shared = Shared(
            self.portal, self.center, self.renewal, self.watch, self._who_am_i, self.clock, self.report, _PATIENCE
        )
        asked = PermissionSet(role.account, role.permission_set, self.words.region, f"roles.{name}")
        return IdentityCenterCredentials(asked, shared)

    async def _who_am_i(self, given: "Given") -> str:
        from agent.clients.identity import Keys, caller_identity
        from agent.credentials.sts.silence import silence

        keys = Keys(given.access_key_id, given.secret_access_key, given.session_token)
        return await caller_identity(sts_endpoint(self.sts), keys, silence)


def identity_center(
    settings: Settings, *, wall: Clock, clock: RemoteClock, report: Report, user: int | None = None
) -> IdentityCenter | None:
    """The sign-in of a person, of which nothing is opened or read yet; None if there is no [identity_center].

    `wall` is this machine's clock, by which the times in the file of a sign-in are written; `user` is who has to sign
    in, by number: whoever runs this, if nobody is named.
    """
    words = settings.identity_center
    if words is None:
        return None
    portal = portal_of(words, command_of(os.geteuid() if user is None else user, settings.path))
    cache = cache_of(words, portal)
    center = OpenedCenter(words)
    renewal = Renewal(portal, cache, center, wall, report)
    watch = Watch(portal, cache, renewal, clock=wall, report=report)
    return IdentityCenter(words, settings.sts, portal, center, renewal, watch, clock, report)
