"""Does every secret last exactly as long as it should, however time is counted out?"""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as some

from agent.callers.unit_tokens.generations import Generation, Generations, left

DAY = timedelta(days=1)
OVERLAP = 90 * DAY


def generation(number: int) -> Generation:
    return Generation(f"{number:08x}", bytes([number % 256]) * 32)


def test_the_newest_never_ends() -> None:
    aged = Generations(generation(1)).passed(10_000 * DAY).without_ended(OVERLAP)
    assert (aged.newest.id, aged.newest.age) == ("00000001", 10_000 * DAY)
    assert left(aged.newest, OVERLAP) is None


def test_what_is_superseded_lasts_for_the_overlap_and_not_longer() -> None:
    both = Generations(generation(1)).passed(30 * DAY).followed_by(generation(2))
    assert left(both.earlier[0], OVERLAP) == OVERLAP
    nearly = both.passed(OVERLAP - timedelta(seconds=1)).without_ended(OVERLAP)
    assert [one.id for one in nearly.all] == ["00000002", "00000001"]
    assert [one.id for one in nearly.passed(timedelta(seconds=1)).without_ended(OVERLAP).all] == ["00000002"]


def test_no_secret_is_shown() -> None:
    assert "1111" not in repr(Generations(Generation("a", b"1" * 32)))


@given(steps=some.lists(some.tuples(some.floats(0, 40), some.booleans()), max_size=40))
def test_each_is_good_from_its_making_until_the_overlap_after_the_next(steps: list[tuple[float, bool]]) -> None:
    held, now, made, ends = Generations(generation(0)), 0.0, 0, {0: float("inf")}
    for days, turn in steps:
        held, now = held.passed(days * DAY), now + days
        held = held.without_ended(OVERLAP)
        if turn:
            ends[made] = now + 90
            made += 1
            ends[made] = float("inf")
            held = held.followed_by(generation(made))
        good = {int(one.id, 16) for one in held.all}
        sure = {number for number, end in ends.items() if end > now + 1e-6}
        maybe = {number for number, end in ends.items() if end > now - 1e-6}
        assert sure <= good <= maybe
        assert int(held.newest.id, 16) == made
