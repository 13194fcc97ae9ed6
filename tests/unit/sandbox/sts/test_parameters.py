"""Are calls refused whose parameters AWS's model does not allow, in AWS's words?"""

from pathlib import Path

import pytest

from tests.unit.sandbox.scene import ROLE
from tests.unit.sandbox.wrong import (
    ARN_PATTERN,
    Wrong,
    at,
    breach,
    is_refused,
)

WRONG: dict[str, Wrong] = {
    "no role": Wrong(breach(at("roleArn", "not be null")), {"RoleArn": None}),
    "no session name": Wrong(breach(at("roleSessionName", "not be null")), {"RoleSessionName": None}),
    "no token": Wrong(breach(at("webIdentityToken", "not be null")), {"WebIdentityToken": None}),
    "no role, no name": Wrong(
        breach(at("roleArn", "not be null"), at("roleSessionName", "not be null")),
        {"RoleArn": None, "RoleSessionName": None},
    ),
    "short role": Wrong(breach(at("roleArn", "have length greater than or equal to 20", "demo")), {"RoleArn": "demo"}),
    "role with control characters": Wrong(
        breach(at("roleArn", f"satisfy regular expression pattern: {ARN_PATTERN}", f"{ROLE}?")),
        {"RoleArn": f"{ROLE}\x01"},
    ),
    "no ARN": Wrong((400, "ValidationError", "Request ARN is invalid"), {"RoleArn": "d" * 20}),
    "ARN of a user": Wrong(
        (400, "ValidationError", "Request ARN is invalid"), {"RoleArn": "arn:aws:iam::123456789012:user/demo"}
    ),
    "bad session name": Wrong(
        breach(at("roleSessionName", r"satisfy regular expression pattern: [\w+=,.@-]*", "bad name!")),
        {"RoleSessionName": "bad name!"},
    ),
    "session name beyond ASCII": Wrong(
        breach(at("roleSessionName", r"satisfy regular expression pattern: [\w+=,.@-]*", "jürgen")),
        {"RoleSessionName": "jürgen"},
    ),
    "short session name": Wrong(
        breach(at("roleSessionName", "have length greater than or equal to 2", "a")), {"RoleSessionName": "a"}
    ),
    "long session name": Wrong(
        breach(at("roleSessionName", "have length less than or equal to 64", "a" * 65)), {"RoleSessionName": "a" * 65}
    ),
    "too short a session": Wrong(
        breach(at("durationSeconds", "have value greater than or equal to 900", "100")), {"DurationSeconds": "100"}
    ),
    "too long a session": Wrong(
        breach(at("durationSeconds", "have value less than or equal to 43200", "43201")), {"DurationSeconds": "43201"}
    ),
    "no number of seconds": Wrong((400, "MalformedInput", "1h is not a valid number"), {"DurationSeconds": "1h"}),
    "name and duration": Wrong(
        breach(
            at("roleSessionName", "have length greater than or equal to 2", "a"),
            at("durationSeconds", "have value greater than or equal to 900", "1"),
        ),
        {"RoleSessionName": "a", "DurationSeconds": "1"},
    ),
    "short token": Wrong(
        breach(at("webIdentityToken", "have length greater than or equal to 4")), {"WebIdentityToken": "abc"}
    ),
    "long token": Wrong(
        breach(at("webIdentityToken", "have length less than or equal to 20000")), {"WebIdentityToken": "x" * 20001}
    ),
    "huge minimum token": Wrong(
        breach(at("minimumSessionTokenSize", "have value less than or equal to 4096", "5000")),
        {"MinimumSessionTokenSize": "5000"},
    ),
    "long policy": Wrong(
        breach(at("policy", "have length less than or equal to 2048", " " * 2049)), {"Policy": " " * 2049}
    ),
    "policy beyond Latin-1": Wrong(
        breach(at("policy", r"satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+", "{“}")),
        {"Policy": "{“}"},
    ),
    "eleven managed policies": Wrong(
        breach(at("policyArns", "have length less than or equal to 10")),
        {f"PolicyArns.member.{number}.arn": "arn:aws:iam::aws:policy/P" for number in range(1, 12)},
    ),
    "wrong version": Wrong(
        (400, "InvalidAction", "Could not find operation AssumeRoleWithWebIdentity for version 2010-05-08"),
        {"Version": "2010-05-08"},
    ),
    "no version": Wrong(
        (400, "InvalidAction", "Could not find operation AssumeRoleWithWebIdentity for version NO_VERSION_SPECIFIED"),
        {"Version": None},
    ),
    "unknown action": Wrong(
        (400, "InvalidAction", "Could not find operation AssumeAnything for version 2011-06-15"),
        {"Action": "AssumeAnything"},
    ),
    "no action": Wrong((400, "MissingAction", "Missing Action"), {"Action": None}),
    "parameters come before the token": Wrong(
        breach(at("durationSeconds", "have value greater than or equal to 900", "1")),
        {"DurationSeconds": "1", "WebIdentityToken": "garbage"},
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_in_the_words_of_aws(wrong: Wrong, tmp_path: Path) -> None:
    await is_refused(wrong, tmp_path)
