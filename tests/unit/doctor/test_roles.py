from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from agent.credentials.sts import Answer
from agent.credentials.sts.errors import TABLE, meaning
from agent.doctor import Finding, Tried
from agent.doctor.roles import SHORTEST, Cause, Outcome, Wanted, cause_of, examined
from agent.sandbox import refusals

GRANTED = Outcome(granted=True)
DENIED = Outcome(granted=False, cause="trust", what="AccessDenied for arn:aws:iam::123456789012:role/backup", hint="h")
HOUR = timedelta(hours=1)


def role(name: str = "backup", duration: timedelta = HOUR, **more: object) -> Wanted:
    return Wanted(name, f"arn:aws:iam::123456789012:role/{name}", "web-1", duration, **more)  # type: ignore[arg-type]


@dataclass
class Told:
    """An STS that gives the next outcome, the last one again and again; and remembers what it was asked."""

    outcomes: list[Outcome]
    asked: list[tuple[Wanted, bool]] = field(default_factory=list)

    async def __call__(self, wanted: Wanted, *, powerless: bool = False) -> Outcome:
        self.asked.append((wanted, powerless))
        return self.outcomes[min(len(self.asked), len(self.outcomes)) - 1]


def broken(link: str) -> Tried:
    finding = Finding(link, "error", "something", "mend it")  # type: ignore[arg-type]  # a link's name
    return Tried(finding.link, findings=(finding,))


async def test_a_role_that_is_given_was_asked_for_once_and_for_as_short_as_can_be() -> None:
    sts = Told([GRANTED])
    tried = await examined([role()], sts, [])
    assert (tried.good, tried.findings) == ("AWS gives backup", ())
    ((wanted, powerless),) = sts.asked
    assert (wanted.session_name, wanted.duration, powerless) == ("web-1-doctor", SHORTEST, False)


async def test_the_whole_time_is_asked_for_only_where_not_every_role_gives_it_and_for_nothing() -> None:
    sts = Told([GRANTED])
    await examined([role(duration=timedelta(hours=12))], sts, [])
    assert [(one.duration, powerless) for one, powerless in sts.asked] == [
        (SHORTEST, False),
        (timedelta(hours=12), True),
    ]


async def test_a_long_session_name_makes_room_for_the_mark() -> None:
    sts = Told([GRANTED])
    await examined([Wanted("b", role().arn, "x" * 64, HOUR)], sts, [])
    assert sts.asked[0][0].session_name == "x" * 57 + "-doctor"


async def test_a_denial_is_tried_again_by_the_configured_name() -> None:
    sts = Told([DENIED, GRANTED])
    assert (await examined([role()], sts, [])).findings == ()
    assert sts.asked[1][0].session_name == "web-1"


async def test_where_only_a_pinned_token_is_taken_that_is_found_out() -> None:
    sts = Told([DENIED, DENIED, GRANTED])
    (finding,) = (await examined([role(pinned=False)], sts, [])).findings
    assert sts.asked[2][0].pinned
    assert "sts:RoleAuthorizedByIdp" in finding.what
    assert (finding.sure, finding.about) == ("certain", "identity.pin_roles")


async def test_a_path_too_many_in_the_arn_is_found_out() -> None:
    arn = "arn:aws:iam::123456789012:role/ops/night/backup"
    sts = Told([DENIED, DENIED, GRANTED])
    (finding,) = (await examined([replace(role(), arn=arn)], sts, [])).findings
    assert sts.asked[2][0].arn == "arn:aws:iam::123456789012:role/backup"
    assert f"there is no role {arn} that trusts us" in finding.what
    assert "without the path" in finding.hint


async def test_a_denial_says_what_the_trust_policy_must_say_as_far_as_anybody_knows() -> None:
    policy = {"Statement": [{"Effect": "Allow", "Condition": {"StringEquals": {"oidc.example.com:sub": "host:a"}}}]}
    (finding,) = (await examined([role(policy=policy)], Told([DENIED]), [])).findings
    assert (finding.link, finding.sure) == ("roles", "likely")
    assert '"oidc.example.com:sub": "host:a"' in finding.hint
    (finding,) = (await examined([role()], Told([DENIED]), [])).findings
    assert finding.hint == "h"


async def test_what_several_roles_share_is_said_once_and_names_the_others() -> None:
    class Refusing:
        async def __call__(self, wanted: Wanted, *, powerless: bool = False) -> Outcome:
            return Outcome(granted=powerless, cause="other", what=f"no audience for {wanted.arn}", hint="see")

    (finding,) = (await examined([role("a"), role("b"), role("c")], Refusing(), [])).findings
    assert finding.what == "no audience for arn:aws:iam::123456789012:role/a (and the same for b, c)"


@pytest.mark.parametrize(
    ("cause", "link", "folded"),
    [
        ("key set", "issuer", "issuer"),
        ("key set", "issuer", "token"),
        ("thumbprint", "issuer", "issuer"),
        ("token time", "clock", "clock"),
        ("sts", "sts", "sts"),
        ("other", "roles", "token"),
    ],
)
async def test_a_refusal_is_laid_to_its_link_and_not_repeated_where_that_is_broken(
    cause: Cause, link: str, folded: str
) -> None:
    refused = Told([Outcome(granted=False, cause=cause, what="no", hint="see")])
    (finding,) = (await examined([role()], refused, [Tried("issuer", "well")])).findings
    assert finding.link == link
    tried = await examined([role()], refused, [broken(folded)])
    assert (tried.findings, tried.not_tried) == ((), f"what STS says of them follows from the link {folded}")


async def test_a_role_that_does_not_trust_us_is_found_beside_a_broken_issuer() -> None:
    tried = await examined([role()], Told([DENIED]), [broken("issuer")])
    assert [one.link for one in tried.findings] == ["roles"]


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        (refusals.invalid_token(refusals.NO_KEY), "key set"),
        (refusals.invalid_token(refusals.BAD_SIGNATURE), "key set"),
        (refusals.idp_unreachable(), "key set"),
        (refusals.invalid_token(refusals.WRONG_CERTIFICATE), "thumbprint"),
        (refusals.no_provider("https://oidc.example.com"), "other"),
        (refusals.invalid_token(refusals.WRONG_AUDIENCE), "other"),
        (refusals.invalid_token(refusals.SEVERAL_AUDIENCES), "other"),
        (refusals.invalid_token(refusals.ROLE_NOT_PINNED), "other"),
        (refusals.invalid_token(refusals.NOT_A_JWT), "other"),
        (refusals.missing_claim("iat"), "other"),
        (refusals.invalid_token(refusals.BAD_TAGS), "other"),
        (refusals.not_authorized("sts:AssumeRoleWithWebIdentity"), "trust"),
        (refusals.not_authorized("sts:TagSession"), "other"),
        (refusals.not_authorized("sts:SetSourceIdentity"), "other"),
        (refusals.validation(refusals.TOO_LONG_A_SESSION), "other"),
    ],
)
def test_every_refusal_of_the_sandbox_is_laid_to_something(refusal: refusals.Refusal, cause: Cause) -> None:
    assert cause_of(refusal.code, refusal.message) == cause
    assert cause_of(refusal.code + "Exception", refusal.message) == cause
    assert meaning(Answer(refusal.code, refusal.message, refusal.status)) in TABLE


def test_an_old_token_is_laid_to_the_time() -> None:
    assert cause_of("ExpiredTokenException", "Token expired: current date/time 1 must be before") == "token time"
