"""Under which one name is an AWS identity known? Pure.

STS names a session of a role by the role's name and the session's (IAM User Guide, "IAM identifiers"), a token from
GetWebIdentityToken names the role by its ARN, path included. Grants are written for roles, not sessions, and what they
mean must not depend on how a caller showed who it is. So a role is always called arn:PARTITION:iam::ACCOUNT:role/NAME
here, without its path: STS does not tell it, and within an account the name alone is unique.
"""

import re
from typing import Final

from agent.callers import Facts
from agent.callers.aws import Principal
from agent.patterns import fitting

_ARN: Final = re.compile(
    r"arn:(?P<partition>aws(?:-[a-z]{1,10}){0,3}):(?P<service>iam|sts)::(?P<account>[0-9]{12}):(?P<rest>[^\x00-\x20:*?\x7f]{1,700})",
    re.ASCII,
)
#: A path may hold more than that (IAM API reference: any ASCII from ! on); what could be taken for another part of an
#: ARN, or for a pattern, is refused.
_NAME: Final = r"[A-Za-z0-9_+=,.@-]{1,64}"
_SESSION: Final = re.compile(rf"assumed-role/({_NAME})/([A-Za-z0-9_+=,.@-]{{2,64}})")
_ROLE: Final = re.compile(rf"role/(?:[!-.0-~]+/)*({_NAME})")
_USER: Final = re.compile(rf"user/(?:[!-.0-~]+/)*{_NAME}")
_FEDERATED: Final = re.compile(r"federated-user/[A-Za-z0-9_+=,.@-]{2,32}")
#: Says that the organization is known, so that a grant can say something of it where it is.
TOLD: Final = ("aws.told", "organization")

_ORGANIZATION: Final = re.compile(r"o-[a-z0-9]{10,32}", re.ASCII)


def principal(arn: str, account: str, organization: str = "") -> Principal:
    """Who is meant by an ARN as AWS tells it; `account` is what it tells beside that.

    Raises ValueError for an ARN of something else, for another account than the ARN's, and for an id that no
    organization has.
    """
    found = _ARN.fullmatch(arn)
    if found is None or found["account"] != account:
        raise ValueError("an ARN of no principal of this account")
    if organization and not _ORGANIZATION.fullmatch(organization):
        raise ValueError("an id of no organization")
    partition, service, rest = found["partition"], found["service"], found["rest"]
    role = f"arn:{partition}:iam::{account}:role/"
    if service == "sts" and (session := _SESSION.fullmatch(rest)):
        return Principal(role + session[1], account, session[2], organization)
    if service == "iam" and (named := _ROLE.fullmatch(rest)):
        return Principal(role + named[1], account, "", organization)
    if (service == "iam" and (rest == "root" or _USER.fullmatch(rest))) or (
        service == "sts" and _FEDERATED.fullmatch(rest)
    ):
        return Principal(arn, account, "", organization)
    raise ValueError("an ARN of no principal")


def facts(known: Principal, patterns: tuple[str, ...] = ()) -> Facts:
    """What is known of a caller that is this principal; `patterns` are those of all grants."""
    told = {"principal": known.arn, "account": known.account}
    told |= {"session": known.session} if known.session else {}
    told |= {"organization": known.organization} if known.organization else {}
    also = (TOLD,) if known.organization else ()
    like = (("aws.principal.like", pattern) for pattern in fitting(patterns, known.arn))
    return frozenset((*((f"aws.{name}", value) for name, value in told.items()), *also, *like))
