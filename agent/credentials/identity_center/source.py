"""How does a person's sign-in become credentials of a role?

By the access portal's GetRoleCredentials. What it gives is shown to STS before it is served: STS alone says which role
it is of, since the portal knows permission sets, and clients want the ARN of a role.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from agent.clock import RemoteClock, within
from agent.credentials import Credentials
from agent.credentials.identity_center.permission_set import PermissionSet, apology, stranger
from agent.credentials.identity_center.validation import Given, believe
from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable, SignInNeeded
from agent.events import ClockMeasured, Report
from agent.secret import Secret
from agent.sign_in import Answer, Center, Portal
from agent.sign_in.answers import needed

_T = TypeVar("_T")


class Tokens(Protocol):
    """Who has the access token."""

    async def token(self) -> Secret:
        """One to ask with. Raises SignInNeeded, CredentialsUnavailable."""
        ...

    async def another(self, refused: Secret) -> Secret:
        """Another one, since this was refused. Raises SignInNeeded, CredentialsUnavailable."""
        ...


class Witness(Protocol):
    """Who hears how the sign-in fares."""

    def taken(self, token: Secret) -> None:
        """The portal has taken this access token."""
        ...

    def over(self, why: AgentError) -> None:
        """Somebody has to sign in."""
        ...


#: Asks STS whose these credentials are: the ARN of a session. Raises CredentialsRefused, CredentialsUnavailable.
WhoAmI = Callable[[Given], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all roles of one sign-in have in common.

    Attributes:
        clock: learns the time of whatever the portal says.
        patience: how long one request may take, all of it.
    """

    portal: Portal
    center: Center
    tokens: Tokens
    witness: Witness
    who_am_i: WhoAmI
    clock: RemoteClock
    report: Report
    patience: timedelta


class IdentityCenterCredentials:
    """Credentials of a permission set, for as long as that says, while somebody is signed in."""

    def __init__(self, asked: PermissionSet, shared: Shared) -> None:
        """Fetch `asked` each time."""
        self._asked = asked
        self._shared = shared
        self._role_arn: str | None = None

    async def fetch(self) -> Credentials:
        """Ask the portal for new credentials; with another access token at once, if it does not take the first.

        Raises SignInNeeded, CredentialsRefused, CredentialsUnavailable.
        """
        try:
            answer = await self._answer()
        except SignInNeeded as error:
            self._shared.witness.over(error)
            raise
        if not answer.given:
            raise apology(answer, self._asked)
        try:
            given = believe(answer, self._shared.clock.now())
        except CredentialsUnavailable as error:
            raise error.with_traceback(None)  # noqa: B904 - itself, without the frames that hold the answer
        return Credentials(
            access_key_id=given.access_key_id,
            secret_access_key=given.secret_access_key,
            session_token=given.session_token,
            obtained_at=given.obtained_at,
            expires_at=given.expires_at,
            role_arn=await self._whose(given),
            account_id=self._asked.account,
        )

    async def _answer(self) -> Answer:
        """What the portal says to an access token that is good."""
        token = await self._shared.tokens.token()
        answer = await self._ask(token)
        if answer.status == 401:
            token = await self._shared.tokens.another(token)
            answer = await self._ask(token)
        if answer.status == 401:
            raise needed(self._shared.portal, "the sign-in is over; sign in")
        self._shared.witness.taken(token)
        return answer

    async def _ask(self, token: Secret) -> Answer:
        asked = self._shared.center.ask(
            "get_role_credentials",
            roleName=self._asked.name,
            accountId=self._asked.account,
            accessToken=token.reveal(),
        )
        answer = await self._in_time(asked, "IAM Identity Center", "identity_center")
        if answer.told is not None:
            self._shared.clock.learn(answer.told)
            offset = self._shared.clock.offset
            assert offset is not None  # it has just been learnt
            self._shared.report(ClockMeasured(offset))
        return answer

    async def _whose(self, given: Given) -> str:
        """The ARN of the role that they are of, by STS's word; what it was before, if STS cannot be heard."""
        try:
            session = await self._in_time(self._shared.who_am_i(given), "STS", "sts")
        except CredentialsUnavailable as error:
            if self._role_arn is not None:
                return self._role_arn
            what = f"there are credentials, but STS has not said yet of which role: {error.what}"
            raise CredentialsUnavailable(what, hint=error.hint) from None
        except CredentialsRefused as error:
            what = f"STS does not take what IAM Identity Center gave: {error.what}"
            hint = "see that sts.endpoint_url, if set, is where they are good, and that this machine's clock is right"
            raise CredentialsUnavailable(what, hint=hint) from None
        role_arn = self._asked.role_arn(session)
        if role_arn is None:
            raise stranger(session, self._asked)
        self._role_arn = role_arn
        return role_arn

    async def _in_time(self, asked: Awaitable[_T], whom: str, section: str) -> _T:
        patience = self._shared.patience.total_seconds()
        try:
            return await within(self._shared.clock, patience, asked)
        except TimeoutError:
            raise CredentialsUnavailable(
                f"{whom} gave no complete answer within {patience:g} s",
                hint=f"check the way to it: name resolution, firewall, {section}.proxy and {section}.endpoint_url",
            ) from None
