"""Which grants hold for callers inside AWS, and what do their tokens say?"""

from datetime import timedelta

import pytest

from agent.assembly.aws_callers import SUBJECT, aws_grants
from agent.callers.aws import Principal
from agent.callers.aws.canonical import facts
from agent.templates import Unfillable
from agent.wording import TokenGrant, Wording

ROLE = "arn:aws:iam::123456789012:role/deploy"
AUDIENCE = "https://api.example.com"
KNOWN = facts(Principal(ROLE, "123456789012", "web"))
OF_ORGANIZATION = facts(Principal(ROLE, "123456789012", "", "o-a1b2c3d4e5"))


def grant(*when: tuple[str, str], **claims: str) -> TokenGrant:
    wording = Wording(SUBJECT, timedelta(minutes=10), claims=tuple(claims.items()))
    return TokenGrant(AUDIENCE, frozenset(when), wording, "grants#1")


def said(found: list[TokenGrant], known: frozenset[tuple[str, str]]) -> dict[str, object]:
    """What the first of the grants that counts says of such a caller."""
    first = next(one for one in found if one.when <= known)
    return {"sub": first.extent.filled(known).subject, **first.extent.filled(known).as_claims()}


def test_only_grants_to_callers_inside_aws_hold() -> None:
    local = (grant(), grant(("systemd.unit", "web.service")))
    assert aws_grants(local) == []
    assert {one.name for one in aws_grants((*local, grant(("aws.account", "123456789012"))))} == {AUDIENCE}


def test_a_token_says_who_its_bearer_is_and_the_organization_where_that_is_known() -> None:
    found = aws_grants([grant(("aws.principal", ROLE), team="blue")])
    assert said(found, KNOWN) == {
        "sub": ROLE,
        "aws_principal": ROLE,
        "aws_account": "123456789012",
        "team": "blue",
    }
    assert said(found, OF_ORGANIZATION) == said(found, KNOWN) | {"aws_organization": "o-a1b2c3d4e5"}


def test_nobody_else_can_say_so() -> None:
    written = {"aws_principal": "somebody else", "aws_account": "none", "aws_organization": "o-0000000000"}
    found = aws_grants([grant(("aws.principal", ROLE), **written)])
    assert said(found, KNOWN) == {"sub": ROLE, "aws_principal": ROLE, "aws_account": "123456789012"}
    assert said(found, OF_ORGANIZATION)["aws_organization"] == "o-a1b2c3d4e5"


def test_what_is_not_known_of_a_caller_is_not_said() -> None:
    found = aws_grants([grant(("aws.principal", ROLE), session="${AWS_SESSION}")])
    assert said(found, KNOWN)["session"] == "web"
    with pytest.raises(Unfillable):
        said(found, OF_ORGANIZATION)
