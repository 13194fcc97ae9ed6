"""Who gives us AWS credentials?"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from agent.secret import Secret


@dataclass(frozen=True, slots=True)
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
    def lifetime(self) -> timedelta:
        """How long they were good for when they were obtained."""
        return self.expires_at - self.obtained_at


class CredentialSource(Protocol):
    """Something that gives us credentials."""

    async def fetch(self) -> Credentials:
        """Ask for new credentials, now; nothing is cached here.

        Raises CredentialsUnavailable or TokenUnavailable (worth another try soon), CredentialsRefused or
        KeyUnavailable (the same until somebody changes something).
        """
        ...
