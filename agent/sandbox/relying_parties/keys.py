"""With which keys does an issuer sign, as far as a relying party knows, and for how long does it believe that?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agent.clock import Clock
from agent.sandbox.sts.fetch import Unreachable, Untrusted
from agent.sandbox.sts.issuer import Fetches, Jwk, choose, read_key_set

#: API Gateway keeps keys for two hours, by its documentation. Google and Microsoft do not tell: nobody who is right by
#: the strictest of all is wrong by theirs.
TWO_HOURS: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class _Kept:
    keys: tuple[Jwk, ...]
    fetched: float


class KeyCache:
    """The key sets of issuers, each fetched when it is first needed, and kept.

    Args:
        kept: for how long a set is used; None: until a token's key is not in it, however long that takes.
        refetches: whether a token whose key is not in the set has it fetched anew, before its time is over.
    """

    def __init__(self, fetcher: Fetches, clock: Clock, *, kept: timedelta | None, refetches: bool) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._kept = kept
        self._refetches = refetches
        self._sets: dict[str, _Kept] = {}

    async def keys(self, issuer: str, kid: str) -> tuple[Jwk, ...]:
        """The keys that a token with this `kid` may be signed with; none if there are none. Raises Unreachable."""
        kept = self._sets.get(issuer)
        if kept is None or not self._fresh(kept):
            kept = await self._fetched(issuer)
        chosen = choose(kept.keys, kid or None)
        if not chosen and self._refetches:
            chosen = choose((await self._fetched(issuer)).keys, kid or None)
        return chosen

    def forget(self, issuer: str) -> None:
        """Have the set of this issuer fetched at the next token."""
        self._sets.pop(issuer, None)

    def _fresh(self, kept: _Kept) -> bool:
        return self._kept is None or self._clock.steady() - kept.fetched < self._kept.total_seconds()

    async def _fetched(self, issuer: str) -> _Kept:
        """Read both documents. Raises Unreachable."""
        address = issuer.removesuffix("/") + "/.well-known/openid-configuration"
        discovery = await self._document(address)
        if discovery.get("issuer") != issuer:
            raise Unreachable(f"{address} says that its issuer is {discovery.get('issuer')!r}")
        where = discovery.get("jwks_uri")
        if not isinstance(where, str):
            raise Unreachable(f"{address} has no jwks_uri")
        kept = _Kept(read_key_set(await self._document(where), where), self._clock.steady())
        self._sets[issuer] = kept
        return kept

    async def _document(self, url: str) -> Mapping[str, object]:
        try:
            fetched = await self._fetcher.get(url, ())
            document = json.loads(fetched.body)
        except Untrusted as untrusted:
            raise Unreachable(str(untrusted)) from untrusted
        except (ValueError, RecursionError) as failure:
            raise Unreachable(f"{url} is not JSON") from failure
        if not isinstance(document, dict):
            raise Unreachable(f"{url} is not a JSON object")
        return document
