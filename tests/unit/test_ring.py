"""The ring: which key signs, which are shown, until when; every step, and every step that there is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.errors import ConfigurationError
from agent.ring import (
    AFTERWARDS,
    LEAST_ANNOUNCED,
    LEAST_KEPT,
    LONGEST_BLINK,
    Forgotten,
    Held,
    Member,
    Order,
    Prospect,
    Ring,
    Rules,
    least_kept,
    prospect,
)
from tests.fakes.memory_key import MemoryKey

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RULES = Rules()
FIRST, SECOND, THIRD = (MemoryKey().public for _ in range(3))
OURS, THEIRS = Held("pem", "a.pem", ours=True), Held("hsm", "label", ours=False)


def founded(held: Held = OURS) -> Ring:
    return Ring.founded(FIRST, held, NOW)


def announced(ordered: Order | None = None) -> Ring:
    return replace(founded().announce(SECOND, OURS, NOW), ordered=ordered)


def seen(ring: Ring, span: timedelta) -> Ring:
    """A ring all of whose keys have been seen for so long."""
    kids = {key.kid for key in ring.shown}
    ring = ring.looked(kids, None)
    for _ in range(span // timedelta(minutes=15)):
        ring = ring.passed(timedelta(minutes=15)).looked(kids, timedelta(minutes=15))
    return ring


def promoted() -> Ring:
    return seen(announced("rotate"), DAY).promote(SECOND.kid, RULES, LATER)


def states(ring: Ring) -> list[tuple[str, str]]:
    return [(member.public.kid, member.state) for member in ring.members]


# --- what every ring is


@pytest.mark.parametrize(
    ("announce", "keep"),
    [(LEAST_ANNOUNCED - timedelta(seconds=1), 24 * HOUR), (24 * HOUR, LEAST_KEPT - timedelta(seconds=1))],
)
def test_rules_that_would_break_tokens_are_refused(announce: timedelta, keep: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="2:15:00 before it signs, and shown for 3:05:00 afterwards"):
        Rules(announce=announce, keep=keep)
    assert Rules(announce=LEAST_ANNOUNCED, keep=LEAST_KEPT).every == timedelta(days=90)


def test_the_longer_tokens_live_the_longer_their_key_has_to_be_shown() -> None:
    with pytest.raises(ConfigurationError, match="shown for 1 day, 2:05:00 afterwards"):
        Rules(longest=DAY)
    assert Rules(longest=DAY, keep=DAY + AFTERWARDS).keep == least_kept(DAY) == timedelta(hours=26, minutes=5)
    assert least_kept(timedelta(minutes=5)) == LEAST_KEPT


@pytest.mark.parametrize(
    ("members", "forgotten"),
    [
        ((), ()),
        ((Member(FIRST, OURS, "retired", NOW),), ()),
        ((Member(FIRST, OURS, "signing", NOW), Member(SECOND, OURS, "signing", NOW)), ()),
        (
            (
                Member(FIRST, OURS, "signing", NOW),
                Member(SECOND, OURS, "announced", NOW),
                Member(THIRD, OURS, "announced", NOW),
            ),
            (),
        ),
        ((Member(FIRST, OURS, "signing", NOW), Member(FIRST, OURS, "retired", NOW)), ()),
        ((Member(FIRST, OURS, "signing", NOW),), (Forgotten(FIRST.kid, OURS, shown=True),)),
        ((Member(FIRST, OURS, "signing", NOW),), (Forgotten(SECOND.kid, THEIRS, shown=True),)),
    ],
    ids=["none", "none signs", "two sign", "two announced", "one twice", "one forgotten too", "others' to destroy"],
)
def test_what_is_no_ring_cannot_be(members: tuple[Member, ...], forgotten: tuple[Forgotten, ...]) -> None:
    with pytest.raises(ValueError, match="key"):
        Ring(members, forgotten)


def test_the_first_key_signs_since_there_is_no_other() -> None:
    ring = founded()
    assert states(ring) == [(FIRST.kid, "signing")]
    assert (ring.announced, ring.retired, ring.withdrawn, ring.shown) == (None, (), (), (FIRST,))


# --- time


def test_time_counts_for_the_key_that_signs_and_for_those_that_did_and_not_for_one_on_its_way() -> None:
    ring = promoted().announce(THIRD, OURS, LATER).passed(HOUR)
    assert [member.counted for member in ring.members] == [HOUR, HOUR, timedelta(0)]


def test_looking_counts_for_the_key_on_its_way_alone() -> None:
    ring = promoted().announce(THIRD, OURS, LATER)
    kids = {key.kid for key in ring.shown}
    ring = ring.looked(kids, None).looked(kids, HOUR)
    assert [member.counted for member in ring.members] == [timedelta(0), timedelta(0), HOUR]
    assert all(member.seen for member in ring.members)


def test_the_first_look_that_shows_a_key_counts_nothing() -> None:
    ring = announced().looked({SECOND.kid}, HOUR)
    assert ring.announced is not None
    assert (ring.announced.seen, ring.announced.counted) == (True, timedelta(0))


@pytest.mark.parametrize(
    ("since", "counts"), [(HOUR / 2, HOUR / 2), (HOUR, HOUR), (30 * DAY, LONGEST_BLINK), (None, timedelta(0))]
)
def test_a_long_time_without_a_look_counts_in_part_and_an_unknown_one_not_at_all(
    since: timedelta | None, counts: timedelta
) -> None:
    ring = announced().looked({SECOND.kid}, None).looked({SECOND.kid}, since)
    assert ring.announced is not None
    assert ring.announced.counted == counts


def test_a_look_that_misses_the_key_begins_its_time_anew() -> None:
    ring = seen(announced(), 23 * HOUR).looked({FIRST.kid}, HOUR)
    assert ring.announced is not None
    assert (ring.announced.seen, ring.announced.counted) == (False, timedelta(0))
    ring = ring.looked({SECOND.kid}, HOUR)
    assert ring.announced is not None
    assert ring.announced.counted == timedelta(0)


# --- announcing


def test_a_key_is_due_when_its_time_has_come_or_somebody_says_so() -> None:
    ring = founded()
    assert not ring.passed(90 * DAY - HOUR).due(RULES)
    assert ring.passed(90 * DAY).due(RULES)
    assert not ring.passed(9000 * DAY).due(replace(RULES, every=None))
    assert ring.order("rotate").due(replace(RULES, every=None))
    assert ring.order("emergency").due(RULES)
    assert not announced("rotate").passed(90 * DAY).due(RULES)


def test_one_key_is_on_its_way_at_a_time_and_none_comes_twice() -> None:
    ring = announced()
    assert states(ring) == [(FIRST.kid, "signing"), (SECOND.kid, "announced")]
    with pytest.raises(ConfigurationError, match="is announced and has not signed yet") as raised:
        ring.announce(THIRD, OURS, NOW)
    assert "rolecall keys retire" in raised.value.hint
    for known in (founded(), ring.take_back(SECOND.kid)):
        with pytest.raises(ConfigurationError, match="is in use already, or has been"):
            known.announce(SECOND if known.forgotten else FIRST, OURS, NOW)


# --- promoting


def test_a_key_signs_once_it_was_seen_for_long_enough_and_is_seen_now() -> None:
    ring = seen(announced("rotate"), DAY - timedelta(minutes=15))
    assert ring.ripe(RULES) is None
    with pytest.raises(ConfigurationError, match="none that the world has seen for long enough"):
        ring.promote(SECOND.kid, RULES, LATER)
    ring = ring.looked({SECOND.kid}, timedelta(minutes=15))
    assert ring.ripe(RULES) == ring.announced
    after = ring.promote(SECOND.kid, RULES, LATER)
    assert states(after) == [(FIRST.kid, "retired"), (SECOND.kid, "signing")]
    assert [(member.since, member.counted) for member in after.members] == [(LATER, timedelta(0))] * 2
    assert after.ordered is None


def test_only_the_key_that_was_meant_comes_to_sign() -> None:
    with pytest.raises(ConfigurationError):
        seen(announced(), DAY).promote(THIRD.kid, RULES, LATER)
    with pytest.raises(ConfigurationError):
        founded().promote(FIRST.kid, RULES, LATER)


def test_in_an_emergency_nothing_is_promoted_as_if_there_were_none() -> None:
    ring = seen(announced("emergency"), 2 * DAY)
    assert ring.ripe(RULES) is None
    with pytest.raises(ConfigurationError):
        ring.promote(SECOND.kid, RULES, LATER)


# --- forgetting


def test_a_retired_key_is_kept_for_its_time_and_then_withdrawn_and_destroyed() -> None:
    ring = promoted().passed(DAY - timedelta(seconds=1))
    assert ring.forget(RULES) == ring
    ring = ring.passed(timedelta(seconds=1)).forget(RULES)
    assert states(ring) == [(SECOND.kid, "signing")]
    assert ring.forgotten == (Forgotten(FIRST.kid, OURS, shown=True),)
    assert ring.withdrawn == (FIRST.kid,)
    assert ring.destroyed(FIRST.kid).forgotten == (Forgotten(FIRST.kid, None, shown=True),)
    assert ring.looked({SECOND.kid, FIRST.kid}, HOUR).withdrawn == (FIRST.kid,)
    assert ring.looked({SECOND.kid}, HOUR).forgotten == (Forgotten(FIRST.kid, OURS, shown=False),)
    assert ring.looked({SECOND.kid}, HOUR).destroyed(FIRST.kid).forgotten == ()
    assert ring.destroyed(FIRST.kid).looked({SECOND.kid}, HOUR).forgotten == ()


def test_a_key_that_is_not_ours_is_withdrawn_and_never_to_be_destroyed() -> None:
    ring = seen(founded(THEIRS).announce(SECOND, OURS, NOW), DAY).promote(SECOND.kid, RULES, LATER)
    assert ring.passed(DAY).forget(RULES).forgotten == (Forgotten(FIRST.kid, None, shown=True),)


# --- emergencies


def test_in_an_emergency_the_announced_key_takes_over_and_the_stolen_one_goes() -> None:
    ring = announced("emergency").replace_at_once(SECOND.kid, LATER)
    assert states(ring) == [(SECOND.kid, "signing")]
    assert (ring.withdrawn, ring.ordered) == ((FIRST.kid,), None)


def test_keys_that_were_retired_before_an_emergency_stay() -> None:
    ring = promoted().order("emergency").announce(THIRD, OURS, LATER).replace_at_once(THIRD.kid, LATER)
    assert states(ring) == [(FIRST.kid, "retired"), (THIRD.kid, "signing")]


@pytest.mark.parametrize("ordered", [None, "rotate"])
def test_without_an_emergency_no_key_takes_over_at_once(ordered: Order | None) -> None:
    with pytest.raises(ConfigurationError, match="cannot take over at once"):
        announced(ordered).replace_at_once(SECOND.kid, LATER)


@pytest.mark.parametrize("kid", [FIRST.kid, THIRD.kid], ids=["first", "third"])
def test_in_an_emergency_only_the_key_that_was_meant_takes_over(kid: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot take over at once"):
        announced("emergency").replace_at_once(kid, LATER)


# --- orders


def test_an_emergency_stays_one_whatever_else_is_ordered() -> None:
    assert founded().order("rotate").ordered == "rotate"
    assert founded().order("rotate").order("emergency").ordered == "emergency"
    assert founded().order("emergency").order("rotate").ordered == "emergency"


def test_an_emergency_about_the_key_that_signs_is_one() -> None:
    ring = announced().order("emergency", FIRST.kid)
    assert ring.ordered == "emergency"
    assert ring.members == announced().members


def test_a_stolen_key_that_has_signed_last_meanwhile_goes_at_once_and_its_successor_stays() -> None:
    ring = promoted().order("emergency", FIRST.kid)
    assert ring.shown == (SECOND,)
    assert ring.signing.public == SECOND
    assert [key.kid for key in ring.forgotten] == [FIRST.kid]
    assert ring.ordered is None


def test_a_stolen_key_that_is_announced_goes_at_once_and_another_is_still_wanted() -> None:
    ring = announced("rotate").order("emergency", SECOND.kid)
    assert ring.shown == (FIRST,)
    assert ring.due(RULES)


def test_an_emergency_about_a_key_that_is_gone_changes_nothing() -> None:
    with pytest.raises(ConfigurationError, match=f"the key {THIRD.kid} is not in the ring any more"):
        promoted().order("emergency", THIRD.kid)


def test_with_a_key_on_its_way_goes_the_order_to_have_one_but_no_emergency() -> None:
    ring = announced("rotate").take_back(SECOND.kid)
    assert (states(ring), ring.withdrawn, ring.ordered) == ([(FIRST.kid, "signing")], (SECOND.kid,), None)
    assert announced("emergency").take_back(SECOND.kid).ordered == "emergency"


@pytest.mark.parametrize("ordered", ["rotate", "emergency"])
def test_with_a_retired_key_goes_no_order(ordered: Order) -> None:
    ring = promoted().passed(LEAST_KEPT).order(ordered).take_back(FIRST.kid)
    assert (states(ring), ring.ordered) == ([(SECOND.kid, "signing")], ordered)


def test_what_must_not_go_cannot_be_taken_back() -> None:
    with pytest.raises(ConfigurationError, match="is the one that signs"):
        founded().take_back(FIRST.kid)
    with pytest.raises(ConfigurationError, match="there is no key nobody in the ring"):
        founded().take_back("nobody")
    with pytest.raises(ConfigurationError, match="may still be in use for 0:00:01"):
        promoted().passed(LEAST_KEPT - timedelta(seconds=1)).take_back(FIRST.kid)


# --- how long tokens live


LONG = replace(RULES, longest=DAY, keep=30 * HOUR)


def test_a_key_that_has_signed_long_tokens_stays_as_long_where_shorter_ones_are_signed_by_now() -> None:
    ring = seen(announced().signs_tokens(DAY), DAY).promote(SECOND.kid, RULES, LATER)
    short = replace(RULES, keep=LEAST_KEPT)
    assert (ring.members[0].longest, ring.signing.longest) == (DAY, HOUR)
    assert prospect(ring, ring.members[0], short) == Prospect("leaves", least_kept(DAY))

    nearly = ring.passed(least_kept(DAY) - timedelta(seconds=1))
    assert nearly.forget(short) == nearly
    assert nearly.over(short) == ()
    with pytest.raises(ConfigurationError, match="may still be in use for 0:00:01"):
        nearly.take_back(FIRST.kid)
    assert states(ring.passed(least_kept(DAY)).forget(short)) == [(SECOND.kid, "signing")]


def test_a_key_that_is_retired_when_tokens_become_longer_has_signed_none_of_them() -> None:
    ring = promoted().signs_tokens(DAY)
    assert [member.longest for member in ring.members] == [HOUR, DAY]
    assert states(ring.passed(LEAST_KEPT).take_back(FIRST.kid)) == [(SECOND.kid, "signing")]


def test_a_key_signs_as_the_rules_say_from_its_first_token_on() -> None:
    ring = seen(announced("rotate"), DAY).promote(SECOND.kid, LONG, LATER)
    assert [member.longest for member in ring.members] == [HOUR, DAY]
    assert ring.signs_tokens(HOUR) == ring


# --- what is next


def test_what_is_next_for_a_key_is_told_in_words_and_in_how_long() -> None:
    ring = founded().passed(10 * DAY)
    assert prospect(ring, ring.signing, RULES) == Prospect("its successor is made", 80 * DAY)
    never = replace(RULES, every=None)
    assert prospect(ring, ring.signing, never) == Prospect("signs until it is told otherwise", None)
    ordered = ring.order("rotate")
    assert prospect(ordered, ordered.signing, never) == Prospect("its successor is made", timedelta(0))

    ring = announced()
    assert ring.announced is not None
    assert prospect(ring, ring.announced, RULES) == Prospect("signs, once it is seen", None)
    assert prospect(ring, ring.signing, RULES) == Prospect("is retired, once its successor signs", None)
    ring = seen(ring, 20 * HOUR)
    assert ring.announced is not None
    assert prospect(ring, ring.announced, RULES) == Prospect("signs", 4 * HOUR)
    assert prospect(ring, ring.signing, RULES) == Prospect("is retired, once its successor signs", 4 * HOUR)

    ring = promoted().passed(20 * HOUR)
    assert prospect(ring, ring.retired[0], RULES) == Prospect("leaves", 4 * HOUR)
    ring = ring.passed(20 * HOUR)
    assert prospect(ring, ring.retired[0], RULES) == Prospect("leaves", timedelta(0))
