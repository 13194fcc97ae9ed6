from collections.abc import Mapping

import pytest

from agent.errors import CredentialsRefused, CredentialsUnavailable, SignInNeeded
from agent.secret import Secret
from agent.sign_in import Answer
from agent.sign_in.assignments import Account, assignments, permission_sets
from tests.fakes.center import PORTAL, FakeCenter, given, refused


class Tokens:
    """An access token, and another where that is refused."""

    def __init__(self) -> None:
        self.asked_for_another = 0

    async def token(self) -> Secret:
        return Secret("access-1")

    async def another(self, refused: Secret) -> Secret:
        assert refused == Secret("access-1")
        self.asked_for_another += 1
        return Secret("access-2")


def accounts(*ids: str, more: str | None = None) -> Answer:
    listed = [{"accountId": one, "accountName": f"name of {one}", "emailAddress": "a@example.com"} for one in ids]
    return given(accountList=listed, nextToken=more)


def roles(*names: str, more: str | None = None) -> Answer:
    return given(roleList=[{"roleName": one, "accountId": "123456789012"} for one in names], nextToken=more)


async def listed(center: FakeCenter, tokens: Tokens | None = None) -> list[Account]:
    return [one async for one in assignments(PORTAL, center, tokens or Tokens())]


async def test_all_pages_are_read() -> None:
    center = FakeCenter(
        list_accounts=[accounts("1", more="further"), accounts("2")],
        list_account_roles=[roles("B", more="m"), roles("A"), roles("C")],
    )
    assert await listed(center) == [Account("1", "name of 1", ("A", "B")), Account("2", "name of 2", ("C",))]
    tokens = [asked.get("nextToken") for operation, asked in center.asked if operation == "list_accounts"]
    assert tokens == [None, "further"]


async def test_a_token_that_is_refused_is_renewed_once() -> None:
    tokens = Tokens()

    def fresh(asked: Mapping[str, object]) -> Answer:
        return accounts() if asked["accessToken"] == "access-2" else refused("UnauthorizedException", 401)

    assert await listed(FakeCenter(list_accounts=fresh), tokens) == []
    assert tokens.asked_for_another == 1


async def test_somebody_has_to_sign_in_when_the_next_is_refused_as_well() -> None:
    with pytest.raises(SignInNeeded):
        await listed(FakeCenter(list_accounts=refused("UnauthorizedException", 401)))


async def test_trouble_is_told_from_refusal() -> None:
    with pytest.raises(CredentialsUnavailable):
        await listed(FakeCenter(list_accounts=refused("TooManyRequestsException", 429)))
    with pytest.raises(CredentialsRefused):
        await listed(FakeCenter(list_accounts=refused("ForbiddenException", 403)))


async def test_an_account_where_nothing_may_be_had_has_nothing() -> None:
    center = FakeCenter(list_account_roles=refused("ForbiddenException", 403))
    assert [one async for one in permission_sets(PORTAL, center, Tokens(), "123456789012")] == []


@pytest.mark.parametrize(
    "answer",
    [given(), given(accountList="1"), given(accountList=[1]), given(accountList=[{}]), accounts("\x1b[31m")],
)
async def test_nonsense_is_no_list(answer: Answer) -> None:
    with pytest.raises(CredentialsUnavailable, match="no list of accounts"):
        await listed(FakeCenter(list_accounts=answer))


async def test_a_list_without_end_is_not_read_without_end() -> None:
    with pytest.raises(CredentialsUnavailable):
        await listed(FakeCenter(list_accounts=accounts(more="on and on")))
