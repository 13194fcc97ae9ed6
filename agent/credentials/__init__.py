"""Who gives us AWS credentials?"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from agent.secret import Secret

#: The ARN of an IAM role (IAM User Guide, "IAM identifiers"); its path ends with a slash, and is often no more.
ROLE_ARN: Final = re.compile(
    r"arn:(?P<partition>aws(?:-[a-z]+)*):iam::(?P<account>[0-9]{12}):role"
    r"(?P<path>/(?:[!-~]{1,510}/)?)(?P<name>[A-Za-z0-9_+=,.@-]{1,64})"
)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Credentials:
    """One set of temporary credentials of one role; all instants by the clock of whoever issued them."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    obtained_at: datetime
    expires_at: datetime
    role_arn: str
    account_id: str

    @property
    def id(self) -> str:
        """What they may be called in public."""
        return self.access_key_id

    @property
    def lifetime(self) -> timedelta:
        """How long they were good for when they were obtained."""
        return self.expires_at - self.obtained_at


class CredentialSource(Protocol):
    """Something that gives us credentials."""

    async def fetch(self) -> Credentials:
        """Ask for new credentials, now; nothing is cached here.

        Raises CredentialsUnavailable or TokenUnavailable (worth another try soon), CredentialsRefused,
        TokenRefused or KeyUnavailable (the same until somebody changes something).
        """
        ...
