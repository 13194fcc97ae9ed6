"""What is set up in this Identity Center?

Frozen values, as the rest of the world is; what an administrator could not have created is refused when it is made.
Lifetimes that AWS leaves to the administrator have AWS's defaults, those that AWS fixes are as they have been seen.
"""

import hashlib
import re
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from agent.errors import ConfigurationError
from agent.sandbox.policies.policy import Kind, Malformed, Policy, read_policy

#: The scope that opens the access portal, and with it a session that can be renewed.
ACCOUNT_ACCESS: Final = "sso:account:access"
_HOUR: Final = timedelta(hours=1)
_NO_TIME: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Account:
    """An AWS account of the organisation.

    Attributes:
        id: 12 digits.
        name: what the portal calls it.
        email: of its root user; "" for one made of the name.
    """

    id: str
    name: str
    email: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no account. Raises ConfigurationError."""
        if not re.fullmatch(r"\d{12}", self.id):
            raise ConfigurationError(f"{self.id!r} is not an AWS account id", hint="it has 12 digits")
        if not self.email:
            object.__setattr__(self, "email", re.sub(r"[^a-z0-9]+", "-", self.name.lower()) + "@example.com")


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """What somebody may do in an account that it is assigned for.

    Attributes:
        name: 1 to 32 characters.
        session: how long its credentials live, 1 to 12 hours.
        policies: identity policies, as parsed JSON.
    """

    name: str
    session: timedelta = _HOUR
    policies: tuple[Mapping[str, object], ...] = ()
    identity: tuple[Policy, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what Identity Center's CreatePermissionSet refuses. Raises ConfigurationError."""
        if not re.fullmatch(r"[\w+=,.@-]{1,32}", self.name, re.ASCII):
            raise ConfigurationError(
                f"no permission set can be called {self.name!r}", hint="use 1 to 32 letters, digits and +=,.@-_"
            )
        if not _HOUR <= self.session <= 12 * _HOUR:
            raise ConfigurationError(
                f"the sessions of the permission set {self.name} last {self.session}", hint="give 1 to 12 hours"
            )
        try:
            object.__setattr__(self, "identity", tuple(read_policy(one, Kind.IDENTITY) for one in self.policies))
        except Malformed as malformed:
            raise ConfigurationError(
                f"IAM would refuse a policy of the permission set {self.name}: {malformed}",
                hint="correct the policy document",
            ) from malformed


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can sign in.

    Attributes:
        name: also the name of the role sessions, hence 2 to 64 characters that STS takes.
        assignments: account id to the names of the permission sets that are assigned there.
    """

    name: str
    assignments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a name that could be no role session's. Raises ConfigurationError."""
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", self.name, re.ASCII):
            raise ConfigurationError(
                f"no user can be called {self.name!r}", hint="use 2 to 64 letters, digits and +=,.@-_"
            )


@dataclass(frozen=True, slots=True)
class IdentityCenter:
    """An instance of IAM Identity Center, with its access portal.

    Attributes:
        start_url: the portal's URL, as users write it into their profiles.
        region: where it is.
        accounts, permission_sets, users: what there is to choose from, and who chooses.
        scopes: which scopes a client may register for.
        session: how long somebody stays signed in.
        access_token: how long an access token lives that can be renewed; one that cannot lives as long as the session.
        registration: how long a client's id and secret are good.
        code: how long an authorization code is good. AWS does not publish its own.
        device_code: how long somebody has to enter a user code.
        interval: how long a device is to wait between two questions; whole seconds.
        rotates: whether a refresh token is good for one use, and the answer brings another. AWS does not say whether
            the old one goes on working; a client that is written for the strict way works either way.
        page: how many accounts or roles an answer lists if the client does not say; 1 to 100.
    """

    start_url: str = "https://d-1234567890.awsapps.com/start"
    region: str = "eu-central-1"
    accounts: tuple[Account, ...] = ()
    permission_sets: tuple[PermissionSet, ...] = ()
    users: tuple[User, ...] = ()
    scopes: tuple[str, ...] = (ACCOUNT_ACCESS,)
    session: timedelta = 8 * _HOUR
    access_token: timedelta = _HOUR
    registration: timedelta = timedelta(days=90)
    code: timedelta = timedelta(minutes=1)
    device_code: timedelta = timedelta(minutes=10)
    interval: timedelta = timedelta(seconds=5)
    rotates: bool = True
    page: int = 20

    def __post_init__(self) -> None:
        """Refuse an instance that cannot be. Raises ConfigurationError."""
        if not re.fullmatch(r"https://[^/?#\s]+/[^?#\s]*", self.start_url):
            raise ConfigurationError(
                f"{self.start_url!r} is not the URL of an access portal",
                hint="it looks like https://d-1234567890.awsapps.com/start",
            )
        if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d", self.region):
            raise ConfigurationError(f"{self.region!r} is not a region", hint="it looks like eu-central-1")
        if not 1 <= self.page <= 100:
            raise ConfigurationError(f"a page cannot list {self.page} items", hint="give 1 to 100")
        if self.interval % timedelta(seconds=1) or self.interval < timedelta(seconds=1):
            raise ConfigurationError(f"a device cannot wait {self.interval}", hint="give whole seconds, 1 or more")
        lifetimes = ("session", "access_token", "registration", "code", "device_code")
        for name in lifetimes:
            if getattr(self, name) <= _NO_TIME:
                raise ConfigurationError(f"{name} of the Identity Center is no time at all", hint="give 1 s or more")
        self._check_names()

    def _check_names(self) -> None:
        """Each thing exists once, and what an assignment names exists."""
        accounts = [one.id for one in self.accounts]
        sets = [one.name for one in self.permission_sets]
        for what, names in (
            ("account", accounts),
            ("permission set", sets),
            ("user", [one.name for one in self.users]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ConfigurationError(f"the {what} {twice[0]} exists twice", hint="remove one of the two")
        for user in self.users:
            for account, assigned in user.assignments.items():
                missing = [account] if account not in accounts else [one for one in assigned if one not in sets]
                if missing:
                    raise ConfigurationError(
                        f"{user.name} is assigned {missing[0]}, which does not exist",
                        hint="add it to the accounts or permission sets, or remove the assignment",
                    )

    def is_start_url(self, url: str) -> bool:
        """Whether this is the portal's URL, as users copy it: perhaps with a slash or an empty fragment at the end."""
        return re.sub(r"/?(#/?)?$", "", url) == self.start_url.rstrip("/")

    def user(self, name: str) -> User | None:
        """The user of this name."""
        return next((one for one in self.users if one.name == name), None)

    def permission_set(self, name: str) -> PermissionSet | None:
        """The permission set of this name."""
        return next((one for one in self.permission_sets if one.name == name), None)

    def role_arn(self, partition: str, account: str, permission_set: str) -> str:
        """The role that Identity Center keeps in an account for a permission set.

        The path has the region, except for us-east-1; the sixteen digits at the end are made from the rest, so that
        they are the same in every run.
        """
        digits = hashlib.sha256(f"{self.start_url} {account} {permission_set}".encode()).hexdigest()[:16]
        region = "" if self.region == "us-east-1" else f"{self.region}/"
        path = f"aws-reserved/sso.amazonaws.com/{region}"
        return f"arn:{partition}:iam::{account}:role/{path}AWSReservedSSO_{permission_set}_{digits}"


def unique_id(role_arn: str) -> str:
    """AROA…: made from the role's ARN, as for all roles here."""
    return "AROA" + b32encode(hashlib.sha256(role_arn.encode()).digest())[:17].decode()
