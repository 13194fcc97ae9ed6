"""Which pools of Amazon Cognito does this AWS have: users who sign in, and identities that become roles?

Values, like the rest of the world. What Cognito would not have let anybody create is refused here.
"""

import base64
import binascii
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, get_args

from agent.errors import ConfigurationError

#: ExplicitAuthFlows of an app client (cognito-idp, CreateUserPoolClient), those that the sandbox has.
Flow = Literal["ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
#: UserStatus, those that decide about a sign-in.
State = Literal["CONFIRMED", "UNCONFIRMED", "FORCE_CHANGE_PASSWORD", "RESET_REQUIRED"]
SecondFactor = Literal["SOFTWARE_TOKEN_MFA", "SMS_MFA"]
Mfa = Literal["OFF", "OPTIONAL", "ON"]

_POOL_ID: Final = re.compile(r"([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2})_[0-9A-Za-z]{1,45}")
_IDENTITY_POOL_ID: Final = re.compile(
    r"([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2}):[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
#: Names of this form are made from those of users, so that `sub` is the same in every run.
_SUBJECTS: Final = uuid.UUID("5c1f2d0e-3b7a-4c55-9b0e-6f1d8a0c7e21")


@dataclass(frozen=True, slots=True)
class AppClient:
    """An app client of a user pool.

    Attributes:
        client_id: 1 to 128 letters and digits.
        secret: its client secret, 24 to 64 letters and digits, if it has one: then SECRET_HASH is asked for.
        flows: which ways of signing in are enabled; passwords in the clear are not, unless somebody says so.
        prevent_user_existence_errors: whether a user who is not there fails as one with a wrong password does.
        rotation: whether each use of a refresh token gives another; then ALLOW_REFRESH_TOKEN_AUTH cannot be enabled.
        grace: for how long a refresh token that has been rotated may be used again, 0 to 60 seconds.
        token_lifetime: of id and access tokens, 5 minutes to a day.
        refresh_lifetime: of a sign-in, an hour to ten years.
    """

    client_id: str
    secret: str | None = field(default=None, repr=False)
    flows: tuple[Flow, ...] = ("ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH")
    prevent_user_existence_errors: bool = True
    rotation: bool = False
    grace: timedelta = timedelta(0)
    token_lifetime: timedelta = timedelta(hours=1)
    refresh_lifetime: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        """Refuse what CreateUserPoolClient refuses. Raises ConfigurationError."""
        _check(re.fullmatch(r"[\w+]{1,128}", self.client_id), f"{self.client_id!r} is not the id of an app client")
        if self.secret is not None:
            _check(re.fullmatch(r"[\w+]{24,64}", self.secret), "a client secret has 24 to 64 letters and digits")
        _check_words("flow", self.flows, get_args(Flow))
        fits = not (self.rotation and "ALLOW_REFRESH_TOKEN_AUTH" in self.flows)
        _check(fits, "a client whose refresh tokens rotate cannot have ALLOW_REFRESH_TOKEN_AUTH")
        for what, span, least, most in (
            ("grace", self.grace, timedelta(0), timedelta(seconds=60)),
            ("token_lifetime", self.token_lifetime, timedelta(minutes=5), timedelta(days=1)),
            ("refresh_lifetime", self.refresh_lifetime, timedelta(hours=1), timedelta(days=3650)),
        ):
            _check(least <= span <= most, f"{what} of a client is {least} to {most}, not {span}")


@dataclass(frozen=True, slots=True)
class User:
    """A user of a user pool.

    Attributes:
        name: the user name, as tokens have it in cognito:username.
        password: what it signs in with; in FORCE_CHANGE_PASSWORD, the temporary one.
        state: UserStatus.
        enabled: whether an administrator lets it sign in at all.
        mfa: its second factor, if it has one.
        totp_secret: the secret of its authenticator, base32, for SOFTWARE_TOKEN_MFA.
        attributes: such as email; phone_number is where codes of SMS_MFA go.
        groups: cognito:groups of its tokens.
    """

    name: str
    password: str = field(repr=False)
    state: State = "CONFIRMED"
    enabled: bool = True
    mfa: SecondFactor | None = None
    totp_secret: str | None = field(default=None, repr=False)
    attributes: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a user who cannot be. Raises ConfigurationError."""
        _check(1 <= len(self.name) <= 128 and not re.search(r"\s", self.name), f"{self.name!r} is not a user name")
        _check_words("state of a user", (self.state,), get_args(State))
        if self.mfa is not None:
            _check_words("second factor", (self.mfa,), get_args(SecondFactor))
        if self.mfa == "SOFTWARE_TOKEN_MFA":
            _check(self.totp_secret and _is_base32(self.totp_secret), f"{self.name} needs a totp_secret in base32")
        if self.mfa == "SMS_MFA":
            _check("phone_number" in self.attributes, f"{self.name} needs a phone_number for SMS_MFA")

    @property
    def subject(self) -> str:
        """Its `sub`: made from the name, so that it is the same in every run."""
        return str(uuid.uuid5(_SUBJECTS, self.name))


@dataclass(frozen=True, slots=True)
class UserPool:
    """A user pool.

    Attributes:
        pool_id: its region, an underscore, and letters and digits.
        mfa: MfaConfiguration; ON asks users without a second factor to set one up.
        aliases: attributes that users may sign in with instead of their name, such as email.
        shortest_password: of the password policy, 6 to 99 characters.
    """

    pool_id: str
    clients: tuple[AppClient, ...] = ()
    users: tuple[User, ...] = ()
    mfa: Mfa = "OPTIONAL"
    aliases: tuple[str, ...] = ()
    shortest_password: int = 8

    def __post_init__(self) -> None:
        """Refuse a pool that cannot be. Raises ConfigurationError."""
        _check(
            _POOL_ID.fullmatch(self.pool_id), f"{self.pool_id!r} is no user pool; one looks like eu-central-1_Ab129faBb"
        )
        _check_words("mfa", (self.mfa,), get_args(Mfa))
        _check(6 <= self.shortest_password <= 99, "the shortest password has 6 to 99 characters")
        check_once("app client", [one.client_id for one in self.clients])
        check_once("user", [one.name for one in self.users])

    @property
    def region(self) -> str:
        """Where it is."""
        return self.pool_id.partition("_")[0]

    @property
    def name(self) -> str:
        """Its id without the region: what SRP hashes with the password."""
        return self.pool_id.partition("_")[2]

    @property
    def provider_name(self) -> str:
        """How identity pools and trust policies call it: the issuer without its scheme."""
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return f"cognito-idp.{self.region}.amazonaws.com{suffix}/{self.pool_id}"

    @property
    def issuer(self) -> str:
        """The `iss` of its tokens."""
        return f"https://{self.provider_name}"

    def client_of(self, client_id: str) -> AppClient | None:
        """The app client of this id."""
        return next((one for one in self.clients if one.client_id == client_id), None)

    def user_of(self, name: str) -> User | None:
        """The user of this name, or of this alias."""
        for user in self.users:
            if name == user.name or name in [user.attributes.get(alias) for alias in self.aliases]:
                return user
        return None


@dataclass(frozen=True, slots=True)
class IdentityPool:
    """An identity pool.

    Attributes:
        pool_id: its region, a colon, and a UUID.
        clients: app clients whose users it takes, each as the user pool's `provider_name` and the client's id.
        openid_providers: URLs of providers of the account whose tokens it takes as well.
        authenticated_role, unauthenticated_role: ARNs of the roles that it gives.
        allow_unauthenticated: whether guests are let in.
        allow_classic: whether GetOpenIdToken is enabled.
    """

    pool_id: str
    clients: tuple[tuple[str, str], ...] = ()
    openid_providers: tuple[str, ...] = ()
    authenticated_role: str | None = None
    unauthenticated_role: str | None = None
    allow_unauthenticated: bool = False
    allow_classic: bool = False

    def __post_init__(self) -> None:
        """Refuse a pool that cannot be. Raises ConfigurationError."""
        _check(
            _IDENTITY_POOL_ID.fullmatch(self.pool_id),
            f"{self.pool_id!r} is no identity pool; one looks like eu-central-1:01234567-89ab-cdef-0123-456789abcdef",
        )

    @property
    def region(self) -> str:
        """Where it is."""
        return self.pool_id.partition(":")[0]


def check_once(what: str, names: Iterable[str]) -> None:
    """See that nothing is there twice. Raises ConfigurationError."""
    listed = list(names)
    for name in listed:
        if listed.count(name) > 1:
            raise ConfigurationError(f"the {what} {name} exists twice", hint="remove one of the two")


def _is_base32(text: str) -> bool:
    try:
        return bool(base64.b32decode(text + "=" * (-len(text) % 8)))
    except (binascii.Error, ValueError):
        return False


def _check_words(what: str, words: Iterable[str], known: tuple[str, ...]) -> None:
    for word in words:
        _check(word in known, f"there is no {what} {word!r}", f"there are: {', '.join(known)}")


def _check(fits: object, what: str, hint: str = "correct it, or leave it out") -> None:
    if not fits:
        raise ConfigurationError(what, hint=hint)
