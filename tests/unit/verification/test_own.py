from datetime import timedelta

from agent.keys import PublicKey
from agent.ring import Held, Ring
from agent.verification.own import OwnKeys
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_key import MemoryKey


def a_ring(*keys: PublicKey) -> Ring:
    ring = Ring.founded(keys[0], Held("pem", keys[0].kid, ours=True), START)
    for key in keys[1:]:
        ring = ring.announce(key, Held("pem", key.kid, ours=True), START)
    return ring


async def test_what_our_key_signs_verifies_and_nothing_is_fetched() -> None:
    key = MemoryKey()
    keys = OwnKeys(lambda: a_ring(key.public), FakeClock())

    (check,) = keys.known(key.public.kid)["ES256"]
    assert check(b"signed", key.sign_now(b"signed"))
    assert not check(b"changed", key.sign_now(b"signed"))
    assert keys.known("other") == {}
    assert await keys.look_up("other") == {}


async def test_a_key_that_comes_into_the_ring_is_known_a_second_later() -> None:
    old, new, clock = MemoryKey(), MemoryKey(), FakeClock()
    rings: list[Ring | None] = [None]
    keys = OwnKeys(lambda: rings[-1], clock)
    assert keys.known(old.public.kid) == {}

    rings.append(a_ring(old.public, new.public))
    await clock.advance(timedelta(seconds=1))
    assert keys.known(old.public.kid)
    assert keys.known(new.public.kid)


def test_a_ring_is_not_read_for_every_token() -> None:
    key = MemoryKey()
    asked: list[None] = []

    def ring() -> Ring:
        asked.append(None)
        return a_ring(key.public)

    keys = OwnKeys(ring, FakeClock())
    for _ in range(100):
        assert keys.known(key.public.kid)
    assert len(asked) == 1
