"""What exists in this AWS?

A world is a value: change it by replacing it (`dataclasses.replace`). What AWS would not have let anybody create
is refused here, when the world is made, not when a request comes.
"""

import hashlib
import re
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from os import PathLike
from typing import Final

from agent.errors import ConfigurationError
from agent.sandbox.centers import IdentityCenter
from agent.sandbox.federation import Outbound
from agent.sandbox.policies.policy import Kind, Malformed, Policy, read_policy
from agent.sandbox.pools import IdentityPool, UserPool, check_once
from agent.sandbox.trusting.world import RelyingParties

#: Where an issuer's web site is: a directory, served by the sandbox, or the http(s) base URL of somebody who serves it.
Site = str | PathLike[str]

_ROLE_ARN: Final = re.compile(
    r"arn:(?P<partition>[a-z-]+):iam::(?P<account>\d{12}):role(?P<path>/(?:[!-.0-~]+/)*)(?P<name>[\w+=,.@-]{1,64})"
)
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Provider:
    """An IAM OpenID Connect provider.

    Attributes:
        url: what the token's `iss` must be, to the letter: https, no port, no query.
        client_ids: the audiences it takes, at most 100.
        thumbprints: SHA-1 of certificates, 40 hexadecimal digits each, at most 5; looked at only where the
            site's certificate chain does not lead to the sandbox's own authority.
    """

    url: str
    client_ids: tuple[str, ...] = ("sts.amazonaws.com",)
    thumbprints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what IAM's CreateOpenIDConnectProvider refuses. Raises ConfigurationError."""
        if not re.fullmatch(r"https://[^/:?#\s]+(/[^?#\s]*)?", self.url) or len(self.url) > 255:
            raise ConfigurationError(
                f"IAM takes no identity provider of the URL {self.url!r}",
                hint="give an https:// URL without port or query, of at most 255 characters",
            )
        if len(self.client_ids) > 100 or not all(0 < len(one) <= 255 for one in self.client_ids):
            raise ConfigurationError(
                f"the provider {self.url} has client ids that IAM does not take",
                hint="give at most 100 client ids of 1 to 255 characters",
            )
        if len(self.thumbprints) > 5 or not all(re.fullmatch(r"[0-9a-fA-F]{40}", one) for one in self.thumbprints):
            raise ConfigurationError(
                f"the provider {self.url} has thumbprints that IAM does not take",
                hint="give at most 5 SHA-1 thumbprints of 40 hexadecimal digits",
            )

    @property
    def host_and_path(self) -> str:
        """The URL without its scheme: how trust policies and ARNs name the provider."""
        return self.url.removeprefix("https://")


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role.

    Attributes:
        arn: with its path.
        trust_policy: the document, as parsed JSON.
        max_session: 1 to 12 hours.
        policies: the identity policies attached to it, as parsed JSON.
    """

    arn: str
    trust_policy: Mapping[str, object]
    max_session: timedelta = _HOUR
    policies: tuple[Mapping[str, object], ...] = ()
    trust: Policy = field(init=False, repr=False, compare=False)
    identity: tuple[Policy, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what IAM's CreateRole refuses. Raises ConfigurationError."""
        if not _ROLE_ARN.fullmatch(self.arn):
            raise ConfigurationError(
                f"{self.arn!r} is not the ARN of a role",
                hint="it looks like arn:aws:iam::123456789012:role/name",
            )
        if not _HOUR <= self.max_session <= 12 * _HOUR:
            raise ConfigurationError(
                f"the longest session of {self.arn} is {self.max_session}",
                hint="IAM takes MaxSessionDuration from 1 to 12 hours",
            )
        try:
            object.__setattr__(self, "trust", read_policy(self.trust_policy, Kind.TRUST))
            object.__setattr__(self, "identity", tuple(read_policy(one, Kind.IDENTITY) for one in self.policies))
        except Malformed as malformed:
            raise ConfigurationError(
                f"IAM would refuse a policy of {self.arn}: {malformed}", hint="correct the policy document"
            ) from malformed

    @property
    def account_id(self) -> str:
        """The account it lives in."""
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        """Its name, without the path."""
        return self.arn.rpartition("/")[2]

    @property
    def unique_id(self) -> str:
        """AROA…: made from the ARN, so that it is the same in every run."""
        return "AROA" + b32encode(hashlib.sha256(self.arn.encode()).digest())[:17].decode()


@dataclass(frozen=True, slots=True)
class World:
    """One AWS account: who is trusted, which roles there are, and one bucket.

    Attributes:
        account_id: 12 digits.
        partition: aws, aws-cn, aws-us-gov, …
        providers: the identity providers of the account; one per URL.
        roles: its roles; one per ARN.
        bucket: the name of its one S3 bucket.
        objects: what is in the bucket, by key.
        managed_policies: documents that `PolicyArns` may name, by ARN.
        relying_parties: who else believes tokens: APIs, and other clouds.
        user_pools, identity_pools: those of Amazon Cognito; app clients have one id in all pools.
        outbound: what issues tokens for others to callers of this account; None where that is switched off.
        identity_center: where people sign in, for accounts of which this one may be one; None if nowhere.
    """

    account_id: str = "123456789012"
    partition: str = "aws"
    providers: tuple[Provider, ...] = ()
    roles: tuple[Role, ...] = ()
    bucket: str = "demo-bucket"
    objects: Mapping[str, bytes] = field(default_factory=dict)
    managed_policies: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    relying_parties: RelyingParties = field(default_factory=RelyingParties)
    user_pools: tuple[UserPool, ...] = ()
    identity_pools: tuple[IdentityPool, ...] = ()
    identity_center: IdentityCenter | None = None
    outbound: Outbound | None = None

    def __post_init__(self) -> None:
        """Refuse an account that cannot be. Raises ConfigurationError."""
        if not re.fullmatch(r"\d{12}", self.account_id):
            raise ConfigurationError(
                f"{self.account_id!r} is not an AWS account id", hint="it has 12 digits, such as 123456789012"
            )
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", self.bucket):
            raise ConfigurationError(
                f"S3 takes no bucket of the name {self.bucket!r}",
                hint="use 3 to 63 lower-case letters, digits, dots and hyphens",
            )
        for what, names in (
            ("provider", [one.url for one in self.providers]),
            ("role", [one.arn for one in self.roles]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ConfigurationError(f"the {what} {twice[0]} exists twice", hint="remove one of the two")
        check_once("user pool", [one.pool_id for one in self.user_pools])
        check_once("identity pool", [one.pool_id for one in self.identity_pools])
        check_once("app client", [client.client_id for one in self.user_pools for client in one.clients])
        for role in self.roles:
            self._check_home(role)
        for arn, document in self.managed_policies.items():
            try:
                read_policy(document, Kind.IDENTITY)
            except Malformed as malformed:
                raise ConfigurationError(
                    f"IAM would refuse the policy {arn}: {malformed}", hint="correct the policy document"
                ) from malformed

    def _check_home(self, role: Role) -> None:
        """A role lives in this account and partition."""
        home = f"arn:{self.partition}:iam::{self.account_id}:role/"
        if not role.arn.startswith(home):
            raise ConfigurationError(
                f"the role {role.arn} is not of account {self.account_id} in partition {self.partition}",
                hint=f"its ARN should begin with {home}",
            )

    def provider_of(self, issuer: str) -> Provider | None:
        """The provider whose URL is exactly `issuer`; a trailing slash or another case is another issuer."""
        return next((one for one in self.providers if one.url == issuer), None)

    def provider_arn(self, provider: Provider) -> str:
        """What trust policies name as their Federated principal."""
        return f"arn:{self.partition}:iam::{self.account_id}:oidc-provider/{provider.host_and_path}"

    def role_of(self, arn: str) -> Role | None:
        """The role of exactly this ARN, path included."""
        return next((one for one in self.roles if one.arn == arn), None)
