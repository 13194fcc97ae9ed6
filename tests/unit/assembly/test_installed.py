"""Is a unit taken to be there that somebody has installed, and no other?"""

from pathlib import Path

import pytest

from agent.assembly.installed import is_installed, unit_files

FILES = frozenset({"backup.service", "web@.service", "user@.service", "odd@one.service"})


@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("backup.service", True),
        ("bakcup.service", False),
        ("web@a.service", True),
        ("web@a.socket", False),
        ("odd@one.service", True),
        ("odd@two.service", False),
        ("web@*.service", True),
        ("web@d*.service", True),
        ("wob@*.service", False),
        ("b*.service", True),
        ("x*.service", False),
        ("web*@daily.service", True),
        ("session-*.scope", True),  # nobody writes files for scopes
        ("home.mount", True),  # from /etc/fstab
        ("systemd-fsck@dev-disk\\x2droot.service", True),
    ],
)
def test_a_unit_is_there_if_a_file_or_a_template_makes_it(name: str, *, is_there: bool) -> None:
    assert is_installed(name, FILES) is is_there


def test_units_are_looked_for_wherever_there_are_any(tmp_path: Path) -> None:
    for name in ("etc", "lib"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.service").touch()
    found = unit_files([tmp_path / "etc", tmp_path / "none", tmp_path / "lib"])
    assert found == {"etc.service", "lib.service"}
