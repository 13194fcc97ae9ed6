"""What is asked of the access portal, and which role does that turn out to be?"""

import re
from dataclasses import dataclass
from typing import Final

from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable
from agent.sign_in import Answer
from agent.sign_in.answers import passes, unavailable

#: Who AWS says a session is (IAM User Guide, "IAM identifiers").
_SESSION: Final = re.compile(
    r"arn:(?P<partition>aws(?:-[a-z]+)*):sts::(?P<account>[0-9]{12}):assumed-role/(?P<role>[A-Za-z0-9_+=,.@-]{1,64})/.+"
)
#: What AWS puts behind the name of a permission set to name a role in an account.
_DIGITS: Final = r"[0-9a-f]{16}"
#: The region that is left out of the paths of such roles.
_FIRST_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """A permission set in an account.

    Attributes:
        account: 12 digits.
        name: the permission set's own name.
        region: where its Identity Center is.
        setting: where the operator wrote it down, for hints, such as `roles.dev`.
    """

    account: str
    name: str
    region: str
    setting: str = "roles.NAME"

    def role_arn(self, session_arn: str) -> str | None:
        """The ARN of the role of which this is a session; None if it is none of this permission set in this account.

        The ARN of a session leaves out the role's path, which is always the same but for the region (IAM Identity
        Center User Guide, "Referencing permission sets in resource policies").
        """
        found = _SESSION.fullmatch(session_arn)
        if found is None or found["account"] != self.account:
            return None
        if not re.fullmatch(f"AWSReservedSSO_{re.escape(self.name)}_{_DIGITS}", found["role"]):
            return None
        region = "" if self.region == _FIRST_REGION else f"{self.region}/"
        path = f"aws-reserved/sso.amazonaws.com/{region}"
        return f"arn:{found['partition']}:iam::{self.account}:role/{path}{found['role']}"


def apology(answer: Answer, asked: PermissionSet) -> AgentError:
    """What to say of a portal that gave no credentials, for another reason than that the sign-in is over."""
    doing = f"{asked.name} of account {asked.account}"
    if passes(answer):
        return unavailable(answer, f"asking for {doing}")
    said = f"{answer.code}: {answer.message}" if answer.message else answer.code
    hint = "see that {setting}.account and {setting}.permission_set are right: rolecall login --list"
    if answer.code in {"ForbiddenException", "ResourceNotFoundException"} or answer.status in {403, 404}:
        hint += "; right after an assignment it may take some minutes, and pass by itself"
    return CredentialsRefused(
        f"IAM Identity Center gave no credentials for {doing}: {said}", hint=hint.format(setting=asked.setting)
    )


def stranger(session_arn: str, asked: PermissionSet) -> CredentialsUnavailable:
    """What to say of credentials that are good, and of something else."""
    return CredentialsUnavailable(
        f"what IAM Identity Center gave for {asked.name} of account {asked.account} is, by STS's word, {session_arn!r}",
        hint="see that identity_center.endpoint_url and sts.endpoint_url, if set, are really AWS",
    )
