"""With which keys does an issuer say that it signs?

Discovery document and JWKS, fetched and checked as AWS checks them. AWS does not say how long it keeps what it
has fetched; here the operator of the sandbox decides, and by default nothing is kept.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from agent.clock import Clock
from agent.sandbox.refusals import NO_KEY, WRONG_CERTIFICATE, invalid_token
from agent.sandbox.sts.fetch import Fetched, Unreachable, Untrusted
from agent.sandbox.world import Provider

Jwk = Mapping[str, object]

#: Without these members AWS does not get as far as the keys (seen by two authors).
_NEEDED: Final = ("response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported")
_MOST_OF_A_TYPE: Final = 100


@dataclass(frozen=True, slots=True)
class _Kept:
    """Keys, and when they were fetched by the steady clock."""

    keys: tuple[Jwk, ...]
    fetched: float


class Fetches(Protocol):
    """What this module needs of whoever fetches."""

    async def get(self, url: str, thumbprints: tuple[str, ...], /) -> Fetched:
        """Fetch a document. Raises Unreachable or Untrusted."""
        ...


class Issuers:
    """The keys of every issuer, fetched when they are asked for.

    Args:
        kept: how long a fetched key set is used again; zero fetches every time. A token that names a key which
            is not in the kept set always has it fetched anew.
    """

    def __init__(self, fetcher: Fetches, clock: Clock, kept: timedelta) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._kept = kept.total_seconds()
        self._sets: dict[str, _Kept] = {}

    async def keys(self, provider: Provider, kid: str | None) -> tuple[Jwk, ...]:
        """The published keys a token with this `kid` may be signed with; one or more. Raises Refusal."""
        known = self._sets.get(provider.url)
        if known and self._clock.steady() - known.fetched < self._kept:
            chosen = choose(known.keys, kid)
            if chosen:
                return chosen
        try:
            keys = await self._fetch(provider)
            chosen = _choose_one(keys, kid, provider)
        except Untrusted as untrusted:
            raise invalid_token(WRONG_CERTIFICATE) from untrusted
        except Unreachable as unreachable:
            raise invalid_token(NO_KEY) from unreachable
        self._sets[provider.url] = _Kept(keys, self._clock.steady())
        return chosen

    async def _fetch(self, provider: Provider) -> tuple[Jwk, ...]:
        """Read both documents. Raises Unreachable or Untrusted."""
        address = provider.url.rstrip("/") + "/.well-known/openid-configuration"
        discovery = await self._document(address, provider)
        if discovery.get("issuer") != provider.url:
            raise Unreachable(f"{address} says that its issuer is {discovery.get('issuer')!r}")
        for member in _NEEDED:
            values = discovery.get(member)
            if not isinstance(values, list) or not values:
                raise Unreachable(f"{address} has no {member}")
        where = discovery.get("jwks_uri")
        if not isinstance(where, str):
            raise Unreachable(f"{address} has no jwks_uri")
        return read_key_set(await self._document(where, provider), where)

    async def _document(self, url: str, provider: Provider) -> Mapping[str, object]:
        """Fetch a JSON object. AWS minds the content type: extensionless files are often served as bytes."""
        fetched = await self._fetcher.get(url, provider.thumbprints)
        if fetched.media_type != "application/json" and not fetched.media_type.endswith("+json"):
            raise Unreachable(f"{url} is served as {fetched.media_type}, not as JSON")
        try:
            document = json.loads(fetched.body)
        except (ValueError, RecursionError) as failure:
            raise Unreachable(f"{url} is not JSON") from failure
        if not isinstance(document, dict):
            raise Unreachable(f"{url} is not a JSON object")
        return document


def read_key_set(document: Mapping[str, object], where: str) -> tuple[Jwk, ...]:
    """The keys of a JWKS: at least one, at most 100 RSA and 100 EC keys. Raises Unreachable."""
    listed = document.get("keys")
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise Unreachable(f"{where} has no keys")
    for kind in ("RSA", "EC"):
        if sum(one.get("kty") == kind for one in listed) > _MOST_OF_A_TYPE:
            raise Unreachable(f"{where} has more than {_MOST_OF_A_TYPE} {kind} keys")
    return tuple(listed)


def choose(keys: tuple[Jwk, ...], kid: str | None) -> tuple[Jwk, ...]:
    """The keys of this id; a token that names none can mean only a sole key."""
    if kid is None:
        return keys if len(keys) == 1 else ()
    return tuple(one for one in keys if one.get("kid") == kid)


def _choose_one(keys: tuple[Jwk, ...], kid: str | None, provider: Provider) -> tuple[Jwk, ...]:
    """As choose, but at least one. Raises Unreachable."""
    chosen = choose(keys, kid)
    if not chosen:
        raise Unreachable(f"the JWKS of {provider.url} has no key {kid!r}")
    return chosen
