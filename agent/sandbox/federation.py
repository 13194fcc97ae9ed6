"""What issues tokens for others in this account, and to which organization does it belong?"""

import re
from dataclasses import dataclass
from typing import Final

from agent.errors import ConfigurationError
from agent.sandbox.members import members

_ISSUER: Final = re.compile(r"https://[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tokens\.sts\.global\.api\.aws")
_KNOWN: Final = {"issuer": str, "organization": str, "ou_path": str, "region": str}

DEFAULT_ISSUER: Final = "https://4f6c1e0a-9d3b-4c58-8a57-2b1f6e9d0c11.tokens.sts.global.api.aws"


@dataclass(frozen=True, slots=True)
class Outbound:
    """Outbound web identity federation, switched on.

    Attributes:
        issuer: the URL that AWS has given the account for it.
        organization: the id of the account's organization; "" if it is in none.
        ou_path: where in it the account is: organization, root and units.
        region: the one whose STS this is.
    """

    issuer: str = DEFAULT_ISSUER
    organization: str = ""
    ou_path: str = ""
    region: str = "eu-central-1"

    def __post_init__(self) -> None:
        """Refuse what AWS gives nobody. Raises ConfigurationError."""
        if not _ISSUER.fullmatch(self.issuer):
            raise ConfigurationError(
                f"{self.issuer!r} is not an issuer that AWS gives an account", hint=f"it looks like {DEFAULT_ISSUER}"
            )
        if self.organization and not re.fullmatch(r"o-[a-z0-9]{10,32}", self.organization):
            raise ConfigurationError(
                f"{self.organization!r} is not the id of an organization", hint="it looks like o-a1b2c3d4e5"
            )
        if self.ou_path and not (self.organization and self.ou_path.startswith(f"{self.organization}/")):
            raise ConfigurationError(
                f"{self.ou_path!r} is no place in the organization", hint="it begins with the organization's id"
            )


def outbound_as_json(outbound: Outbound) -> dict[str, object]:
    """Write it."""
    return {name: getattr(outbound, name) for name in _KNOWN}


def outbound_from_json(document: object) -> Outbound:
    """Read it; what is left out has its default. Raises ConfigurationError."""
    return Outbound(**members(document, _KNOWN, "outbound federation"))
