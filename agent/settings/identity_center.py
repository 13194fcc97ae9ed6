"""What may the operator say about IAM Identity Center, and about the roles that people have there?"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field

from agent.errors import ConfigurationError
from agent.settings.mistakes import Wrong, shown
from agent.settings.section import Section, Surroundings, read
from agent.settings.spelling import FilePath, array, one_of, text
from agent.settings.web import Proxy, Region, Url

#: The scope that accounts and roles are asked for with (AWS CLI User Guide, "sso_registration_scopes").
ACCOUNT_ACCESS: Final = "sso:account:access"

_ACCOUNT = re.compile(r"[0-9]{12}")
#: IAM Identity Center API, CreatePermissionSet: Name.
_PERMISSION_SET = re.compile(r"[A-Za-z0-9_+=,.@-]{1,32}")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,80}")
#: IAM Identity Center takes so many in one request.
_MOST_SCOPES: Final = 25
_EXAMPLE: Final = '"https://example.awsapps.com/start"'
#: What people copy out of the address bar with it.
_HARMLESS_ENDS: Final = frozenset({"", "/"})


def _portal(value: str, _: Surroundings) -> str:
    """Read the URL of an access portal; kept byte for byte, since cache files are named for it. Raises Wrong."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        raise Wrong(f"is not a URL; write it as in {_EXAMPLE}") from None
    if parts.scheme != "https" or "." not in host or "@" in parts.netloc:
        raise Wrong(f"{shown(value)} is not the address of an access portal; write it as in {_EXAMPLE}")
    if not value.isascii() or not value.isprintable() or " " in value or parts.query:
        raise Wrong(f"{shown(value)} has a query, or characters that no such address has; write it as in {_EXAMPLE}")
    if parts.fragment not in _HARMLESS_ENDS:
        raise Wrong(f"{shown(value)} is a page of the access portal; leave out what follows the #")
    return value


def _session(value: str, _: Surroundings) -> str:
    """Read the name of an sso-session, as it stands in ~/.aws/config. Raises Wrong."""
    if not value.strip() or value != value.strip() or not value.isprintable() or "]" in value or len(value) > 128:
        raise Wrong('is no name of an sso-session; write what follows "sso-session" in ~/.aws/config')
    return value


def _scope(value: str, _: Surroundings) -> str:
    if not _SCOPE.fullmatch(value):
        raise Wrong(f'{shown(value)} is no scope; write it as in "{ACCOUNT_ACCESS}"')
    return value


class IdentityCenter(Section):
    """IAM Identity Center, where people sign in: the access portal, its region, and where the sign-in is kept.

    `session` names an sso-session of the AWS CLI's whose sign-in is shared; without one, it is shared by `start_url`.
    `cache` is the directory of the sign-in; None for that of the AWS CLI, ~/.aws/sso/cache of whoever runs us.
    """

    start_url: Annotated[str, text(_portal)] = Field(examples=[_EXAMPLE])
    region: Region = Field(examples=['"eu-central-1"'])
    session: Annotated[str, text(_session)] | None = Field(None, examples=['"work"'])
    scopes: Annotated[tuple[str, ...], array(_scope, of="scopes", most=_MOST_SCOPES)] = (ACCOUNT_ACCESS,)
    cache: FilePath | None = Field(None, examples=['"/var/lib/rolecall/sso"'])
    endpoint_url: Url | None = Field(None, examples=['"http://127.0.0.1:9180"'])
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/ca-certificates.crt"'])
    proxy: Proxy | None = Field(None, examples=['"http://proxy.example.com:3128"'])


def identity_center_of(words: Mapping[str, object]) -> IdentityCenter:
    """The table that somebody has written on a command line. Raises ConfigurationError."""
    surroundings = Surroundings(Path.cwd(), None, {})
    section, mistakes = read(IdentityCenter, words, "identity_center", surroundings)
    if section is None:
        options = "; ".join(f"--{one.path.rpartition('.')[2].replace('_', '-')} {one.said}" for one in mistakes)
        raise ConfigurationError(options, hint="without a configuration it takes --start-url and --region")
    return section


def of_people_alone(words: Mapping[str, object]) -> bool:
    """Whether all roles of a configuration, as written, are had by the sign-in of a person: nobody needs a token."""
    roles = words.get("roles")
    if not isinstance(roles, Mapping) or not roles:
        return False
    return all(isinstance(role, Mapping) and role.get("source") == "identity_center" for role in roles.values())


def _account(value: str, _: Surroundings) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise Wrong(f'{shown(value)} is not the number of an account; write its 12 digits, as in "123456789012"')
    return value


def _permission_set(value: str, _: Surroundings) -> str:
    if value.startswith("AWSReservedSSO_"):
        raise Wrong(
            f'{shown(value)} is a role that AWS made of a permission set; write the name of the set, as in "Developer"'
        )
    if not _PERMISSION_SET.fullmatch(value):
        raise Wrong(f"{shown(value)} is no name of a permission set: 1 to 32 of A-Z a-z 0-9 _ + = , . @ -")
    return value


_SET_SAYS: Final = "means nothing here: the permission set says it, in IAM Identity Center; leave this out"


class IdentityCenterRole(Section):
    """A role that somebody who has signed in has by a permission set; what it may, and for how long, that set says."""

    answers: ClassVar[Mapping[str, str]] = {
        "arn": "means nothing here: AWS makes a role of the permission set and tells its ARN; leave this out",
        "session_name": "means nothing here: sessions are named for whoever signed in; leave this out",
        "duration": _SET_SAYS,
        "policy": _SET_SAYS,
        "policy_file": _SET_SAYS,
        "policy_arns": _SET_SAYS,
        "tags": "means nothing here: tags are attributes for access control, in IAM Identity Center; leave this out",
    }

    source: Annotated[Literal["identity_center"], one_of(Literal["identity_center"])]
    account: Annotated[str, text(_account)] = Field(examples=['"123456789012"'])
    permission_set: Annotated[str, text(_permission_set)] = Field(examples=['"Developer"'])

    @property
    def identity(self) -> str:
        """Whom the credentials speak for, as far as anybody knows before AWS has told the role's ARN."""
        return f"permission set {self.permission_set} of account {self.account}"
