"""What is asked of us over HTTP, and what do we answer?

The plumbing that HTTP outputs share. It knows heads, connections and errors; what is behind a path is the
output's business. No word of AWS here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from agent.callers import Peer

#: The media type of most answers. It has no charset: some SDKs compare the header for equality.
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, when all that is wrong with it as HTTP has been refused. `path` and `query` are as sent.

    `headers` are by name, in small letters, the last of each; for `Output.ready` there are none, since a request with
    one that could change the answer is not asked of it.
    """

    method: str
    path: str
    peer: Peer
    headers: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)  # tokens are among them
    query: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """A 200: the role that it is about, by its configured name, or ""; its body; and headers of its own."""

    role: str
    body: bytes = field(repr=False)  # it holds the secrets that were asked for
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # one may be a token


class Label(NamedTuple):
    """What metrics call a request: the output, and the configured role that it is about, or "", so labels stay few."""

    output: str
    role: str = ""


class Output(Protocol):
    """One shape in which something leaves us over HTTP."""

    def label(self, path: str) -> Label:
        """What metrics call requests for a path."""
        ...

    async def answer(self, asked: Asked) -> Answered:
        """Answer, waiting a little if that helps. Raises AgentError, or problems.Refusal for what is not here."""
        ...

    def ready(self, asked: Asked) -> Answered | None:
        """The answer that `answer` would give, if that is a 200 and can be given at once; None otherwise."""
        ...
