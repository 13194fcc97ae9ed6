import asyncio
from datetime import timedelta

import pytest

from agent.errors import IssuerUnreadable, TokenRejected
from agent.events import IssuerKeysFetched, IssuerKeysStuck
from agent.tasks import children
from agent.verification import Rule
from agent.verification.published import LONGEST, PublishedKeys
from agent.verification.verifier import RuleVerifier
from tests.fakes.clock import FakeClock, settle
from tests.fakes.foreign import AUDIENCE, DISCOVERY, ISSUER, JWKS, FakeWeb, a_jwk, a_token
from tests.fakes.report import Reported

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Scene:
    def __init__(self, web: FakeWeb | None = None, jwks_url: str | None = None) -> None:
        self.web = web or FakeWeb()
        self.clock = FakeClock()
        self.told = Reported()
        self.keys = PublishedKeys(ISSUER, self.web, clock=self.clock, report=self.told, jwks_url=jwks_url)
        self.verifier = RuleVerifier(Rule(ISSUER, (AUDIENCE,)), self.keys, self.clock)

    def has(self, kid: str) -> bool | None:
        """Whether the key is at hand; None if the issuer is to be asked."""
        known = self.keys.known(kid)
        return None if known is None else bool(known)


async def test_nothing_is_asked_of_an_issuer_before_a_key_is_wanted_and_then_once() -> None:
    scene = Scene()
    assert scene.web.asked == []
    assert scene.has("one") is None

    assert await scene.keys.look_up("one")
    assert scene.has("one")
    assert scene.web.asked == [DISCOVERY, JWKS]
    assert scene.told.of(IssuerKeysFetched) == [IssuerKeysFetched(ISSUER, 1, ("one",), (), HOUR)]


async def test_a_jwks_url_goes_without_discovery() -> None:
    scene = Scene(jwks_url=JWKS)
    assert await scene.keys.look_up("one")
    assert scene.web.asked == [JWKS]


async def test_a_hundred_who_ask_at_once_are_one_question() -> None:
    scene = Scene()
    scene.web.gate = asyncio.Event()
    async with children() as group:
        asking = [group.create_task(scene.verifier.verify(a_token())) for _ in range(100)]
        await settle()
        scene.web.gate.set()
    assert all(task.result().claims["sub"] == "alice" for task in asking)
    assert scene.web.readings == 1


async def test_who_goes_away_while_asking_leaves_the_question_to_the_next() -> None:
    scene = Scene()
    scene.web.gate = asyncio.Event()
    async with children() as group:
        first, second = (group.create_task(scene.keys.look_up("one")) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        scene.web.gate.set()
    assert second.result()


# rotation


async def test_a_key_that_is_new_is_there_with_the_first_token_that_it_has_signed() -> None:
    scene = Scene()
    await scene.keys.look_up("one")
    scene.web.show(a_jwk("one"), a_jwk("next"))

    assert scene.verifier.ready(a_token(kid="next")) is None
    assert (await scene.verifier.verify(a_token(kid="next"))).claims["sub"] == "alice"
    assert scene.verifier.ready(a_token(kid="next"))
    assert scene.told.of(IssuerKeysFetched)[-1].came == ("next",)


async def test_a_key_that_is_withdrawn_verifies_nothing_once_that_is_read() -> None:
    scene = Scene()
    await scene.keys.look_up("one")
    scene.web.show(a_jwk("next"))
    await scene.keys.look_up("next")

    with pytest.raises(TokenRejected) as caught:
        await scene.verifier.verify(a_token())
    assert caught.value.reason == "unknown_key"
    assert ("one",) in [event.went for event in scene.told.of(IssuerKeysFetched)]


async def test_ten_thousand_unknown_kids_are_five_questions_and_one_more_every_ten_seconds() -> None:
    scene = Scene()
    await scene.keys.look_up("one")
    for number in range(10_000):
        with pytest.raises(TokenRejected) as caught:
            await scene.verifier.verify(a_token(kid=f"made-up-{number}") if number < 20 else UNKNOWN)
        assert caught.value.reason == "unknown_key"
        if number % 1000 == 0:
            assert scene.verifier.ready(a_token()), "known keys go on verifying"
    assert scene.web.readings == 5

    await scene.clock.advance(timedelta(seconds=9))
    assert scene.has("made-up") is False
    await scene.clock.advance(timedelta(seconds=1))
    assert scene.has("made-up") is None
    scene.web.show(a_jwk("one"), a_jwk("next"))
    assert await scene.keys.look_up("next"), "nor does a true one stay unknown for long"
    assert scene.web.readings == 6
    await scene.clock.advance(HOUR)
    for number in range(20):
        await scene.keys.look_up(f"made-up-{number}")
    assert scene.web.readings == 11, "who waits saves up five, and no more"


UNKNOWN = a_token(kid="made-up")


async def test_unknown_kids_that_come_while_an_issuer_is_slow_wait_in_bounds() -> None:
    scene = Scene()
    await scene.keys.look_up("one")
    scene.web.gate = asyncio.Event()
    async with children() as group:
        waiting = [group.create_task(scene.keys.look_up(f"made-up-{number}")) for number in range(200)]
        await settle()
        with pytest.raises(IssuerUnreadable, match="too many wait"):
            await scene.keys.look_up("one-more")
        assert scene.verifier.ready(a_token()), "known keys do not wait"
        scene.web.gate.set()
    assert not any(task.result() for task in waiting)
    assert scene.web.readings == 2


# how long keys are kept


@pytest.mark.parametrize(
    ("cache_control", "age", "kept"),
    [
        ("", 0, HOUR),
        ("public", 0, HOUR),
        ("public, max-age=1800", 0, 30 * MINUTE),
        ("max-age=1800", 600, 20 * MINUTE),
        ('MAX-AGE="1800"', 0, 30 * MINUTE),
        ("max-age=1", 0, 5 * MINUTE),
        ("max-age=1800", 99_999, 5 * MINUTE),
        ("max-age=0", 0, 5 * MINUTE),
        ("max-age=99999999", 0, 24 * HOUR),
        ("no-store", 0, 5 * MINUTE),
        ("no-cache, max-age=1800", 0, 5 * MINUTE),
        ("s-maxage=1800", 0, HOUR),
        ("max-age=soon", 0, HOUR),
        ("max-age=9999999999999999999999", 0, HOUR),
    ],
)
async def test_what_an_issuer_says_of_how_long_is_heeded_within_bounds(
    cache_control: str, age: int, kept: timedelta
) -> None:
    scene = Scene(FakeWeb(cache_control=cache_control, age=age))
    await scene.keys.look_up("one")
    assert scene.told.of(IssuerKeysFetched)[-1].fresh_for == kept


async def test_keys_are_read_again_before_they_are_too_old_without_anybody_asking() -> None:
    scene = Scene(FakeWeb(cache_control="max-age=1800"))
    async with children() as group:
        keeping = group.create_task(scene.keys.keep_fresh())
        await settle()
        assert scene.has("one"), "the first reading waits for nobody"
        scene.web.show(a_jwk("one"), a_jwk("next"))
        await scene.clock.advance(timedelta(minutes=29))
        assert scene.web.readings == 1
        await scene.clock.advance(timedelta(minutes=2))
        assert scene.web.readings == 2
        assert scene.has("next")
        keeping.cancel()


# issuers that fail


async def test_keys_that_are_held_are_used_for_a_day_while_their_issuer_is_away() -> None:
    scene = Scene()
    async with children() as group:
        keeping = group.create_task(scene.keys.keep_fresh())
        await settle()
        scene.web.fail()
        await scene.clock.advance(HOUR + 23 * HOUR)
        assert scene.has("one")
        await scene.clock.advance(HOUR + 20 * MINUTE)
        assert scene.has("one") is None
        with pytest.raises(IssuerUnreadable, match="the site is away"):
            await scene.keys.look_up("one")
        scene.web.show(a_jwk())
        await scene.clock.advance(6 * MINUTE)
        assert scene.has("one"), "and back they are, a few minutes later at most"
        keeping.cancel()
    stuck = scene.told.of(IssuerKeysStuck)
    assert stuck[0].good_for == 24 * HOUR
    assert stuck[-1].good_for is None
    assert 90 <= len(stuck) <= 102, "told when it begins, and every quarter of an hour"


async def test_somebody_who_has_mended_it_need_not_wait() -> None:
    scene = Scene()
    scene.web.fail()
    async with children() as group:
        keeping = group.create_task(scene.keys.keep_fresh())
        await scene.clock.advance(HOUR)
        assert scene.has("one") is None
        tried = scene.web.readings
        scene.web.show(a_jwk())
        scene.keys.retry_now()
        await settle()
        assert scene.has("one")
        scene.keys.retry_now()
        await settle()
        assert scene.web.readings == tried + 1, "what is well is left alone"
        keeping.cancel()


async def test_an_issuer_that_was_never_reached_is_asked_no_oftener_for_being_wanted() -> None:
    scene = Scene()
    scene.web.fail()
    for _ in range(100):
        with pytest.raises(IssuerUnreadable, match="the site is away"):
            await scene.verifier.verify(a_token())
    assert scene.web.readings == 5
    assert len(scene.told.of(IssuerKeysStuck)) == 1


async def test_errors_do_not_grow_with_each_one_who_is_told() -> None:
    scene = Scene()
    scene.web.fail()
    errors = []
    for _ in range(10):
        with pytest.raises(IssuerUnreadable) as caught:
            await scene.keys.look_up("one")
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 10


@pytest.mark.parametrize(
    ("at", "document", "sentence"),
    [
        (JWKS, b"<html>", "is no JSON"),
        (JWKS, b"[" * 5000, "is no JSON"),
        (JWKS, b"\xff\xfe", "is no JSON"),
        (JWKS, {"keys": []}, "none of the 0 keys"),
        (JWKS, {"error": "gone"}, "no set of at most"),
        (DISCOVERY, b"", "is no JSON"),
        (DISCOVERY, [], "not the discovery document of that issuer"),
        (DISCOVERY, {"issuer": f"{ISSUER}/", "jwks_uri": JWKS}, "not the discovery document of that issuer"),
        (DISCOVERY, {"issuer": "https://evil.example.com", "jwks_uri": JWKS}, "not the discovery document"),
        (DISCOVERY, {"issuer": ISSUER}, "names no https address"),
        (DISCOVERY, {"issuer": ISSUER, "jwks_uri": "http://login.example.com/keys"}, "names no https address"),
        (DISCOVERY, {"issuer": ISSUER, "jwks_uri": "http://127.0.0.1/keys"}, "names no https address"),
        (DISCOVERY, {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}, "names no https address"),
        (DISCOVERY, {"issuer": ISSUER, "jwks_uri": "https://a\n.example.com"}, "names no https address"),
        (DISCOVERY, {"issuer": ISSUER, "jwks_uri": [JWKS]}, "names no https address"),
    ],
)
async def test_garbage_is_told_for_what_it_is_and_takes_no_key_away(at: str, document: object, sentence: str) -> None:
    scene = Scene()
    await scene.keys.look_up("one")
    scene.web.documents[at] = document

    assert not await scene.keys.look_up("next")
    assert scene.has("one")
    error = scene.told.of(IssuerKeysStuck)[-1].error
    assert sentence in error.what
    assert error.hint

    fresh = Scene()
    fresh.web.documents[at] = document
    with pytest.raises(IssuerUnreadable, match=sentence):
        await fresh.keys.look_up("one")


def test_no_more_is_read_than_any_issuer_shows() -> None:
    assert LONGEST < 512 * 1024
