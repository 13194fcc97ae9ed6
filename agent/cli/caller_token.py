"""How does a caller come by a token?

A grant by token_file names a file; whoever shows what is in it is meant. It should be long, nobody else's to read, and
bare: SDKs send the file as it is, and refuse to send a newline.
"""

import argparse
import contextlib
import grp
import os
import secrets
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from agent.cli.next_steps import SERVICE_USER
from agent.cli.terminal import say, show_json
from agent.cli.unread import settings_if_open
from agent.cli.whole_file import Belonging, write_whole
from agent.errors import ConfigurationError
from agent.settings import Grant, Settings
from agent.spans import spell_duration

#: The modes of a file for its owner alone, and for a group as well.
_OWN: Final = 0o600
_SHARED: Final = 0o640

#: How long a token is, in bytes before it is spelt in letters.
_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a token file: whether one was replaced, and which grants name it; None where nobody can tell."""

    path: Path
    mode: int
    replaced: bool
    grants: Sequence[tuple[int, Grant]] | None

    @property
    def old_good_for(self) -> timedelta | None:
        """How long the token before is good: the shortest that a grant says. None if nobody knows, or there was none.

        An agent that is not running when the file changes has never seen the token before.
        """
        if not self.replaced or not self.grants:
            return None
        return min(grant.token_overlap for _, grant in self.grants)


def configure_new(parser: argparse.ArgumentParser) -> None:
    """Add the file, the group, and whether to replace."""
    parser.add_argument("file", type=Path, metavar="FILE", help="where to write it, as grants name it in token_file")
    parser.add_argument("--group", metavar="GROUP", help="let this group read it, too, as the agent's must (mode 0640)")
    parser.add_argument("--replace", action="store_true", help="put a new token in the place of the one that is there")


def make_caller_token(arguments: argparse.Namespace) -> int:
    """Write it and say what follows; the token itself is never printed. Raises ConfigurationError."""
    path: Path = arguments.file.absolute()
    settings = _settings(arguments.config)
    there = _there(path)
    if there is not None and not arguments.replace:
        raise ConfigurationError(
            f"{path} is there already; nothing was written",
            hint="name another file; or give its callers a new token: --replace",
        )
    whose = _belonging(arguments.group, there)
    try:
        write_whole(path, secrets.token_urlsafe(_SIZE), whose, replace=there is not None)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {(error.strerror or str(error)).lower()}",
            hint=f"make its directory first: mkdir -m 711 {shlex.quote(str(path.parent))}"
            if isinstance(error, FileNotFoundError)
            else "run this as a user who may write there",
        ) from error
    grants = None if settings is None else _naming(settings, path)
    made = Made(path, whose.mode, there is not None, grants)
    if arguments.json:
        show_json(_document(made))
    else:
        print(f"written: {path}")
    _explain(made, is_shared=whose.gid != -1)
    return 0


def _settings(config: Path | None) -> Settings | None:
    """The configuration, for what it says of the file; None if there is none yet, or none that can be read."""
    if config is not None:
        return settings_if_open(config)
    with contextlib.suppress(ConfigurationError):
        return settings_if_open(None)
    return None


def _there(path: Path) -> os.stat_result | None:
    """The file that is there. Raises ConfigurationError if it is no file, or nobody may look."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be looked at: {(error.strerror or str(error)).lower()}",
            hint="name another file, or run this as a user who may",
        ) from error
    if not stat.S_ISREG(facts.st_mode):
        raise ConfigurationError(f"{path} is not a plain file; nothing was written", hint="name the file itself")
    return facts


def _belonging(group: str | None, there: os.stat_result | None) -> Belonging:
    """For whom it is: the group that is named, or else those who had the one before. Raises ConfigurationError."""
    uid, gid, mode = -1, -1, _OWN
    if there is not None:
        if os.geteuid() == 0:
            uid, gid = there.st_uid, there.st_gid
        elif there.st_gid in os.getgroups():
            gid = there.st_gid
        mode = _SHARED if stat.S_IMODE(there.st_mode) & stat.S_IRGRP and gid != -1 else _OWN
    if group is None:
        return Belonging(mode, uid, gid)
    try:
        number = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ConfigurationError(
            f"this machine has no group {group!r}; nothing was written",
            hint=f"see which there are with: getent group; the agent's is {SERVICE_USER}",
        ) from error
    return Belonging(_SHARED, uid, number)


def _naming(settings: Settings, path: Path) -> list[tuple[int, Grant]]:
    return [(number, grant) for number, grant in enumerate(settings.grants, start=1) if path in grant.token_file]


def _explain(made: Made, *, is_shared: bool) -> None:
    if made.grants is not None and not made.grants:
        say(f'no grant names this file; let one do so, and restart the agent: token_file = "{made.path}"')
    if made.replaced:
        overlap = made.old_good_for
        how_long = "for the grant's token_overlap, which is 1h unless it says otherwise"
        if overlap is not None:
            how_long = f"for {spell_duration(overlap)} more" if overlap else "no more: token_overlap is 0s"
        say(f"the token that was there is good {how_long}; start its callers again within that time")
    if os.geteuid() == 0 and not is_shared and _has_service_group():
        say(f"only root can read it; an agent that runs as {SERVICE_USER} must be able to: --group {SERVICE_USER}")


def _has_service_group() -> bool:
    with contextlib.suppress(KeyError):
        grp.getgrnam(SERVICE_USER)
        return True
    return False


def _document(made: Made) -> dict[str, object]:
    overlap = made.old_good_for
    return {
        "file": str(made.path),
        "mode": f"{made.mode:04o}",
        "replaced": made.replaced,
        "old_good_for_seconds": None if overlap is None else overlap.total_seconds(),
        "grants": None if made.grants is None else [f"grants#{number}" for number, _ in made.grants],
    }
