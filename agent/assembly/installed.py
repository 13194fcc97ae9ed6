"""Which units has somebody installed on this machine?"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.patterns import fits, is_pattern

#: Where systemd looks for units of the system, in its order (systemd.unit(5)); those made while it runs included.
UNIT_DIRECTORIES: Final = tuple(
    Path(place)
    for place in (
        "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
        "/run/systemd/generator.early", "/etc/systemd/system", "/etc/systemd/system.attached",
        "/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator",
        "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
        "/run/systemd/generator.late",
    )
)  # fmt: skip

#: Units that need no file of their name: scopes are made by programs; mounts and swaps by /etc/fstab, as a rule. Nor is
#: it for us to guess what an escaped name is made from.
_WITHOUT_FILE: Final = (".scope", ".mount", ".swap")


def unit_files(directories: Sequence[Path] = UNIT_DIRECTORIES) -> frozenset[str]:
    """The names of all files of units, aliases included; none of directories that may not be read."""
    found: set[str] = set()
    for directory in directories:
        with suppress(OSError):
            found.update(file.name for file in directory.iterdir())
    return frozenset(found)


def template_of(name: str) -> str:
    """The template that an instance, or a pattern of instances, is made from; "" if it is made from none."""
    stem, _, kind = name.rpartition(".")
    return f"{stem.partition('@')[0]}@.{kind}" if "@" in stem else ""


def is_installed(name: str, files: Collection[str]) -> bool:
    """Whether one of these files makes the unit, or one that fits the pattern; also if it may be made without."""
    template = template_of(name)
    if name in files or template in files or name.endswith(_WITHOUT_FILE) or "\\" in name:
        return True
    return is_pattern(name) and any(fits(one, file) for one in (name, template) for file in files)
