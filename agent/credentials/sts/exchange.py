"""What is asked of STS, and what does it say?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from agent.credentials import ROLE_ARN
from agent.errors import ConfigurationError
from agent.secret import Secret

_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")

#: `Answer.code` of an answer that grants what was asked.
SUCCESS: Final = "Success"


@dataclass(frozen=True, slots=True)
class Role:
    """A role as it is asked for.

    Attributes:
        arn: the role's full ARN, with its path.
        session_name: how the session is called in CloudTrail; 2-64 of `[A-Za-z0-9_+=,.@-]`.
        duration: how long the credentials shall live, 15 minutes to 12 hours (AWS STS, DurationSeconds).
        policy: a session policy, as JSON, that narrows what the credentials may do.
        policy_arns: managed policies that do the same; at most ten.
        setting: where the operator wrote the role down, for hints, such as `roles.backup`.

    Raises:
        ConfigurationError: `arn` is not the ARN of a role, or AWS would not take the session's name.
    """

    arn: str
    session_name: str
    duration: timedelta
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    setting: str = "roles.NAME"

    def __post_init__(self) -> None:
        if ROLE_ARN.fullmatch(self.arn) is None:
            raise ConfigurationError(
                f"{self.setting}.arn is not the ARN of a role: {self.arn!r}",
                hint="an ARN looks like arn:aws:iam::123456789012:role/backup",
            )
        if _SESSION_NAME.fullmatch(self.session_name) is None:
            raise ConfigurationError(
                f"{self.session_name!r} is no name for a session of {self.setting}",
                hint="AWS takes 2 to 64 characters out of A-Z a-z 0-9 _ + = , . @ -",
            )

    @property
    def account_id(self) -> str:
        """The twelve digits of the role's account."""
        return self._part("account")

    @property
    def session_arn(self) -> str:
        """The ARN that the role's session has: the role's name without its path, and the session's name."""
        partition, name = self._part("partition"), self._part("name")
        return f"arn:{partition}:sts::{self.account_id}:assumed-role/{name}/{self.session_name}"

    def _part(self, name: str) -> str:
        found = ROLE_ARN.fullmatch(self.arn)
        assert found is not None  # __post_init__ saw to it
        return found[name]


@dataclass(frozen=True, slots=True)
class Answer:
    """What STS said, not believed yet.

    Attributes:
        code: `Success`, STS's own error code, or an HTTP status when an error came without a code.
        message: what STS said of an error, cleared of anything that could be a token.
        status: the HTTP status.
        told: the time when STS answered, if this is an answer of STS's own and it told the time.
        result: the members of a success, as AWS names them; they hold secrets.
    """

    code: str
    message: str = ""
    status: int = 200
    told: datetime | None = None
    result: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def granted(self) -> bool:
        """Whether STS gave what was asked for."""
        return self.code == SUCCESS


class Sts(Protocol):
    """The one thing that we want of STS."""

    async def assume_role_with_web_identity(self, role: Role, token: Secret) -> Answer:
        """Ask for `role`, showing `token`; one request, no retries.

        Raises CredentialsUnavailable if there was no answer, or none that STS would give, and CredentialsRefused
        if the request could not even be addressed.
        """
        ...
