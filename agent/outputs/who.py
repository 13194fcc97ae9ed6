"""How does a caller learn what we see of it, and what it may have? `GET /v1/who`."""

from typing import Final

from agent.outputs import documents
from agent.vending import RoleVendor, TokenVendor
from agent.web import Answered, Asked, Label
from agent.web.problems import NOT_FOUND, Refusal, method_not_allowed

#: What metrics call this output.
NAME: Final = "who"

#: Where it is asked.
PATH: Final = "/v1/who"


class WhoOutput:
    """Tells whoever asks about itself, and about nobody else."""

    def __init__(self, roles: RoleVendor, tokens: TokenVendor) -> None:
        """Ask those who decide."""
        self._roles = roles
        self._tokens = tokens

    def label(self, path: str) -> Label:  # noqa: ARG002 - the shape of an output
        """What metrics call its requests."""
        return Label(NAME)

    async def answer(self, asked: Asked) -> Answered:
        """What is known of the caller, and what it is granted. Raises Refusal."""
        if asked.path != PATH:
            raise Refusal(NOT_FOUND)
        if asked.method != "GET":
            raise Refusal(method_not_allowed("GET"))
        caller, roles = await self._roles.seen(asked.peer)
        _, tokens = await self._tokens.seen(asked.peer)
        return Answered("", documents.who(caller, roles, tokens))

    def ready(self, asked: Asked) -> Answered | None:  # noqa: ARG002 - the shape of an output
        """Nothing: nobody asks this twice in a second."""
        return None
