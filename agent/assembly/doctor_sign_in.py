"""How does the doctor look at the sign-in of a person? It reads the file, and renews and writes nothing."""

from agent.assembly.identity_center import OpenedCenter, cache_of, portal_of
from agent.clock import Clock
from agent.doctor import Tried, sign_in
from agent.doctor.sign_in import Seen, Wanted
from agent.errors import AgentError, CredentialsUnavailable
from agent.secret import Secret
from agent.settings import IdentityCenter, IdentityCenterRole, Settings
from agent.sign_in import SignIn
from agent.sign_in.answers import needed
from agent.sign_in.assignments import permission_sets
from agent.threads import aside


async def sign_in_link(settings: Settings, words: IdentityCenter, clock: Clock) -> Tried:
    """The link of the sign-in, and of what it opens."""
    portal = portal_of(words)
    wanted = [
        Wanted(name, role.account, role.permission_set)
        for name, role in settings.roles.items()
        if isinstance(role, IdentityCenterRole)
    ]
    try:
        kept = await aside(cache_of(words, portal).read)
        if kept is None:
            raise needed(portal, "nobody has signed in")
        seen = await _seen(words, kept.sign_in, wanted, clock)
    except AgentError as error:
        return sign_in.missing(error)
    return sign_in.examined(seen, wanted, clock.now())


async def _seen(words: IdentityCenter, found: SignIn, wanted: list[Wanted], clock: Clock) -> Seen:
    now = clock.now()
    ends_at, renewable = found.ends_at(now), found.is_renewable(now)
    if found.expires_at <= now:
        why = "its access token has to be renewed first, which the agent does" if renewable else ""
        return Seen(ends_at, renewable, portal_of(words).command, None, why)
    try:
        assigned = await _assigned(words, found.access_token, {one.account for one in wanted})
    except CredentialsUnavailable as error:
        return Seen(ends_at, renewable, portal_of(words).command, None, error.what)
    return Seen(ends_at, renewable, portal_of(words).command, assigned)


async def _assigned(words: IdentityCenter, token: Secret, accounts: set[str]) -> dict[str, list[str]]:
    """What may be had in each of these accounts. Raises SignInNeeded where the portal does not take the token."""
    async with OpenedCenter(words) as center:
        tokens = _AsItIs(token)
        return {
            one: [name async for name in permission_sets(portal_of(words), center, tokens, one)] for one in accounts
        }


class _AsItIs:
    """An access token that nobody renews."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    async def token(self) -> Secret:
        return self._token

    async def another(self, refused: Secret) -> Secret:
        return refused
