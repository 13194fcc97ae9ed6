"""Can a user make a control group by which he is taken for another unit? Never, whatever it is called."""

from hypothesis import given
from hypothesis import strategies as some

from agent.callers.kernel.units import Patterns, facts, place

STEPS = some.one_of(
    some.sampled_from(
        [
            "system.slice",
            "user.slice",
            "user-0.slice",
            "user@0.service",
            "user@1001.service",
            "backup.service",
            "init.scope",
            "session-1.scope",
            "docker",
            "kubepods",
            "libpod_parent",
            "machine.slice",
            "docker-" + "a" * 64 + ".scope",
            "libpod-" + "a" * 64,
            "a" * 64,
            "_cpu.service",
            "..",
            ".",
        ]
    ),
    some.text(some.characters(exclude_characters="/\0"), min_size=1, max_size=20),
)
BELOW = some.lists(STEPS, max_size=6).map(lambda steps: "".join(f"/{step}" for step in steps))
OWN = some.sampled_from(
    [
        "/user.slice/user-1000.slice/user@1000.service",
        "/system.slice/web.service",
        "/system.slice/system-web.slice/web@1.service",
        "/user.slice/user-1000.slice/session-3.scope",
    ]
)
EVERYTHING = Patterns(units=("*",), user_units=("*",))


@given(OWN, BELOW)
def test_nothing_below_a_unit_is_another_unit_slice_or_container(own: str, below: str) -> None:
    theirs, made = place(own), place(own + below)
    assert (made.slices, made.unit, made.container) == (theirs.slices, theirs.unit, "")
    assert not made.user_unit or theirs.unit == "user@1000.service"


@given(OWN, BELOW)
def test_a_user_can_only_add_units_of_his_own(own: str, below: str) -> None:
    added = facts(own + below, EVERYTHING) - facts(own, EVERYTHING)
    assert {name for name, _ in added} <= {"systemd.user_unit", "systemd.user_unit.like"}


@given(BELOW)
def test_a_unit_is_always_a_step_of_its_path(path: str) -> None:
    found = place(path)
    steps = path.split("/")
    for name in filter(None, (*found.slices, found.unit, found.user_unit)):
        assert name in steps or f"_{name}" in steps
