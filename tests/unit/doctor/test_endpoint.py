from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from agent.clock import instant
from agent.doctor import Finding, Tried
from agent.doctor.endpoint import Expected, NotAllowed, Served, absent, examined
from agent.errors import (
    AgentError,
    AgentUnreachable,
    CallerDenied,
    ConfigurationError,
    CredentialsRefused,
    CredentialsUnavailable,
)
from tests.fakes.clock import START

ARN = "arn:aws:iam::123456789012:role/ops/backup"
SESSION = "arn:aws:sts::123456789012:assumed-role/backup/web-1"
EXPECTED = Expected({"backup": ARN}, "kid-1", START, "1.0")
SET = {"RoleArn": ARN, "Expiration": instant(START + timedelta(hours=1)), "SecretAccessKey": "canary-secret"}
ROLE = {"role": "backup", "failures": 0, "problem": None}
STATUS = {"version": "1.0", "roles": [ROLE], "keys": [{"kid": "kid-1", "state": "signing"}]}
ISSUER = Tried("issuer", findings=(Finding("issuer", "error", "no site", "publish"),))
STS = Tried("sts", findings=(Finding("sts", "error", "no STS", "see"),))


@dataclass
class Serving:
    """An agent that gives what it is told to."""

    answer: Mapping[str, Any] | AgentError = field(default_factory=lambda: SET)
    doubt: AgentError | None = None
    arn: str | AgentError = SESSION
    asked_aws: int = 0

    async def status(self) -> Mapping[str, Any]:
        return STATUS

    async def fetch(self, role: str) -> Served:
        assert role == "backup"
        if isinstance(self.answer, AgentError):
            raise self.answer
        return Served(self.answer, self.doubt)

    async def who(self) -> Mapping[str, Any]:
        raise AssertionError("this link asks for no more than credentials")

    async def who_am_i(self, document: Mapping[str, Any]) -> str:
        assert document is self.answer
        self.asked_aws += 1
        if isinstance(self.arn, AgentError):
            raise self.arn
        return self.arn


async def tried(serving: Serving, *before: Tried, **changes: Any) -> Tried:
    return await examined(serving, STATUS | changes, EXPECTED, serving.who_am_i, before)


async def only(serving: Serving, *before: Tried, **changes: Any) -> Finding:
    (finding,) = (await tried(serving, *before, **changes)).findings
    return finding


async def test_what_aws_takes_as_the_right_role_is_good() -> None:
    link = await tried(Serving())
    assert (link.good, link.findings) == ("the agent serves backup, and AWS knows what it serves", ())


async def test_no_agent_is_a_warning_and_somebody_else_in_its_place_an_error() -> None:
    (nobody,) = absent(AgentUnreachable("no agent answers"), "127.0.0.1:9171").findings
    assert (nobody.severity, "no agent runs at 127.0.0.1:9171" in nobody.what) == ("warning", True)

    class Other(AgentUnreachable):
        retryable = False

    (other,) = absent(Other("what answers is not the agent", hint="look"), "127.0.0.1:9171").findings
    assert (other.severity, other.what) == ("error", "what answers is not the agent")


async def test_an_agent_with_other_roles_is_all_that_is_said_of_it() -> None:
    finding = await only(Serving(CallerDenied("no")), roles=[{**ROLE, "role": "files"}], version="0.9")
    assert finding.what == "the agent that runs has other roles (files) than the configuration (backup)"


async def test_an_agent_that_signs_with_another_key_is_an_error() -> None:
    finding = await only(Serving(), keys=[{"kid": "kid-0", "state": "retired"}, {"kid": "kid-2", "state": "signing"}])
    assert "signs with the key kid-2, and the configuration leads to kid-1" in finding.what


async def test_an_agent_of_another_version_is_worth_a_note() -> None:
    assert (await only(Serving(), version="0.9")).severity == "note"


@pytest.mark.parametrize(
    ("served", "what"),
    [
        ({**SET, "RoleArn": "arn:aws:iam::123456789012:role/files"}, "is of another role"),
        ({**SET, "Expiration": instant(START)}, "has expired"),
        ({**SET, "Expiration": "soon"}, "does not say when it ends"),
        ({"RoleArn": ARN}, "does not say when it ends"),
    ],
)
async def test_credentials_that_are_not_good_by_their_own_words_are_not_shown_to_aws(
    served: Mapping[str, Any], what: str
) -> None:
    serving = Serving(served)
    finding = await only(serving)
    assert (finding.severity, what in finding.what) == ("error", True)
    assert serving.asked_aws == 0
    assert "canary" not in repr(finding)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sts::123456789012:assumed-role/files/web-1",
        "arn:aws:sts::210987654321:assumed-role/backup/web-1",
        "arn:aws:iam::123456789012:user/backup",
    ],
)
async def test_credentials_of_somebody_else_are_found_out(arn: str) -> None:
    assert f"is, by AWS's word, {arn}, not a session of {ARN}" in (await only(Serving(arn=arn))).what


async def test_credentials_that_aws_refuses_are_an_error() -> None:
    finding = await only(Serving(arn=CredentialsRefused("STS refuses them: ExpiredToken", hint="see")))
    assert finding.what == "AWS does not take what the agent serves as backup: STS refuses them: ExpiredToken"


async def test_where_aws_cannot_be_asked_what_is_served_is_good_by_its_own_words() -> None:
    serving = Serving()
    link = await tried(serving, STS)
    assert (link.good, link.findings, serving.asked_aws) == ("the agent serves backup", (), 0)


async def test_a_caller_that_is_refused_is_an_error_in_the_agent_s_words() -> None:
    finding = await only(Serving(CallerDenied("the agent refused role backup", hint="compare")))
    assert (finding.severity, finding.what, finding.about) == ("error", "the agent refused role backup", "")


async def test_a_token_file_that_is_not_there_is_the_same_thing_as_in_the_configuration() -> None:
    finding = await only(Serving(ConfigurationError("no token file that grants role backup exists: /t")))
    assert finding.about == "grants.token_file"


async def test_what_only_callers_may_read_is_not_tried() -> None:
    link = await tried(Serving(NotAllowed("no token file can be read by this user", hint="be another")))
    assert (link.findings, link.not_tried) == ((), "no token file can be read by this user; be another")


@pytest.mark.parametrize("odd", [{"keys": 5}, {"keys": [None]}, {"roles": [ROLE, None, 7]}])
async def test_a_status_with_strange_members_is_read_as_far_as_it_goes(odd: dict[str, Any]) -> None:
    assert (await tried(Serving(), **odd)).findings == ()


async def test_a_token_file_that_sdks_cannot_use_is_a_warning() -> None:
    finding = await only(Serving(doubt=ConfigurationError("a newline", hint="take it away")))
    assert (finding.severity, finding.what) == ("warning", "a newline")


async def test_an_agent_with_nothing_to_give_says_why_unless_that_follows_from_something_else() -> None:
    nothing = Serving(CredentialsUnavailable("no credentials for role backup yet", hint="rolecall status"))
    assert (await only(nothing)).what == "no credentials for role backup yet"
    failing = [{**ROLE, "failures": 3, "problem": "AccessDenied"}]
    assert (await only(nothing, roles=failing)).what == (
        "the agent has nothing to give as backup, and from here it works: AccessDenied"
    )
    link = await tried(nothing, ISSUER, roles=failing)
    assert (link.findings, link.not_tried) == ((), "the rest of it follows from the link issuer")


async def test_nothing_works_from_here_while_nobody_has_signed_in() -> None:
    nobody = Tried("sign-in", findings=(Finding("sign-in", "error", "nobody has signed in", "sign in"),))
    nothing = Serving(CredentialsUnavailable("nobody has signed in", hint="sign in: rolecall login"))
    link = await tried(nothing, nobody, roles=[{**ROLE, "failures": 1, "problem": "nobody has signed in"}])
    assert (link.findings, link.not_tried) == ((), "the rest of it follows from the link sign-in")


async def test_an_agent_that_could_not_renew_what_it_still_holds_is_a_warning() -> None:
    failing = [{**ROLE, "failures": 3, "problem": "STS was away"}]
    finding = await only(Serving(), roles=failing)
    assert (finding.severity, finding.sure) == ("warning", "likely")
    assert finding.what == "the agent could not renew backup, and from here it works: STS was away"
    assert (await tried(Serving(), ISSUER, roles=failing)).findings == ()
