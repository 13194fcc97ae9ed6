"""What may this person have? Accounts, and in each of them permission sets."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from agent.errors import CredentialsUnavailable
from agent.secret import Secret
from agent.sign_in import Answer, Center, Portal
from agent.sign_in.answers import needed, passes, refusal, unavailable

#: As many as the portal gives at a time.
_PAGE: Final = 100
#: More pages than any organisation has accounts: whoever sends so many goes on for ever.
_MOST_PAGES: Final = 1000


class Tokens(Protocol):
    """Who has the access token."""

    async def token(self) -> Secret:
        """One to ask with. Raises SignInNeeded, CredentialsUnavailable."""
        ...

    async def another(self, refused: Secret) -> Secret:
        """Another one, since this was refused. Raises SignInNeeded, CredentialsUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """An account, and the permission sets that somebody may have there, by name."""

    id: str
    name: str
    permission_sets: tuple[str, ...]


async def assignments(portal: Portal, center: Center, tokens: Tokens) -> AsyncIterator[Account]:
    """All that whoever is signed in may have, account by account.

    Raises SignInNeeded, CredentialsUnavailable, CredentialsRefused.
    """
    async for account in _pages(_Asking(portal, center, tokens), "list_accounts", "accountList"):
        number, name = _text(account, "accountId"), str(account.get("accountName") or "")
        sets = [one async for one in permission_sets(portal, center, tokens, number)]
        yield Account(number, name, tuple(sorted(sets)))


async def permission_sets(portal: Portal, center: Center, tokens: Tokens, account: str) -> AsyncIterator[str]:
    """Those that may be had in one account; none where nothing may. Raises as above."""
    asking = _Asking(portal, center, tokens)
    async for role in _pages(asking, "list_account_roles", "roleList", accountId=account):
        yield _text(role, "roleName")


@dataclass(frozen=True, slots=True)
class _Asking:
    portal: Portal
    center: Center
    tokens: Tokens


async def _pages(asking: _Asking, operation: str, members: str, **about: str) -> AsyncIterator[Mapping[str, object]]:
    """What is on all pages of a list."""
    further: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        answer = await _answer(asking, operation, **about, **further)
        if answer.status == 403 and about:  # nothing is assigned there
            return
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


async def _answer(asking: _Asking, operation: str, **about: str) -> Answer:
    """One page; an access token that is refused is renewed once."""
    token = await asking.tokens.token()
    for last in (False, True):
        parameters = {"accessToken": token.reveal(), "maxResults": _PAGE, **about}
        answer = await asking.center.ask(operation, **parameters)
        if answer.status != 401 or last:
            break
        token = await asking.tokens.another(token)
    if answer.status == 401:
        raise needed(asking.portal, "the sign-in is over; sign in")
    if passes(answer):
        raise unavailable(answer, "listing what may be had")
    if not answer.given and not (answer.status == 403 and "accountId" in about):
        raise refusal(answer, asking.portal, "to list what may be had")
    return answer


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
