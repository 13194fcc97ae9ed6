"""What is asked of us over HTTP, and what do we answer?

The plumbing that HTTP outputs share. It knows heads, connections and errors; what is behind a path is the
output's business. No word of AWS here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from agent.callers import Peer

#: The media type of most answers. It has no charset: some SDKs compare the header for equality.
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, when all that is wrong with it as HTTP has been refused. `path` is as sent, without the query.

    `headers` are by name, in small letters, the last of each; for `Output.ready` there are none, since a request with
    one that could change the answer is not asked of it.
    """

    method: str
    path: str
    peer: Peer
    headers: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)  # tokens are among them


@dataclass(frozen=True, slots=True)
class Answered:
    """A 200: the role that it is about, by its configured name, or ""; its body; and headers of its own."""

    role: str
    body: bytes = field(repr=False)  # it holds the secrets that were asked for
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # one may be a token


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
