"""How does a host get its first key, configuration and AWS side?

Everything is asked, checked and looked for first, then written; nothing is ever overwritten. The configuration is
written last, so that there is one only where all it names is there.
"""

import argparse
import asyncio
import grp
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, get_args

from agent.assembly.keys import make_key, write_key
from agent.assembly.publishing import directory_publisher
from agent.cli.first_configuration import AUDIENCE, SUBJECT, Answers, checked, doubt_about, text
from agent.cli.next_steps import SERVICE_DIRECTORY, SERVICE_GROUP, Written, next_steps
from agent.cli.terminal import say, warn
from agent.errors import AgentError, ConfigurationError
from agent.infrastructure import Account, Role, Trust, by_account
from agent.infrastructure.cloudformation import cloudformation
from agent.infrastructure.terraform import terraform
from agent.infrastructure.trust import QUOTA, policy_of, size
from agent.keys import Kind, PublicKey
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, address, published
from agent.settings import Directory, Settings
from agent.settings.credentials import partition_of
from agent.settings.tokens import SelfSigned

HELP = "make a first configuration, a key, the issuer's documents and the AWS side"
EXAMPLE = (
    "rolecall init --issuer https://oidc.example.com --region eu-central-1 \\\n"
    "    --role backup=arn:aws:iam::123456789012:role/backup"
)


#: The mode of what the service's group may read.
_SHARED: Final = 0o640

#: Stands in for what has not been asked yet, so that each answer can be checked as soon as it is given.
_SOUND: Final = Answers("https://oidc.example.com", "eu-central-1", {}, Path("/nowhere"))

_Ask = Callable[[str, str, Callable[[str], Answers]], str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add one option for each question, and those that nobody is asked about."""
    add = parser.add_argument
    add("--issuer", metavar="URL", help="where the world will read our public keys")
    add("--region", metavar="REGION", help="the AWS region whose STS we ask")
    add("--role", action="append", metavar="NAME=ARN", help="a role that this host is to have; may be repeated")
    add("--subject", default=SUBJECT, help=f"what the tokens call this host (default: {SUBJECT})")
    add("--audience", default=AUDIENCE, help=f"whom the tokens are for (default: {AUDIENCE})")
    add("--key-kind", choices=get_args(Kind), default="rsa-2048", help="the key to make (default: %(default)s)")
    where = f"where to put everything (default: here, or {SERVICE_DIRECTORY} with --service)"
    add("--directory", type=Path, metavar="DIR", help=where)
    add("--service", action="store_true", help="as rolecall.service of systemd needs it: the key stays root's")
    add("--require-pinning", action="store_true", help="let AWS refuse tokens that do not name the role they are for")
    add("--yes", action="store_true", help="ask nothing")


def run(arguments: argparse.Namespace) -> int:
    """Ask, check, write, and say what comes next."""
    try:
        answers = _answers(arguments)
        if (doubt := doubt_about(answers.region)) is not None:
            warn(doubt)
        settings = checked(answers)
        plan = _plan(answers, settings, arguments)
        plan.refuse_to_overwrite()
        if not _agreed(plan, arguments):
            say("Nothing was written.")
            return 1
    except EOFError:
        say("\nNothing was written.")
        return 1
    except KeyboardInterrupt:
        say("\nNothing was written.")
        raise
    kid = plan.carry_out()
    _report(plan, settings, kid, as_json=arguments.json)
    return 0


# --- asking


def _answers(arguments: argparse.Namespace) -> Answers:
    """What the options say, and the operator where they do not."""
    known = Answers(
        arguments.issuer or _SOUND.issuer,
        arguments.region or _SOUND.region,
        _roles(arguments.role or []) if arguments.region else {},
        (arguments.directory or (SERVICE_DIRECTORY if arguments.service else Path())).absolute(),
        arguments.subject,
        arguments.audience,
        arguments.service,
    )
    _check(known)
    ask = _nobody_to_ask if arguments.yes or not sys.stdin.isatty() else _ask
    if not arguments.issuer:
        question = "The issuer's URL, as in https://oidc.example.com: "
        known = replace(known, issuer=ask(question, "--issuer", lambda said: replace(known, issuer=said)))
    if not arguments.region:
        question = "The AWS region, as in eu-central-1: "
        region = ask(question, "--region", lambda said: replace(known, region=said))
        known = replace(known, region=region, roles=_roles(arguments.role or []))
        _check(known)
    return known if known.roles else replace(known, roles=_asked_roles(ask, known))


def _asked_roles(ask: _Ask, known: Answers) -> dict[str, str]:
    roles: dict[str, str] = {}

    def tried(said: str) -> Answers:
        return replace(known, roles=_roles([said] if said or not roles else [], roles))

    question = "A role, as in backup=arn:aws:iam::123456789012:role/backup: "
    while said := ask(question, "--role", tried):
        roles |= _roles([said], roles)
        question = "One more role, or nothing: "
    return roles


def _nobody_to_ask(_: str, option: str, __: Callable[[str], Answers]) -> str:
    raise ConfigurationError(f"{option} is missing, and nobody can be asked", hint="run: rolecall init --help")


def _ask(question: str, _: str, tried: Callable[[str], Answers]) -> str:
    """Ask until the answer is sound. Raises EOFError."""
    while True:
        said = _line(question)
        try:
            _check(tried(said))
        except ConfigurationError as error:
            say(f"  {error.what}")
        else:
            return said


def _line(question: str) -> str:
    """Read a line from the terminal; the question is no result, so it does not go to stdout. Raises EOFError."""
    print(question, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip()


def _check(answers: Answers) -> None:
    """Raise ConfigurationError for what is wrong; while no role has been named, one that fits stands in."""
    stand_in = {"backup": f"arn:{partition_of(answers.region)}:iam::123456789012:role/backup"}
    checked(answers if answers.roles else replace(answers, roles=stand_in))


def _roles(words: Sequence[str], known: dict[str, str] | None = None) -> dict[str, str]:
    roles = dict(known or {})
    for word in words:
        name, equals, arn = word.partition("=")
        if not equals or not name or not arn:
            raise ConfigurationError(
                f"{word!r} is not NAME=ARN", hint="write it as in backup=arn:aws:iam::123456789012:role/backup"
            )
        if name in roles:
            raise ConfigurationError(f"the role {name!r} is named twice", hint="give each its own name")
        roles[name] = arn
    return roles


def _agreed(plan: "_Plan", arguments: argparse.Namespace) -> bool:
    """Whether to go ahead: who asks for no questions, or is no person, has said so by asking for this at all."""
    if arguments.yes or not sys.stdin.isatty():
        return True
    say(f"This will be written in {plan.answers.directory}:")
    key = plan.answers.key_file if plan.answers.service else plan.answers.keys / "KID.pem"
    for path in [*plan.files, *plan.published, key, plan.configuration]:
        say(f"  {plan.shown(path)}")
    return _line("Go on? [Y/n] ").lower() in {"", "y", "yes"}


# --- writing


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be written where. Values of `files` are the text and the mode.

    `group` is the id of the service's group, which is to read the tokens; None if they are for their owner alone.
    """

    answers: Answers
    settings: Settings
    configuration: Path
    kind: Kind
    files: dict[Path, tuple[str, int]] = field(repr=False)  # tokens are among them
    accounts: dict[Account, tuple[Role, ...]]
    oversized: tuple[Account, ...]
    group: int | None
    done: list[Path] = field(default_factory=list)

    @property
    def published(self) -> list[Path]:
        return [self.answers.site / JWKS_PATH, self.answers.site / DISCOVERY_PATH]

    def shown(self, path: Path) -> str:
        """A path as people want to read it."""
        return str(path.relative_to(self.answers.directory) if path.is_relative_to(self.answers.directory) else path)

    def refuse_to_overwrite(self) -> None:
        """Raise ConfigurationError if anything that is to be written is there already, or any key."""
        wanted = [self.configuration, *self.files, *self.published]
        wanted += [self.answers.key_file] if self.answers.service else _keys_in(self.answers.keys)
        there = [path for path in wanted if os.path.lexists(path)]
        if there:
            names = ", ".join(self.shown(path) for path in there)
            raise ConfigurationError(
                f"there is already in {self.answers.directory}: {names}; nothing was written",
                hint="move that away, or choose another place with --directory",
            )

    def carry_out(self) -> str:
        """Write everything; the key's id."""
        with self._accounting_for_failure():
            self._make_folders()
            for path, (body, mode) in self.files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._write(path, body, mode)
            public = self._make_key()
            assert self.settings.issuer is not None
            assert isinstance(self.settings.publishing, Directory)
            place = self.settings.publishing
            publisher = directory_publisher(place.directory, self.settings.issuer.url, place.max_age)
            asyncio.run(publisher.publish([published(public)], ()))
            self.done.extend(self.published)
            self.configuration.parent.mkdir(parents=True, exist_ok=True)
            self._write(self.configuration, text(self.answers), 0o644)
        return public.kid

    def _make_folders(self) -> None:
        """Make those with modes of their own; whoever made one already keeps its mode."""
        if self.answers.service:  # others than root look in there, whatever root's umask is
            _folder(self.answers.directory, 0o755)
        else:
            self.answers.directory.mkdir(parents=True, exist_ok=True)
            _folder(self.answers.keys, 0o700)
        _folder(self.answers.directory / "tokens", 0o711)

    def _make_key(self) -> PublicKey:
        if self.answers.service:  # the settings name systemd's copy, which is made when the unit starts
            path, public = write_key(self.answers.key_file, self.kind)
        else:
            path, public = make_key(self.answers.keys, self.kind)
        self.done.append(path)
        return public

    def _write(self, path: Path, body: str, mode: int) -> None:
        """Write where there is nothing, whole or not at all; should something have come there, leave it alone."""
        draft = path.with_name(f".{path.name}.new")
        draft.unlink(missing_ok=True)  # left by one that was killed
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(draft, flags, mode)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                if self.answers.service:  # the same, whatever root's umask is
                    if self.group is not None and mode == _SHARED:
                        os.fchown(descriptor, -1, self.group)
                    os.fchmod(descriptor, mode)
                file.write(body)
                file.flush()
                os.fsync(descriptor)
            os.link(draft, path)  # not renamed: that would replace what is there
        except OSError as error:
            error.filename, error.filename2 = str(path), None  # the draft is nobody's business
            raise
        finally:
            draft.unlink(missing_ok=True)
        self.done.append(path)

    @contextmanager
    def _accounting_for_failure(self) -> Iterator[None]:
        """Say what is there and what is not, should anything go wrong from here on."""
        try:
            yield
        except OSError as error:
            raise _unfinished(self, f"{error.filename or self.answers.directory}: {error.strerror}", "") from error
        except AgentError as error:
            raise _unfinished(self, error.what, error.hint) from error
        except KeyboardInterrupt:
            say(f"\n{_remains(self)}")
            raise


def _unfinished(plan: _Plan, what: str, hint: str) -> AgentError:
    """The operator's turn: something was written, and then it could not go on."""
    first = f"{hint}; then " if hint else ""
    return AgentError(f"this could not be finished: {what}", hint=f"{first}{_remains(plan)}")


def _remains(plan: _Plan) -> str:
    if not plan.done:
        return "run it again: nothing was written"
    names = ", ".join(plan.shown(path) for path in plan.done)
    return f"remove what was written before it stopped, and run it again: {names}"


def _folder(path: Path, mode: int) -> None:
    """Make a folder; one that is there already keeps its mode."""
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(mode)


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


def _plan(answers: Answers, settings: Settings, arguments: argparse.Namespace) -> _Plan:
    identity, issuer = settings.identity, settings.issuer
    assert isinstance(identity, SelfSigned)  # it is what the first configuration says
    assert issuer is not None
    trust = Trust(issuer.url, identity.audience, identity.subject, require_pinning=arguments.require_pinning)
    accounts = by_account([Role.of(name, role.arn, role.duration) for name, role in settings.roles.items()])
    files: dict[Path, tuple[str, int]] = {}
    group = _service_group() if answers.service else None
    for name in settings.roles:
        files[answers.token_file(name)] = (secrets.token_urlsafe(32), 0o600 if group is None else _SHARED)
    for account, roles in accounts.items():
        files[answers.directory / "terraform" / account.label / "main.tf"] = (terraform(trust, account, roles), 0o644)
        template = answers.directory / "cloudformation" / f"{account.label}.yaml"
        files[template] = (cloudformation(trust, account, roles), 0o644)
    oversized = tuple(account for account in accounts if size(policy_of(trust, account)) > QUOTA)
    configuration = (arguments.config or answers.directory / "rolecall.toml").absolute()
    return _Plan(answers, settings, configuration, arguments.key_kind, files, accounts, oversized, group)


def _service_group() -> int | None:
    """The id of the group that the service runs with, if this machine has it and we may give files to it."""
    try:
        return grp.getgrnam(SERVICE_GROUP).gr_gid if os.geteuid() == 0 else None
    except KeyError:
        return None


# --- telling


def _report(plan: _Plan, settings: Settings, kid: str, *, as_json: bool) -> None:
    for account in plan.oversized:
        say(f"warning: the trust policy for account {account.number} is longer than {QUOTA} characters: ask AWS for")
        say("a higher quota (role trust policy length), or choose a shorter subject or issuer")
    assert settings.issuer is not None
    read_at = address(settings.issuer.url, DISCOVERY_PATH)
    if as_json:
        written = [str(path) for path in plan.done]
        accounts = [account.number for account in plan.accounts]
        print(json.dumps({"written": written, "kid": kid, "discovery": read_at, "accounts": accounts}, indent=2))
        return
    print(f"Written in {plan.answers.directory}:")
    for path in plan.done:
        print(f"  {plan.shown(path)}")
    by_root, grouped = os.geteuid() == 0, plan.group is not None
    print(next_steps(Written(plan.answers, plan.configuration, read_at, tuple(plan.accounts), by_root, grouped)))
