"""How are the files of a first configuration written, each whole, and none over another?

The configuration is written last, so that there is one only where all it names is there. What the agent is to change
itself is made as the agent's user.
"""

import asyncio
import concurrent.futures.thread  # noqa: F401 - asyncio takes it late, when we may be a user who cannot read it
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.assembly.keys import make_key
from agent.assembly.publishing import directory_publisher
from agent.cli.first_configuration import Answers, text
from agent.cli.next_steps import SERVICE_USER
from agent.cli.terminal import say
from agent.cli.whole_file import Belonging, write_whole
from agent.errors import AgentError, ConfigurationError
from agent.infrastructure import Account, Role
from agent.infrastructure.relying_parties import Side
from agent.keys import Kind, PublicKey
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, published
from agent.settings import Directory, Settings

#: The mode of what the service's group may read.
SHARED: Final = 0o640


@dataclass(frozen=True, slots=True)
class User:
    """The service's user and its group, by their numbers."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written where. Values of `files` are the text and the mode.

    `user` is the agent's, who is to own what the agent writes, and whose group is to read the tokens; None if all is
    for who runs this. `told` are the relying parties for which files are among them.
    """

    answers: Answers
    settings: Settings
    configuration: Path
    kind: Kind
    files: dict[Path, tuple[str, int]] = field(repr=False)  # tokens are among them
    accounts: dict[Account, tuple[Role, ...]]
    oversized: tuple[Account, ...]
    user: User | None
    told: Sequence[Side] = ()
    done: list[Path] = field(default_factory=list)

    @property
    def published(self) -> list[Path]:
        """The issuer's documents, where they are files."""
        if not isinstance(self.settings.publishing, Directory):
            return []
        return [self.answers.site / JWKS_PATH, self.answers.site / DISCOVERY_PATH]

    def shown(self, path: Path) -> str:
        """A path as people want to read it."""
        return str(path.relative_to(self.answers.directory) if path.is_relative_to(self.answers.directory) else path)

    def refuse_to_overwrite(self) -> None:
        """Raise ConfigurationError if anything that is to be written is there already, or any key."""
        wanted = [self.configuration, *self.files, *self.published, *_keys_in(self.answers.keys)]
        there = [path for path in wanted if os.path.lexists(path)]
        if there:
            names = ", ".join(self.shown(path) for path in there)
            raise ConfigurationError(
                f"there is already in {self.answers.directory}: {names}; nothing was written",
                hint="move that away, or choose another place with --directory",
            )

    def carry_out(self) -> str:
        """Write everything; the key's id. Raises AgentError, which says what was written until then."""
        with self._accounting_for_failure():
            self._make_folders()
            for path, (body, mode) in self.files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._write(path, body, mode)
            with _acting_as(self.user):
                public = self._make_what_is_the_agents()
            self.configuration.parent.mkdir(parents=True, exist_ok=True)
            self._write(self.configuration, text(self.answers), 0o644)
        return public.kid

    def _make_folders(self) -> None:
        """Make those with modes of their own; whoever made one already keeps its mode."""
        if self.answers.service:  # others than root look in there, whatever root's umask is
            _folder(self.answers.directory, 0o755)
            _folder(self.answers.own, 0o711, self.user)  # as the unit has it: the web server goes through, to the site
        else:
            self.answers.directory.mkdir(parents=True, exist_ok=True)
            self.answers.own.mkdir(parents=True, exist_ok=True)
        _folder(self.answers.directory / "tokens", 0o711)

    def _make_what_is_the_agents(self) -> PublicKey:
        """Make the key and the site, which the agent is to change by itself."""
        _folder(self.answers.keys, 0o700)
        path, public = make_key(self.answers.keys, self.kind)
        self.done.append(path)
        assert self.settings.issuer is not None
        place = self.settings.publishing
        if isinstance(place, Directory):  # elsewhere there is nothing to publish to yet
            publisher = directory_publisher(place.directory, self.settings.issuer.url, place.max_age)
            asyncio.run(publisher.publish([published(public)], ()))
            self.done.extend(self.published)
        return public

    def _write(self, path: Path, body: str, mode: int) -> None:
        """Write where there is nothing; should something have come there, leave it alone."""
        gid = self.user.gid if self.user is not None and mode == SHARED else -1
        # The service's are the same, whatever root's umask is.
        write_whole(path, body, Belonging(mode, gid=gid, exact=self.answers.service))
        self.done.append(path)

    @contextmanager
    def _accounting_for_failure(self) -> Iterator[None]:
        """Say what is there and what is not, should anything go wrong from here on."""
        try:
            yield
        except OSError as error:
            hint = "run this as root" if self.answers.service and os.geteuid() != 0 else ""
            raise _unfinished(self, f"{error.filename or self.answers.directory}: {error.strerror}", hint) from error
        except AgentError as error:
            raise _unfinished(self, error.what, error.hint) from error
        except KeyboardInterrupt:
            say(f"\n{_remains(self)}")
            raise


def _unfinished(plan: Plan, what: str, hint: str) -> AgentError:
    """The operator's turn: something was written, and then it could not go on."""
    first = f"{hint}; then " if hint else ""
    return AgentError(f"this could not be finished: {what}", hint=f"{first}{_remains(plan)}")


def _remains(plan: Plan) -> str:
    if not plan.done:
        return "run it again: nothing was written"
    names = ", ".join(plan.shown(path) for path in plan.done)
    return f"remove what was written before it stopped, and run it again: {names}"


def _folder(path: Path, mode: int, user: User | None = None) -> None:
    """Make a folder; one that is there already keeps its mode. Raises ConfigurationError if it is somebody else's."""
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(mode)
        if user is not None:
            os.chown(path, user.uid, user.gid)
    elif user is not None and path.stat().st_uid != user.uid:
        raise ConfigurationError(
            f"{path} does not belong to the agent's user {SERVICE_USER}, who is to write there",
            hint=f"give it to that user: chown -R {SERVICE_USER}:{SERVICE_USER} {shlex.quote(str(path))}",
        )


@contextmanager
def _acting_as(user: User | None) -> Iterator[None]:
    """Be the agent's user for a while: what is made is its own, and no link in its folders leads root astray."""
    if user is None:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([user.gid])
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(0)  # it was root who could become somebody else
        os.setegid(group)
        os.setgroups(groups)


def _keys_in(directory: Path) -> list[Path]:
    """The private keys that are there already. Raises ConfigurationError."""
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".pem")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigurationError(
            f"nobody can tell what is in {directory}: {(error.strerror or str(error)).lower()}; nothing was written",
            hint="choose a place of your own with --directory, or run this as a user who may write there",
        ) from error
