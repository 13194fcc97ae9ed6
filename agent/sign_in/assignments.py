"""What may this person have? Accounts, and in each of them permission sets."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from agent.errors import CredentialsUnavailable
from agent.secret import Secret
from agent.sign_in import Answer, Center, Portal
from agent.sign_in.answers import needed, passes, refusal, unavailable
from agent.sign_in.renewal import Renewal

#: As many as the portal gives at a time.
_PAGE: Final = 100
#: More pages than any organisation has accounts: whoever sends so many goes on for ever.
_MOST_PAGES: Final = 1000


@dataclass(frozen=True, slots=True)
class Account:
    """An account, and the permission sets that somebody may have there, by name."""

    id: str
    name: str
    permission_sets: tuple[str, ...]


async def assignments(portal: Portal, center: Center, renewal: Renewal) -> AsyncIterator[Account]:
    """All that whoever is signed in may have, account by account. Raises SignInNeeded, CredentialsUnavailable, …."""
    asking = _Asking(portal, center, renewal)
    async for account in asking.pages("list_accounts", "accountList"):
        number, name = _text(account, "accountId"), str(account.get("accountName") or "")
        sets = [
            _text(role, "roleName") async for role in asking.pages("list_account_roles", "roleList", accountId=number)
        ]
        yield Account(number, name, tuple(sorted(sets)))


class _Asking:
    """Asks page after page; an access token that is refused is renewed once."""

    def __init__(self, portal: Portal, center: Center, renewal: Renewal) -> None:
        self._portal = portal
        self._center = center
        self._renewal = renewal

    async def pages(self, operation: str, members: str, **about: str) -> AsyncIterator[Mapping[str, object]]:
        further: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            answer = await self._answer(operation, **about, **further)
            found = answer.members.get(members)
            if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
                raise _nonsense()
            for one in found:
                yield one
            token = answer.members.get("nextToken")
            if not token:
                return
            further = {"nextToken": str(token)}
        raise _nonsense()

    async def _answer(self, operation: str, **about: str) -> Answer:
        token = await self._renewal.token()
        answer = await self._ask(operation, token, **about)
        if answer.status == 401:
            answer = await self._ask(operation, await self._renewal.another(token), **about)
        if answer.status == 401:
            raise needed(self._portal, "the sign-in is over")
        if answer.given:
            return answer
        if passes(answer):
            raise unavailable(answer, "listing what you may have")
        raise refusal(answer, self._portal, "to list what you may have")

    async def _ask(self, operation: str, token: Secret, **about: str) -> Answer:
        return await self._center.ask(operation, accessToken=token.reveal(), maxResults=_PAGE, **about)


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise _nonsense()
    return value


def _nonsense() -> CredentialsUnavailable:
    return CredentialsUnavailable(
        "what came is no list of accounts and permission sets",
        hint="see that identity_center.endpoint_url, if set, is really IAM Identity Center",
    )
