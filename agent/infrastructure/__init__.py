"""What must AWS be told before it believes our tokens?

An identity provider for our issuer in each account, and in each role a trust policy that names it. This door has the
values; `trust` says what a policy must hold, `terraform` and `cloudformation` write it down. All of it is text:
nothing here talks to AWS (docs/adr/0007-infrastructure-as-text.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from agent.credentials import ROLE_ARN
from agent.errors import ConfigurationError

#: A role's maximum session duration is between these, whatever less our sessions ask for.
_SHORTEST: Final = timedelta(hours=1)
_LONGEST: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """One AWS account; `partition` is `aws`, `aws-cn`, `aws-us-gov` and so on."""

    partition: str
    number: str

    @property
    def label(self) -> str:
        """What files for this account are called: its number, behind its partition where that is not the usual one."""
        return self.number if self.partition == "aws" else f"{self.partition}-{self.number}"


@dataclass(frozen=True, slots=True)
class Role:
    """One IAM role to be created.

    Attributes:
        names: what rolecall calls it; more than one where several entries of the configuration share an ARN.
        account: where it lives.
        path: begins and ends with a slash.
        role: its name, without the path.
        max_session: the longest session that may be asked for, between 1 h and 12 h.
    """

    names: tuple[str, ...]
    account: Account
    path: str
    role: str
    max_session: timedelta

    @classmethod
    def of(cls, name: str, arn: str, duration: timedelta) -> Self:
        """Take an ARN apart. Raises ConfigurationError if it is not a role's."""
        found = ROLE_ARN.fullmatch(arn)
        if found is None:
            raise ConfigurationError(
                f"roles.{name}: {arn!r} is not the ARN of an IAM role",
                hint="it looks like arn:aws:iam::123456789012:role/backup",
            )
        account = Account(found["partition"], found["account"])
        return cls((name,), account, found["path"], found["name"], min(max(duration, _SHORTEST), _LONGEST))

    @property
    def arn(self) -> str:
        """Its ARN, put together again."""
        return f"arn:{self.account.partition}:iam::{self.account.number}:role{self.path}{self.role}"


@dataclass(frozen=True, slots=True)
class Trust:
    """What a role must find in a token before it lets its bearer in.

    Attributes:
        issuer: the issuer's URL, exactly as the tokens say it; a terminating slash counts.
        audience: the one audience of the tokens.
        subject: the one subject.
        tags: the tokens carry session tags.
        source_identity: the tokens carry a source identity.
        require_pinning: refuse tokens that do not name the roles they are good for.
    """

    issuer: str
    audience: str
    subject: str
    tags: bool = False
    source_identity: bool = False
    require_pinning: bool = False


def by_account(roles: Sequence[Role]) -> dict[Account, tuple[Role, ...]]:
    """Sort roles by the account they live in; entries that share an ARN become one role with all their names."""
    merged: dict[str, Role] = {}
    for role in roles:
        known = merged.get(role.arn)
        if known is None:
            merged[role.arn] = role
        else:
            longest = max(known.max_session, role.max_session)
            merged[role.arn] = Role(known.names + role.names, role.account, role.path, role.role, longest)
    accounts = sorted({role.account for role in merged.values()})
    return {account: tuple(role for role in merged.values() if role.account == account) for account in accounts}
