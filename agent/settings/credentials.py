"""What may the operator say about STS, and about the roles it gives us?"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, NoReturn

from pydantic import Field

from agent.credentials import ROLE_ARN
from agent.settings.cognito import IdentityPoolRole
from agent.settings.identity_center import IdentityCenterRole
from agent.settings.mistakes import Wrong, comes_to, shown
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, Flag, array, expand, one_of, span, text, whole
from agent.settings.tokens import Tags
from agent.settings.web import Proxy, Region, Url

#: Role names stand in URLs, metric labels and file names.
ROLE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

#: The beginnings of region names, and the partition that each belongs to; all others are in "aws".
_PARTITIONS: Final = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)
_POLICY_ARN = re.compile(r"arn:(aws(?:-[a-z]+)*):iam::([0-9]{12}|aws):policy/([!-~]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,128}")
_SESSION_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_DEFAULT_SESSION_NAME: Final = "rolecall-${HOST}"
_ROLE_EXAMPLE = "arn:aws:iam::123456789012:role/NAME"
#: STS takes so many characters of inline policy.
_LONGEST_POLICY = 2048
#: Of a file with a policy so many bytes are read: with all its blanks it is a policy no more.
_LARGEST_FILE = 65_536


def partition_of(region: str) -> str:
    """The partition that a region is in."""
    return next((partition for beginning, partition in _PARTITIONS if region.startswith(beginning)), "aws")


def arn_partition(arn: str) -> str:
    """The partition that an ARN names."""
    return arn.split(":")[1]


class Sts(Section):
    """How STS is reached. Times are timedeltas; `concurrency` is the most calls under way at once."""

    region: Region = Field(examples=['"eu-central-1"'])
    endpoint_url: Url | None = Field(None, examples=['"https://sts.example.com"'])
    fips: Flag = False
    dualstack: Flag = False
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/ca-certificates.crt"'])
    proxy: Proxy | None = Field(None, examples=['"http://proxy.example.com:3128"'])
    concurrency: Annotated[int, whole(1, 64)] = 8
    connect_timeout: Annotated[timedelta, span("1s", "20s")] = timedelta(seconds=5)
    read_timeout: Annotated[timedelta, span("1s", "30s")] = timedelta(seconds=10)

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """An endpoint that is written out cannot also be chosen."""
        for word in ("fips", "dualstack"):
            if "endpoint_url" in words and words.get(word) is True:
                yield word, 'means nothing beside "endpoint_url", which already says where STS is; keep one of them'


def _role_arn(value: str, _: Surroundings) -> str:
    if ROLE_ARN.fullmatch(value):
        return value
    if ":assumed-role/" in value:
        raise Wrong(f"{shown(value)} is the ARN of a session, not of a role; write the role's own, {_ROLE_EXAMPLE}")
    if ":instance-profile/" in value or ":user/" in value:
        raise Wrong(f"{shown(value)} is not the ARN of a role; write {_ROLE_EXAMPLE}")
    raise Wrong(f'{shown(value)} is not the ARN of a role; write "{_ROLE_EXAMPLE}", with the account\'s 12 digits')


def _policy_arn(value: str, _: Surroundings) -> str:
    if not _POLICY_ARN.fullmatch(value):
        raise Wrong(
            f"{shown(value)} is not the ARN of a managed policy; write it as in "
            '"arn:aws:iam::aws:policy/ReadOnlyAccess"'
        )
    return value


def _session_name(value: str, surroundings: Surroundings) -> str:
    """The default bends to odd host names; what somebody wrote has to fit as it is."""
    name = expand(value, surroundings)
    if value == _DEFAULT_SESSION_NAME:
        return re.sub(r"[^A-Za-z0-9_+=,.@-]", "-", name)[:64]
    if not _SESSION_NAME.fullmatch(name):
        raise Wrong(f"{comes_to(name)}; AWS takes 2 to 64 characters out of A-Z a-z 0-9 _ + = , . @ -")
    return name


def compact_policy(value: str) -> str:
    """Give the policy in as few characters as it needs, since AWS counts them. Raises Wrong."""
    try:
        policy = json.loads(value, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Wrong(f"is not JSON: line {error.lineno}, column {error.colno} of the policy cannot be read") from None
    except (ValueError, RecursionError):
        raise Wrong("is not the JSON of a policy") from None
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise Wrong('is JSON, but no policy: a policy is {"Version": "2012-10-17", "Statement": […]}')
    short = json.dumps(policy, separators=(",", ":"))
    if len(short) > _LONGEST_POLICY:
        raise Wrong(f"is {len(short)} characters long without its blanks; STS takes at most {_LONGEST_POLICY}")
    return short


def _no_constant(_: str) -> NoReturn:
    raise ValueError


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A session policy that stands in a file of its own: where, and what it says."""

    path: Path
    policy: str


def _policy_file(value: str, surroundings: Surroundings) -> PolicyFile:
    if not value.strip() or not value.isprintable():
        raise Wrong("is not a path")
    path = surroundings.directory / value
    try:
        if not path.is_file() and path.exists():
            raise Wrong(f"{shown(value)} is not a file")
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE)
        written = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong(f"{shown(value)} is not UTF-8 text") from None
    except OSError as error:
        raise Wrong(f"{shown(value)} cannot be read: {error.strerror}") from None
    return PolicyFile(path, compact_policy(written))


#: The JSON of a session policy, compact.
Policy = Annotated[str, text(lambda value, _: compact_policy(value))]
#: A file with one.
PolicyPath = Annotated[PolicyFile, text(_policy_file)]
PolicyArns = Annotated[tuple[str, ...], array(_policy_arn, of="ARNs of policies", most=10)]
#: How long a session lives, by AWS's bounds.
SessionSpan = Annotated[timedelta, span("15m", "12h")]


def foreign(role_arn: str, policies: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Which of these managed policies AWS does not take for that role: their numbers, from 1, and a sentence."""
    role = ROLE_ARN.fullmatch(role_arn)
    if role is None:
        return
    for number, policy in enumerate(policies, start=1):
        managed = _POLICY_ARN.fullmatch(policy)
        if managed and managed[1] != role["partition"]:
            yield number, f"is in partition {managed[1]}, but the role is in {role['partition']}"
        elif managed and managed[2] not in {role["account"], "aws"}:
            yield number, f"is of account {managed[2]}; AWS takes only those of the role's, {role['account']}"


_BY_PERMISSION_SET: Final = 'means something only with source = "identity_center"; leave it out, or write that'


class StsRole(Section):
    """A role that STS gives us for our identity token.

    Templates are filled in; times are timedeltas; `policy` is compact JSON.
    """

    answers: ClassVar[Mapping[str, str]] = {
        "account": _BY_PERMISSION_SET,
        "permission_set": _BY_PERMISSION_SET,
        "identity_pool": 'means something only with source = "identity_pool"; leave it out, or write that',
    }

    source: Annotated[Literal["sts"], one_of(Literal["sts"])] = "sts"
    arn: Annotated[str, text(_role_arn)] = Field(examples=[f'"{_ROLE_EXAMPLE}"'])
    duration: SessionSpan = timedelta(hours=1)
    session_name: Annotated[str, text(_session_name)] = Field(_DEFAULT_SESSION_NAME, validate_default=True)
    policy: Policy | None = Field(None, examples=["""'{"Version": "2012-10-17", "Statement": []}'"""])
    policy_file: PolicyPath | None = Field(None, examples=['"backup.json"'])
    policy_arns: PolicyArns = Field((), examples=['["arn:aws:iam::aws:policy/ReadOnlyAccess"]'])
    tags: Tags = Field({}, examples=['{ purpose = "${ROLE}" }'])

    @property
    def session_policy(self) -> str | None:
        """The session policy, wherever it was written."""
        return self.policy_file.policy if self.policy_file else self.policy

    @property
    def account(self) -> str:
        """The account of the role."""
        return self.arn.split(":")[4]

    @property
    def identity(self) -> str:
        """Whom the credentials speak for: the role's ARN."""
        return self.arn

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """One policy, and managed ones of the role's own account."""
        if "policy" in words and "policy_file" in words:
            yield "policy", 'cannot stand beside "policy_file"; keep one of them'
        arn, policies = words.get("arn"), words.get("policy_arns")
        if isinstance(arn, str) and isinstance(policies, list):
            # What is not text is told of by itself, and may not move the others' numbers.
            named = [policy if isinstance(policy, str) else "" for policy in policies]
            yield from ((f"policy_arns#{number}", said) for number, said in foreign(arn, named))


#: One role that is kept at hand, by where its credentials come from.
Role = StsRole | IdentityCenterRole | IdentityPoolRole

SOURCES: Final[Mapping[str, type[Role]]] = {
    "sts": StsRole,
    "identity_center": IdentityCenterRole,
    "identity_pool": IdentityPoolRole,
}
