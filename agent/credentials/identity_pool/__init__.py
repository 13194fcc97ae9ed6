"""How does an identity token become credentials by way of an identity pool of Amazon Cognito?

The pool chooses the role, not we: so what it gives is shown to STS, and served only if it is of the role that the
configuration names. `pool` sends and receives, `refusals` knows what each error means.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent.clock import RemoteClock
from agent.credentials import ROLE_ARN, Credentials
from agent.credentials.identity_pool.pool import AwsIdentityPool, Given, IdentityGone, Pool
from agent.errors import ConfigurationError, CredentialsRefused, CredentialsUnavailable
from agent.secret import Secret
from agent.tokens import TokenSource

__all__ = ["AwsIdentityPool", "Given", "Pool", "PooledIdentity", "PooledRole", "WhoAmI"]

#: Sets live for an hour (Cognito Developer Guide, "Enhanced flow"); more than that and some slack is no answer.
_LONGEST: Final = timedelta(hours=1, minutes=5)

#: Asks STS whom an access key, its secret and its session token belong to: an ARN. Raises CredentialsUnavailable.
WhoAmI = Callable[[str, Secret, Secret], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class PooledRole:
    """A role that an identity pool is to give.

    Attributes:
        arn: the role's full ARN, with its path.
        setting: where the operator wrote it down, for hints, such as `roles.backup`.

    Raises:
        ConfigurationError: `arn` is not the ARN of a role.
    """

    arn: str
    setting: str = "roles.NAME"

    def __post_init__(self) -> None:
        if ROLE_ARN.fullmatch(self.arn) is None:
            raise ConfigurationError(
                f"{self.setting}.arn is not the ARN of a role: {self.arn!r}",
                hint="an ARN looks like arn:aws:iam::123456789012:role/backup",
            )

    @property
    def account_id(self) -> str:
        """The twelve digits of the role's account."""
        return self.arn.split(":")[4]

    def has(self, session_arn: str) -> bool:
        """Whether a session of this ARN is one of the role; the path of a role is no part of its sessions' ARNs."""
        partition, account, name = self.arn.split(":")[1], self.account_id, self.arn.rpartition("/")[2]
        return session_arn.startswith(f"arn:{partition}:sts::{account}:assumed-role/{name}/")


class PooledIdentity:
    """Credentials of a role, by an identity pool's enhanced flow: GetId, and GetCredentialsForIdentity."""

    def __init__(self, pool: Pool, role: PooledRole, tokens: TokenSource, clock: RemoteClock, who_am_i: WhoAmI) -> None:
        """Show `pool` a token of `tokens`; `who_am_i` asks STS whose credentials came back."""
        self._pool = pool
        self._role = role
        self._tokens = tokens
        self._clock = clock
        self._who_am_i = who_am_i
        self._identity: str | None = None

    async def fetch(self) -> Credentials:
        """Ask for new credentials, now.

        Raises CredentialsRefused, CredentialsUnavailable, and what the token's source raises.
        """
        token = (await self._tokens.token()).value
        try:
            given = await self._asked(token)
        except IdentityGone:  # somebody has deleted it: the same login gets another
            self._identity = None
            given = await self._asked(token)
        now = self._clock.now()
        expires_at = _expiry(given, now)
        arn = await self._who_am_i(given.access_key_id, given.secret_access_key, given.session_token)
        if not self._role.has(arn):
            raise CredentialsRefused(
                f"the identity pool gives {_role_of(arn)} and not {self._role.arn}",
                hint=f"make it the authenticated role of the identity pool, or correct {self._role.setting}.arn",
            )
        return Credentials(
            access_key_id=given.access_key_id,
            secret_access_key=given.secret_access_key,
            session_token=given.session_token,
            obtained_at=now,
            expires_at=expires_at,
            role_arn=self._role.arn,
            account_id=self._role.account_id,
        )

    async def _asked(self, token: Secret) -> Given:
        if self._identity is None:
            self._identity = await self._pool.identity(token)
        return await self._pool.credentials(self._identity, token)


def _expiry(given: Given, now: datetime) -> datetime:
    left = given.expires_at - now
    if not timedelta(0) < left <= _LONGEST:
        raise CredentialsUnavailable(
            f"the identity pool's credentials would end {left.total_seconds():.0f} s from now, which cannot be",
            hint="is this machine's clock right?",
        )
    return given.expires_at


def _role_of(arn: str) -> str:
    """What STS said, as far as it is an ARN that can be shown."""
    return arn.rpartition("/")[0] if arn.isprintable() and arn.startswith("arn:") and len(arn) < 300 else "another role"
