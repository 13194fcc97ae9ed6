"""Are the parameters of a call what the service's model allows?

The constraints are those of the public STS model (botocore's service-2.json); the texts are AWS's generic ones,
all violations in one sentence, in the order of the model.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agent.sandbox.refusals import Refusal, validation
from agent.secret import Secret

_ARN: Final = r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+"
_POLICY: Final = r"[\u0009\u000A\u000D\u0020-\u00FF]+"
_NAME: Final = r"[\w+=,.@-]*"
#: AWS's patterns are Java's: \w is ASCII there, and \u10000 is not what it says, so each has its own reading here.
_READINGS: Final = {
    _ARN: re.compile("[\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+"),
    _POLICY: re.compile("[\t\n\r\u0020-\u00ff]+"),
    _NAME: re.compile(_NAME, re.ASCII),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """An AssumeRoleWithWebIdentity call, after validation."""

    role_arn: str
    session_name: str
    token: Secret
    provider_id: str | None
    policy_arns: tuple[str, ...]
    policy: str | None
    duration: timedelta
    minimum_token_size: int


@dataclass(frozen=True, slots=True)
class _Text:
    """What the model says of a string. A sensitive one is never quoted."""

    name: str
    least: int
    most: int
    pattern: str = ""
    required: bool = False
    sensitive: bool = False

    def complaints(self, value: str | None) -> Iterator[str]:
        """What is wrong with `value`."""
        at = f"'{self.name[0].lower()}{self.name[1:]}'"
        if value is None:
            if self.required:
                yield f"Value at {at} failed to satisfy constraint: Member must not be null"
            return
        told = f"Value at {at}" if self.sensitive else f"Value '{value}' at {at}"
        told += " failed to satisfy constraint: Member must "
        if len(value) < self.least:
            yield f"{told}have length greater than or equal to {self.least}"
        if len(value) > self.most:
            yield f"{told}have length less than or equal to {self.most}"
        if self.pattern and not _READINGS[self.pattern].fullmatch(value):
            yield f"{told}satisfy regular expression pattern: {self.pattern}"


@dataclass(frozen=True, slots=True)
class _Number:
    """What the model says of an integer."""

    name: str
    least: int
    most: int

    def complaints(self, value: int | None) -> Iterator[str]:
        """What is wrong with `value`."""
        told = f"Value '{value}' at '{self.name[0].lower()}{self.name[1:]}' failed to satisfy constraint: Member must "
        if value is not None and value < self.least:
            yield f"{told}have value greater than or equal to {self.least}"
        if value is not None and value > self.most:
            yield f"{told}have value less than or equal to {self.most}"


_TEXTS: Final = (
    _Text("RoleArn", 20, 2048, _ARN, required=True),
    _Text("RoleSessionName", 2, 64, _NAME, required=True),
    _Text("WebIdentityToken", 4, 20000, required=True, sensitive=True),
    _Text("ProviderId", 4, 2048),
    _Text("Policy", 1, 2048, _POLICY),
)
_POLICY_ARN: Final = "PolicyArns.member.{}.arn"
_MOST_POLICY_ARNS: Final = 10


def read_assume_role(arguments: Mapping[str, str]) -> Asked:
    """Check and read the parameters. Raises Refusal (ValidationError, or MalformedInput for what is no number)."""
    duration = _integer(arguments, "DurationSeconds")
    minimum = _integer(arguments, "MinimumSessionTokenSize")
    arns = _policy_arns(arguments)
    complaints = [one for text in _TEXTS for one in text.complaints(arguments.get(text.name))]
    complaints += _Number("DurationSeconds", 900, 43200).complaints(duration)
    complaints += _Number("MinimumSessionTokenSize", 0, 4096).complaints(minimum)
    for number, arn in enumerate(arns, 1):
        complaints += _Text(f"policyArns.{number}.member.arn", 20, 2048, _ARN).complaints(arn)
    if len(arns) > _MOST_POLICY_ARNS:
        told = "Value at 'policyArns' failed to satisfy constraint: Member must "
        complaints.append(f"{told}have length less than or equal to {_MOST_POLICY_ARNS}")
    if complaints:
        raise _refusal(complaints)
    return Asked(
        role_arn=arguments["RoleArn"],
        session_name=arguments["RoleSessionName"],
        token=Secret(arguments["WebIdentityToken"]),
        provider_id=arguments.get("ProviderId"),
        policy_arns=arns,
        policy=arguments.get("Policy"),
        duration=timedelta(seconds=3600 if duration is None else duration),
        minimum_token_size=minimum or 0,
    )


def _refusal(complaints: list[str]) -> Refusal:
    """AWS's sentence for one violation or several."""
    count = "1 validation error" if len(complaints) == 1 else f"{len(complaints)} validation errors"
    return validation(f"{count} detected: {'; '.join(complaints)}")


def _integer(arguments: Mapping[str, str], name: str) -> int | None:
    """A whole number, if given."""
    text = arguments.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII):
        raise Refusal("MalformedInput", f"{text or 'empty string'} is not a valid number")
    return int(text)


def _policy_arns(arguments: Mapping[str, str]) -> tuple[str, ...]:
    """PolicyArns.member.1.arn and so on, up to the first gap."""
    found: list[str] = []
    while (arn := arguments.get(_POLICY_ARN.format(len(found) + 1))) is not None:
        found.append(arn)
    return tuple(found)
