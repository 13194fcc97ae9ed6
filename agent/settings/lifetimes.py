"""How long does the longest token live that is signed here?"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from agent.ring import USUAL_TOKEN
from agent.settings.callers import Grant
from agent.settings.files import KeptFile, TokenFile
from agent.settings.tokens import Identity, SelfSigned

T = TypeVar("T")


class Said(Protocol):
    """A configuration, or what has been read of one so far."""

    @property
    def identity(self) -> Identity | None:
        """What [identity] says."""
        ...

    @property
    def grants(self) -> Sequence[Grant] | Mapping[int, Grant]:
        """What each of [[grants]] says."""
        ...

    @property
    def files(self) -> Sequence[KeptFile] | Mapping[int, KeptFile]:
        """What each of [[files]] says."""
        ...


def longest_token(said: Said) -> timedelta:
    """The lifetime of the longest token that our key may sign: for STS, for others, or by hand.

    No less than an hour, which `rolecall token mint` may be asked for. Keys are shown until such a token is over.
    """
    spans = [USUAL_TOKEN]
    if isinstance(said.identity, SelfSigned):
        spans.append(said.identity.lifetime)
    spans += [grant.lifetime for grant in _each(said.grants) if grant.audiences]
    spans += [file.lifetime for file in _each(said.files) if isinstance(file, TokenFile)]
    return max(spans)


def _each(of: Sequence[T] | Mapping[int, T]) -> Iterable[T]:
    return of.values() if isinstance(of, Mapping) else of
