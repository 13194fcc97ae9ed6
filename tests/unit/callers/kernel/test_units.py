"""Is the path of a control group read as systemd reads it, and are names that users choose never taken for units?"""

import pytest

from agent.callers import Facts
from agent.callers.kernel.units import NOWHERE, Patterns, Place, facts, place

ID = "0123456789abcdef" * 4
MANAGER = "/user.slice/user-1000.slice/user@1000.service"
OF_MANAGER = Place(("user.slice", "user-1000.slice"), "user@1000.service")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/system.slice/backup.service", Place(("system.slice",), "backup.service")),
        ("/init.scope", Place((), "init.scope")),
        (
            "/system.slice/system-backup.slice/backup@daily.service",
            Place(("system.slice", "system-backup.slice"), "backup@daily.service"),
        ),
        ("/system.slice/sshd.socket", Place(("system.slice",), "sshd.socket")),
        ("/system.slice/var-lib.mount", Place(("system.slice",), "var-lib.mount")),
        ("/system.slice/dev-sda2.swap", Place(("system.slice",), "dev-sda2.swap")),
        ("/system.slice/a\\x2db@c\\x2fd.service", Place(("system.slice",), "a\\x2db@c\\x2fd.service")),
        ("/system.slice/a@b@c.service", Place(("system.slice",), "a@b@c.service")),
        ("/system.slice/_cpu.service", Place(("system.slice",), "cpu.service")),
        ("/system.slice/__hidden.service", Place(("system.slice",), "_hidden.service")),
        ("/_memory.slice/_cgroup.service", Place(("memory.slice",), "cgroup.service")),
        (
            "/user.slice/user-1000.slice/session-3.scope",
            Place(("user.slice", "user-1000.slice"), "session-3.scope"),
        ),
    ],
)
def test_the_unit_comes_after_the_slices(path: str, expected: Place) -> None:
    assert place(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/system.slice/backup.service/web.service",
        "/system.slice/backup.service/system.slice/web.service",
        "/system.slice/backup.service/user@1000.service/web.service",
        f"/system.slice/backup.service/docker-{ID}.scope",
        f"/system.slice/backup.service/libpod-payload-{ID}",
        "/system.slice/backup.service/",
    ],
)
def test_below_a_unit_nothing_else_counts(path: str) -> None:
    assert place(path) == Place(("system.slice",), "backup.service")


@pytest.mark.parametrize(
    ("below", "unit"),
    [
        ("/app.slice/web.service", "web.service"),
        ("/app.slice/app-foot.slice/foot@1.scope", "foot@1.scope"),
        ("/init.scope", "init.scope"),
        ("/backup.service", "backup.service"),
        ("/app.slice/web.service/backup.service", "web.service"),
        ("/system.slice/backup.service", "backup.service"),
        ("/user.slice/user-0.slice/user@0.service/backup.service", "user@0.service"),
        (f"/user.slice/libpod-{ID}.scope/container", f"libpod-{ID}.scope"),
        ("", ""),
        ("/app.slice", ""),
        ("/no unit/backup.service", ""),
    ],
)
def test_what_a_user_makes_is_a_unit_of_that_user(below: str, unit: str) -> None:
    assert place(MANAGER + below) == Place(OF_MANAGER.slices, OF_MANAGER.unit, user_unit=unit)


@pytest.mark.parametrize("other", ["user@alice.service", "user@.service", "capsule@1000.service", "user@1000.scope"])
def test_only_the_manager_of_a_user_by_number_has_units_of_its_own(other: str) -> None:
    assert not place(f"/user.slice/{other}/app.slice/web.service").user_unit


def test_a_session_has_no_units_of_its_own() -> None:
    assert not place("/user.slice/user-1000.slice/session-3.scope/web.service").user_unit


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/payload",
        "/system.slice",
        "/system.slice/",
        "/system.slice/payload/backup.service",
        "/.service",
        "/@.service",
        "/@daily.service",
        "/backup@.service",
        "/back up.service",
        "/backup.service\n",
        "/bäckup.service",
        "/backup.timer",
        "/backup.target",
        "/backup.device",
        "/backup.services",
        "/backup",
        "/" + "a" * 248 + ".service",
    ],
)
def test_what_is_no_unit_is_none(path: str) -> None:
    assert not place(path).unit


def test_the_longest_name_is_one() -> None:
    name = "a" * 247 + ".service"
    assert place("/" + name).unit == name


@pytest.mark.parametrize(
    "odd", ["/@.slice/a.service", "/a@b.slice/a.service", "/.slice/a.service", "/ä.slice/a.service"]
)
def test_what_is_no_slice_hides_what_is_below(odd: str) -> None:
    assert place(odd) == NOWHERE


@pytest.mark.parametrize("engine", ["docker", "libpod", "cri-containerd", "crio"])
def test_a_scope_that_an_engine_had_made_is_a_container(engine: str) -> None:
    unit = f"{engine}-{ID}.scope"
    assert place(f"/machine.slice/{unit}/container/init.scope") == Place(("machine.slice",), unit, container=ID)


@pytest.mark.parametrize(
    "path",
    [
        f"/docker/{ID}",
        f"/docker/{ID}/init",
        f"/libpod_parent/libpod-{ID}",
        f"/kubepods/pod0b1c2d3e-0b1c-2d3e-4f50-0123456789ab/{ID}",
        f"/kubepods/burstable/pod0b1c2d3e-0b1c-2d3e-4f50-0123456789ab/{ID}",
        f"/kubepods/besteffort/pod0123456789abcdef0123456789abcdef/{ID}/nested",
    ],
)
def test_a_group_that_an_engine_made_itself_is_a_container(path: str) -> None:
    assert place(path) == Place(container=ID)


@pytest.mark.parametrize(
    "path",
    [
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/machine.slice/docker-{ID[:-1]}.scope",
        f"/machine.slice/docker-{ID}0.scope",
        f"/machine.slice/docker-{ID.upper()}.scope",
        f"/machine.slice/docker-{ID}.service",
        f"/system.slice/docker/{ID}",
        f"/payload/docker/{ID}",
        f"/docker/{ID}0",
        f"/kubepods/other/pod0b1c2d3e-0b1c-2d3e-4f50-0123456789ab/{ID}",
        f"/kubepods/pod/{ID}",
        f"{MANAGER}/user.slice/docker-{ID}.scope",
        f"{MANAGER}/docker/{ID}",
    ],
)
def test_what_a_user_could_make_or_only_looks_like_it_is_no_container(path: str) -> None:
    assert not place(path).container


def test_facts_name_all_that_is_known_of_a_unit_of_the_system() -> None:
    patterns = Patterns(units=("backup@*", "web.service", "*.service"), user_units=("*",))
    assert facts("/system.slice/system-backup.slice/backup@daily.service", patterns) == {
        ("systemd.slice", "system.slice"),
        ("systemd.slice", "system-backup.slice"),
        ("systemd.unit", "backup@daily.service"),
        ("systemd.instance", "daily"),
        ("systemd.unit.like", "backup@*"),
        ("systemd.unit.like", "*.service"),
    }


def test_facts_name_all_that_is_known_of_a_unit_of_a_user() -> None:
    patterns = Patterns(units=("web.*",), user_units=("web.*", "other.*"))
    assert facts(f"{MANAGER}/app.slice/web.service", patterns) == {
        ("systemd.slice", "user.slice"),
        ("systemd.slice", "user-1000.slice"),
        ("systemd.unit", "user@1000.service"),
        ("systemd.instance", "1000"),
        ("systemd.user_unit", "web.service"),
        ("systemd.user_unit.like", "web.*"),
    }


def test_facts_name_a_container() -> None:
    assert facts(f"/docker/{ID}", Patterns()) == {("container.id", ID)}


@pytest.mark.parametrize("path", ["", "/", "/payload/backup.service"])
def test_of_what_is_no_unit_there_are_no_facts(path: str) -> None:
    nothing: Facts = frozenset()
    assert facts(path, Patterns(units=("*",), user_units=("*",))) == nothing
