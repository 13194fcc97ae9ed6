import os
from pathlib import Path

from agent.assembly.doctor_callers import callers_link
from agent.doctor import Tried
from agent.settings import Settings, load
from tests.fakes.written import write_configuration

FILES = frozenset({"backup.service", "web@.service", "user@.service", "odd@one.service"})


def settings(home: Path, grants: str, more: str = "") -> Settings:
    config = write_configuration(home).config
    before, _, after = config.read_text().partition("[[grants]]")
    config.write_text(f"{before}{grants}\n{after[after.index('[listen]') :]}\n{more}")
    return load(config, environ={}, host="host")


async def link(home: Path, grant: str, more: str = "", answer: dict[str, object] | None = None) -> Tried:
    units = home / "units"
    units.mkdir(exist_ok=True)
    for name in FILES:
        (units / name).touch()
    written = f'[[grants]]\nroles = ["backup", "reports"]\n{grant}'
    return await callers_link(settings(home, written, more), answer, home / "etc-environment", [units, home / "none"])


def absent(tried: Tried) -> list[str]:
    return [one.what.partition(",")[0] for one in tried.findings if ": no " in one.what]


async def test_everybody_who_is_not_there_is_named_with_the_setting(tmp_path: Path) -> None:
    users, groups = 'user = ["root", "nosuch-alice", "4294967290"]', 'group = ["root", "nosuch-ops"]'
    grant = f'{users}\n{groups}\nunit = ["backup.service", "a.service"]'
    assert absent(await link(tmp_path, grant)) == [
        "grants#1.user: no user 'nosuch-alice' is on this machine",
        "grants#1.group: no group 'nosuch-ops' is on this machine",
        "grants#1.unit: no unit 'a.service' is on this machine",
    ]


async def test_the_unit_of_a_token_is_looked_for_as_well(tmp_path: Path) -> None:
    grant = 'unit_token = ["backup.service", "a.service"]'
    tried = await link(tmp_path, grant, "[unit_tokens]")
    assert absent(tried) == ["grants#1.unit_token: no unit 'a.service' is on this machine"]


async def test_where_there_are_no_units_at_all_nobody_can_say(tmp_path: Path) -> None:
    written = '[[grants]]\nroles = ["backup", "reports"]\nunit_token = "a.service"'
    found = settings(tmp_path, written, "[unit_tokens]")
    tried = await callers_link(found, None, tmp_path / "etc-environment", [tmp_path / "none"])
    assert absent(tried) == []


async def test_a_program_is_looked_for(tmp_path: Path) -> None:
    grant = 'executable = ["/bin/sh", "/usr/bin/nosuch"]'
    tried = await link(tmp_path, grant, "[callers]\nexecutables = true")
    assert absent(tried) == ["grants#1.executable: no executable '/usr/bin/nosuch' is on this machine"]


async def test_an_engine_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    more = f'[containers]\nengine = "podman"\nsocket = "{tmp_path}/none.sock"'
    tried = await link(tmp_path, 'container = "web"', more)
    (error,) = [one for one in tried.findings if one.severity == "error"]
    assert f"podman at {tmp_path}/none.sock does not answer" in error.what


async def test_the_agent_is_compared_with_who_asks_it(tmp_path: Path) -> None:
    us: dict[str, object] = {"facts": [["unix.uid", str(os.geteuid())]], "granted": []}
    other: dict[str, object] = {"facts": [["unix.uid", "4294967290"]], "granted": []}
    assert f"user {os.geteuid()}" in (await link(tmp_path, 'user = "root"', answer=us)).good
    tried = await link(tmp_path, 'user = "root"', answer=other)
    assert [one.what for one in tried.findings if one.severity == "error"] == [
        f"the agent takes this process for user 4294967290, and it is user {os.geteuid()}"
    ]


async def test_a_variable_for_everybody_is_found(tmp_path: Path) -> None:
    notes = [one.severity for one in (await link(tmp_path, 'user = "root"')).findings if "everybody" in one.what]
    assert notes == ["note"]
    (tmp_path / "etc-environment").write_text(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:9170/v1/credentials\n"
    )
    assert not [one for one in (await link(tmp_path, 'user = "root"')).findings if "everybody" in one.what]
