"""What does every custodian promise? One suite; each implementation is one more parameter."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import jwt
import pytest

from agent.errors import ConfigurationError, KeyUnavailable
from agent.jose import compact, signing_input
from agent.keys import Custodian, Kind, SigningKey, kind_of
from agent.settings.keys import CUSTODIANS
from tests.fakes.places import Place, every, moto_on_demand

pytestmark = pytest.mark.long

#: The time for which a slow custodian is watched, in seconds, and the pause between two looks at the loop.
WATCHED: Final = 0.4
TICK: Final = 0.01
KIND: Final[Kind] = "ec-p256"


@pytest.fixture(scope="module")
def kms() -> Iterator[Callable[[], str]]:
    with moto_on_demand() as where:
        yield where


NAMES: Final = tuple(every(str))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def place(name: str, tmp_path: Path, kms: Callable[[], str]) -> AsyncIterator[Place]:
    async with every(kms)[name](tmp_path) as place:
        yield place


@pytest.fixture
async def custodian(place: Place) -> AsyncIterator[Custodian]:
    custodian = place.custodian()
    yield custodian
    await custodian.close()


async def signs(key: SigningKey) -> bool:
    """Whether an independent library accepts what the key signs."""
    signed = signing_input({"alg": key.public.algorithm, "kid": key.public.kid}, {"sub": "host:web-1"})
    token = compact(signed, await key.sign(signed))
    claims = jwt.decode(token, jwt.PyJWK(dict(key.public.jwk), key.public.algorithm), [key.public.algorithm])
    return bool(claims == {"sub": "host:web-1"})


# --- names, open, make, discard, close


def test_it_is_called_as_in_the_configuration(name: str, custodian: Custodian) -> None:
    assert custodian.kind == name
    assert name in {*CUSTODIANS, "memory"}


async def test_each_kind_that_it_can_hold_is_made_and_signs(name: str, place: Place, custodian: Custodian) -> None:
    kinds = place.kinds[:1] if name == "vault_transit" else place.kinds  # a Transit key has one type for ever
    for kind in kinds:
        key = await custodian.open(await custodian.make(kind))
        assert kind_of(key.public) == kind
        assert await signs(key)


async def test_a_key_that_was_made_is_there_for_every_process(place: Place, custodian: Custodian) -> None:
    made = await custodian.make(KIND)
    other = place.custodian()
    try:
        theirs = await other.open(made)
        assert theirs.public == (await custodian.open(made)).public
        assert await signs(theirs)
    finally:
        await other.close()


async def test_every_key_that_is_made_is_another_and_stays_under_its_name(custodian: Custodian) -> None:
    names = await asyncio.gather(*(custodian.make(KIND) for _ in range(3)))
    kids = {made: (await custodian.open(made)).public.kid for made in names}
    assert len(set(kids.values())) == 3
    for made, kid in kids.items():
        assert (await custodian.open(made)).public.kid == kid


async def test_what_the_configuration_speaks_of_can_be_opened(custodian: Custodian) -> None:
    await custodian.make(KIND)
    names: Sequence[str] = ()
    with suppress(KeyUnavailable):  # the configuration may speak of a key that nobody has made
        names = await custodian.names()
    for told in names:
        assert await signs(await custodian.open(told))


async def test_a_discarded_key_is_gone_and_its_neighbour_stays(custodian: Custodian) -> None:
    first, second = await custodian.make(KIND), await custodian.make(KIND)
    kept = await custodian.open(second)
    for _ in range(2):  # to whoever is killed before he has noted it, the second time is the first
        await custodian.discard(first)
    with pytest.raises(KeyUnavailable):
        await custodian.open(first)
    assert (await custodian.open(second)).public == kept.public
    assert await signs(kept)


async def test_to_discard_what_was_never_there_is_no_failure(place: Place, custodian: Custodian) -> None:
    with suppress(ConfigurationError):  # by its name it may be none of those that we make
        await custodian.discard(place.unknown)


async def test_a_name_that_nothing_has_is_a_key_that_cannot_be_had(place: Place, custodian: Custodian) -> None:
    with pytest.raises(KeyUnavailable) as caught:
        await custodian.open(place.unknown)
    assert caught.value.what


async def test_after_closing_nothing_is_done_but_cleanly(place: Place) -> None:
    custodian = place.custodian()
    key = await custodian.open(await custodian.make(KIND))
    await custodian.close()
    await custodian.close()
    for work in (key.sign(b"message"), custodian.open(place.unknown)):
        with suppress(KeyUnavailable):  # keys that are read once, as those in files, sign on
            await asyncio.wait_for(work, 10)
    await custodian.close()


async def test_what_was_never_opened_can_be_closed(place: Place) -> None:
    await place.custodian().close()


# --- slow, failing, vanishing


@contextmanager
def held(place: Place) -> Iterator[None]:
    """Nobody is answered; but not for ever, or a loop that is held up would hang the test and not fail it."""
    lifeline = threading.Timer(8, place.release)
    lifeline.start()
    place.hold()
    try:
        yield
    finally:
        place.release()
        lifeline.cancel()


async def longest_pause() -> float:
    """How long the loop did not turn, at most, in seconds."""
    longest, end = 0.0, time.perf_counter() + WATCHED
    while (before := time.perf_counter()) < end:
        await asyncio.sleep(TICK)
        longest = max(longest, time.perf_counter() - before)
    return longest


SLOW: Final = tuple(name for name in NAMES if name != "memory")  # which does nothing that could be waited for


@pytest.mark.parametrize("name", SLOW)
async def test_while_it_takes_its_time_the_loop_turns_and_it_answers_in_the_end(
    name: str, place: Place, custodian: Custodian
) -> None:
    made = await custodian.make(KIND)
    key = await custodian.open(made)
    with held(place):
        signing = asyncio.ensure_future(key.sign(b"message"))
        opening = asyncio.ensure_future(custodian.open(made))
        assert await longest_pause() < WATCHED / 2
        assert not opening.done()
        assert signing.done() == (name == "pem")  # whose keys, once read, are in memory
    assert await signing
    assert await signs(await opening)


@pytest.mark.parametrize("name", SLOW)
async def test_who_waits_no_longer_leaves_nothing_that_others_trip_over(place: Place, custodian: Custodian) -> None:
    made = await custodian.make(KIND)
    with held(place):
        waiting = [asyncio.ensure_future(custodian.open(made)) for _ in range(3)]
        await asyncio.sleep(0.05)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert all(one.cancelled() for one in waiting)
    assert await signs(await custodian.open(made))


@pytest.mark.parametrize("name", SLOW)
async def test_one_that_has_gone_is_told_and_used_again_when_it_is_back(
    name: str, place: Place, custodian: Custodian
) -> None:
    made = await custodian.make(KIND)
    key = await custodian.open(made)
    for _ in range(2):
        place.vanish()
        asked = [custodian.open(made), custodian.make(KIND), *([] if name == "pem" else [key.sign(b"message")])]
        gathering = asyncio.gather(*asked, return_exceptions=True)
        pause = await longest_pause()
        answers = await gathering
        place.come_back()
        assert pause < WATCHED / 2
        for answer in answers:
            assert isinstance(answer, KeyUnavailable), answer
            assert answer.hint
        assert await signs(key)
        assert (await custodian.open(made)).public == key.public
