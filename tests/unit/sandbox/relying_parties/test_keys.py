"""For how long does a relying party believe what it has read?"""

import json
from datetime import timedelta

import pytest

from agent.sandbox import PracticeIssuer
from agent.sandbox.relying_parties.keys import KeyCache
from agent.sandbox.sts.fetch import Fetched, Unreachable, Untrusted
from tests.fakes.clock import FakeClock
from tests.unit.sandbox.scene import ISSUER, rsa_key

OURS = PracticeIssuer(ISSUER, rsa_key())
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"


class Site:
    """Documents by URL; what is asked for is noted."""

    def __init__(self) -> None:
        self.documents: dict[str, object] = {DISCOVERY: OURS.discovery, f"{ISSUER}/keys.json": {"keys": [OURS.jwk]}}
        self.asked: list[str] = []

    async def get(self, url: str, thumbprints: tuple[str, ...], /) -> Fetched:
        assert thumbprints == ()
        self.asked.append(url)
        document = self.documents.get(url)
        if document is None:
            raise Unreachable(url)
        if document == "untrusted":
            raise Untrusted(url)
        return Fetched("text/plain", document if isinstance(document, bytes) else json.dumps(document).encode())


def cache(site: Site, clock: FakeClock, *, refetches: bool, kept: timedelta | None = timedelta(hours=2)) -> KeyCache:
    return KeyCache(site, clock, kept=kept, refetches=refetches)


async def test_a_set_is_read_once_while_it_is_kept() -> None:
    site, clock = Site(), FakeClock()
    keys = cache(site, clock, refetches=False)
    for _ in range(3):
        assert await keys.keys(ISSUER, "practice-key") == (OURS.jwk,)
    assert site.asked == [DISCOVERY, f"{ISSUER}/keys.json"]
    assert await keys.keys(ISSUER, "other") == ()
    assert len(site.asked) == 2
    await clock.advance(timedelta(hours=2))
    await keys.keys(ISSUER, "practice-key")
    assert len(site.asked) == 4


async def test_who_looks_unknown_keys_up_does_so_each_time() -> None:
    site = Site()
    keys = cache(site, FakeClock(), refetches=True)
    await keys.keys(ISSUER, "practice-key")
    for _ in range(2):
        assert await keys.keys(ISSUER, "other") == ()
    assert len(site.asked) == 6


async def test_what_is_forgotten_or_never_gets_old() -> None:
    site, clock = Site(), FakeClock()
    keys = cache(site, clock, refetches=False, kept=None)
    await keys.keys(ISSUER, "practice-key")
    await clock.advance(timedelta(days=400))
    await keys.keys(ISSUER, "practice-key")
    assert len(site.asked) == 2
    keys.forget(ISSUER)
    await keys.keys(ISSUER, "practice-key")
    assert len(site.asked) == 4


@pytest.mark.parametrize(
    ("url", "document"),
    [
        (DISCOVERY, None),
        (DISCOVERY, "untrusted"),
        (DISCOVERY, {**OURS.discovery, "issuer": ISSUER + "/"}),
        (DISCOVERY, {**OURS.discovery, "jwks_uri": 7}),
        (DISCOVERY, b"no json"),
        (DISCOVERY, [1]),
        (f"{ISSUER}/keys.json", None),
        (f"{ISSUER}/keys.json", {"keys": []}),
    ],
)
async def test_what_cannot_be_read_is_not_kept(url: str, document: object) -> None:
    site = Site()
    right = site.documents[url]
    site.documents[url] = document
    keys = cache(site, FakeClock(), refetches=False)
    with pytest.raises(Unreachable):
        await keys.keys(ISSUER, "practice-key")
    site.documents[url] = right
    assert await keys.keys(ISSUER, "practice-key") == (OURS.jwk,)
