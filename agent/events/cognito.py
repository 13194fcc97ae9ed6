"""What happens to what a sign-in at Cognito is kept by?"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefreshTokenUnsaved:
    """What renews a sign-in could not be written to its file: should the agent end now, somebody has to sign in."""

    source: str
    path: str
    reason: str
