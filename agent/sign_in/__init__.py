"""Who is signed in at IAM Identity Center, and until when?

A person signs in with a browser, and what comes of it is kept in a file that the AWS CLI and the SDKs read and write
as well: whoever signs in for one has signed in for all. This door has the values; each file has one step of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from agent.secret import Secret

#: `Answer.code` of an answer that gives what was asked for.
SUCCESS: Final = "Success"


#: How these sign-ins are called in events, metrics and the status.
SOURCE: Final = "identity_center"


@dataclass(frozen=True, slots=True)
class Portal:
    """An access portal, as it is asked for.

    Attributes:
        start_url: its address, byte for byte as in the AWS CLI's configuration: cache files are named for it.
        region: where its Identity Center is.
        session: the name of the sso-session whose sign-in this is; "" where it goes by `start_url`.
        scopes: what a sign-in shall be good for.
        command: what somebody runs to sign in, for hints.
    """

    start_url: str
    region: str
    session: str = ""
    scopes: tuple[str, ...] = ("sso:account:access",)
    command: str = "rolecall login"


@dataclass(frozen=True, slots=True)
class Registration:
    """What Identity Center knows this program by; `grant_types` is empty where nobody has noted them."""

    client_id: str
    client_secret: Secret
    expires_at: datetime
    scopes: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SignIn:
    """That somebody has signed in, as it is kept in a file; instants by the clock of whoever wrote that.

    Attributes:
        access_token: what the portal is asked with, until `expires_at`.
        registration: for whom it was given; None where the file does not say, and then nothing can renew it.
        refresh_token: what a new one is had with; None where there will be none.
        others: members of the file that we do not know, kept as they are.
    """

    start_url: str
    region: str
    access_token: Secret
    expires_at: datetime
    registration: Registration | None = None
    refresh_token: Secret | None = None
    others: Mapping[str, object] = field(default_factory=dict, repr=False)

    def ends_at(self, now: datetime) -> datetime:
        """When somebody has to sign in again at the latest, as far as can be known."""
        return self.registration.expires_at if self.registration and self.is_renewable(now) else self.expires_at

    def is_renewable(self, now: datetime) -> bool:
        """Whether a new access token can be asked for."""
        return self.refresh_token is not None and self.registration is not None and now < self.registration.expires_at


@dataclass(frozen=True, slots=True)
class Answer:
    """What Identity Center said, not believed yet.

    Attributes:
        code: `Success`, its own name for an error, or an HTTP status where an error came without one.
        message: what it said of an error, cleared of anything that could be a token.
        status: the HTTP status.
        told: the time when it answered, if it told the time.
        members: what a success has in it; there are secrets among it.
    """

    code: str
    message: str = ""
    status: int = 200
    told: datetime | None = None
    members: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def given(self) -> bool:
        """Whether it gave what was asked for."""
        return self.code == SUCCESS


class Center(Protocol):
    """IAM Identity Center, as far as we want it: sso-oidc and the access portal."""

    async def ask(self, operation: str, **parameters: object) -> Answer:
        """Ask once, in the words of AWS's own models, such as `create_token` and `get_role_credentials`.

        Raises CredentialsUnavailable if there was no answer, or none that it would give, and CredentialsRefused if
        it could not even be addressed.
        """
        ...

    @property
    def issuer(self) -> str:
        """The address of sso-oidc, under which is its page for people, `/authorize`."""
        ...
