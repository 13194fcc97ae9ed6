"""How does somebody sign out? The portal is told, and the files are removed, whatever it says."""

import asyncio

from agent.errors import AgentError, SignInNeeded
from agent.sign_in import Center
from agent.sign_in.cache import Cache


async def sign_out(cache: Cache, center: Center) -> AgentError | None:
    """Sign out; why the portal has not taken notice, if it has not: then the tokens live on until they expire.

    Nothing is left on this disk either way. Raises CredentialsUnavailable if the files cannot be removed.
    """
    trouble: AgentError | None = None
    try:
        found = await asyncio.to_thread(cache.read)
        if found is not None:
            answer = await center.ask("logout", accessToken=found.sign_in.access_token.reveal())
            if not answer.given and answer.status != 401:  # that is a sign-in that is over already
                what = f"IAM Identity Center did not take the sign-out: {answer.code}"
                trouble = AgentError(what, hint="sign out at the access portal with a browser as well")
    except SignInNeeded:
        pass  # what cannot be used cannot be taken back either
    except AgentError as error:
        trouble = error
    await asyncio.to_thread(cache.forget)
    return trouble
