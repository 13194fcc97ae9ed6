"""What is asked of us over HTTP, and what do we answer?

The plumbing that HTTP outputs share. It knows heads, connections and errors; what is behind a path is the
output's business. No word of AWS here.
"""

from dataclasses import dataclass, field
from typing import Protocol

from agent.callers import Peer


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, when all that is wrong with it as HTTP has been refused. `path` is as sent, without the query."""

    method: str
    path: str
    peer: Peer


@dataclass(frozen=True, slots=True)
class Answered:
    """The JSON of a 200, and the role that it is about, by its configured name."""

    role: str
    body: bytes = field(repr=False)  # it holds the secrets that were asked for


class Output(Protocol):
    """One shape in which something leaves us over HTTP."""

    @property
    def name(self) -> str:
        """What metrics call it."""
        ...

    def role(self, path: str) -> str:
        """The configured role that a path is about, for metrics; "" if there is none, so labels stay few."""
        ...

    async def answer(self, asked: Asked) -> Answered:
        """Answer, waiting a little if that helps. Raises AgentError, or problems.Refusal for what is not here."""
        ...

    def ready(self, asked: Asked) -> Answered | None:
        """The answer that `answer` would give, if that is a 200 and can be given at once; None otherwise."""
        ...
