"""What may the operator say about Amazon Cognito: the user that signs in, and roles of identity pools?"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from agent.credentials import ROLE_ARN
from agent.settings.mistakes import Wrong, comes_to, shown
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, SecretPath, expand, one_of, text
from agent.settings.web import Proxy, Region, Url

_POOL_ID: Final = re.compile(r"([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2})_[0-9A-Za-z]{1,45}")
#: Amazon Cognito API, IdentityPoolId.
_IDENTITY_POOL_ID: Final = re.compile(
    r"([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2}):[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9_+]{1,128}")
_POOL_EXAMPLE: Final = '"eu-central-1_Ab129faBb"'
_IDENTITY_POOL_EXAMPLE: Final = '"eu-central-1:01234567-89ab-cdef-0123-456789abcdef"'
_ROLE_EXAMPLE: Final = "arn:aws:iam::123456789012:role/NAME"


def _pool_id(value: str, _: Surroundings) -> str:
    if not _POOL_ID.fullmatch(value):
        raise Wrong(f"{shown(value)} is no id of a user pool; write it as in {_POOL_EXAMPLE}")
    return value


def _client_id(value: str, _: Surroundings) -> str:
    if not _CLIENT_ID.fullmatch(value):
        raise Wrong(f"{shown(value)} is no id of an app client: 1 to 128 letters and digits")
    return value


def _user(value: str, surroundings: Surroundings) -> str:
    user = expand(value, surroundings)
    if not 1 <= len(user) <= 128 or not user.isprintable() or " " in user:
        raise Wrong(f"{comes_to(user)}; a user name is 1 to 128 characters without blanks")
    return user


class Cognito(Section):
    """A user that signs in to a user pool of Amazon Cognito, whose ID token is our identity.

    `password_file` may be left out: then somebody signs in by hand, with `rolecall login`. `state` is the file in which
    what renews the sign-in is kept. `endpoint_url` is one address for user pools and identity pools.
    """

    answers: ClassVar[Mapping[str, str]] = {
        "password": 'is a secret, and none stands here; write password_file = "/path", or '
        'password_file = "credential:NAME"',
        "client_secret": 'is a secret, and none stands here; write client_secret_file = "/path", or '
        'client_secret_file = "credential:NAME"',
        "audience": "is the app client here; leave it out",
        "subject": "is the user here; leave it out",
        "lifetime": "is for the app client to say, in Cognito; leave it out",
        "identity_pool": "stands with the role, in [roles.NAME], beside source and arn",
    }

    source: Annotated[Literal["cognito"], one_of(Literal["cognito"])]
    region: Region = Field(examples=['"eu-central-1"'])
    user_pool: Annotated[str, text(_pool_id)] = Field(examples=[_POOL_EXAMPLE])
    client_id: Annotated[str, text(_client_id)] = Field(examples=['"1h57kf5cpq17m0eml12EXAMPLE"'])
    client_secret_file: SecretPath | None = Field(None, examples=['"credential:client-secret"'])
    user: Annotated[str, text(_user)] = Field(examples=['"machine-${HOST}"'])
    password_file: SecretPath | None = Field(None, examples=['"credential:password"'])
    flow: Annotated[Literal["srp", "password"], one_of(Literal["srp", "password"])] = "srp"
    state: FilePath = Path("/var/lib/rolecall/cognito.json")
    endpoint_url: Url | None = Field(None, examples=['"http://127.0.0.1:9180"'])
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/corporate.pem"'])
    proxy: Proxy | None = Field(None, examples=['"http://proxy.example.com:3128"'])

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """A pool is of its region."""
        pool, region = words.get("user_pool"), words.get("region")
        found = _POOL_ID.fullmatch(pool) if isinstance(pool, str) else None
        if found and isinstance(region, str) and found[1] != region:
            yield "user_pool", f"is in {shown(found[1])}, but identity.region is {shown(region)}; correct one of them"

    @property
    def issuer(self) -> str:
        """The `iss` of the pool's tokens."""
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return f"https://cognito-idp.{self.region}.amazonaws.com{suffix}/{self.user_pool}"

    @property
    def provider_name(self) -> str:
        """How identity pools call the user pool: its issuer without the scheme."""
        return self.issuer.removeprefix("https://")

    @property
    def secret_paths(self) -> Mapping[str, Path]:
        """The files with secrets in them, by their words."""
        named = {"client_secret_file": self.client_secret_file, "password_file": self.password_file}
        return {word: path for word, path in named.items() if path is not None}


def _role_arn(value: str, _: Surroundings) -> str:
    if not ROLE_ARN.fullmatch(value):
        raise Wrong(f'{shown(value)} is not the ARN of a role; write "{_ROLE_EXAMPLE}", with the account\'s 12 digits')
    return value


def _identity_pool_id(value: str, _: Surroundings) -> str:
    if not _IDENTITY_POOL_ID.fullmatch(value):
        raise Wrong(f"{shown(value)} is no id of an identity pool; write it as in {_IDENTITY_POOL_EXAMPLE}")
    return value


_POOL_SAYS: Final = "means nothing here: an identity pool gives whole roles, for an hour; leave this out"


class IdentityPoolRole(Section):
    """A role that an identity pool of Amazon Cognito gives to whoever has signed in to the user pool of [identity]."""

    answers: ClassVar[Mapping[str, str]] = {
        "session_name": "means nothing here: all sessions of identity pools have one name; leave this out",
        "duration": _POOL_SAYS,
        "policy": _POOL_SAYS,
        "policy_file": _POOL_SAYS,
        "policy_arns": _POOL_SAYS,
        "tags": "means nothing here: an identity pool maps claims to tags itself; leave this out",
    }

    source: Annotated[Literal["identity_pool"], one_of(Literal["identity_pool"])]
    arn: Annotated[str, text(_role_arn)] = Field(examples=[f'"{_ROLE_EXAMPLE}"'])
    identity_pool: Annotated[str, text(_identity_pool_id)] = Field(examples=[_IDENTITY_POOL_EXAMPLE])

    @property
    def account(self) -> str:
        """The account of the role."""
        return self.arn.split(":")[4]

    @property
    def identity(self) -> str:
        """Whom the credentials speak for: the role's ARN."""
        return self.arn

    @property
    def region(self) -> str:
        """The region of the identity pool."""
        return self.identity_pool.partition(":")[0]
