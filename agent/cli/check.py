"""What is wrong with the configuration? Nothing is started, nothing is asked of the network."""

import argparse
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agent.cli.configuration import settings_of
from agent.cli.terminal import paint, say, show_json
from agent.errors import ConfigurationError
from agent.settings import Pem, Role, Settings
from agent.settings.doubts import warnings
from agent.settings.mistakes import shown
from agent.settings.spelling import UNIT_CREDENTIALS, spell_duration
from agent.settings.tokens import FromFile, SelfSigned

HELP = "say everything that is wrong with the configuration"
EXAMPLE = "rolecall check -c /etc/rolecall/rolecall.toml"

_GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS = stat.S_IRWXO


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments beyond those of every verb: what is checked is the file."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Print what is good and what is doubtful; 0. Raises ConfigurationError with every mistake.

    With --json, mistakes are a result as well: they are printed, and the exit code is 2.
    """
    try:
        settings = settings_of(arguments.config)
    except ConfigurationError as error:
        if not arguments.json:
            raise
        show_json({"good": False, "mistakes": error.what.splitlines(), "hint": error.hint, "warnings": []})
        return 2
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    doubts = [*warnings(settings), *files(settings, Path(credentials) if credentials else None)]
    if arguments.json:
        show_json({"good": True, "file": str(settings.path), "mistakes": [], "warnings": doubts})
        return 0
    print(f"{paint('configuration is good', 'green')}: {settings.path}")
    for line in summary(settings):
        print(f"  {line}")
    for doubt in doubts:
        say(f"{paint('warning', 'yellow')}: {doubt}")
    return 0


def summary(settings: Settings) -> Iterator[str]:
    """Say in a few lines what this configuration asks for."""
    match settings.identity:
        case SelfSigned(subject=subject, audience=audience):
            issuer = settings.issuer.url if settings.issuer else ""
            yield f"identity     {subject} of {issuer}, for {audience}"
        case FromFile():
            yield "identity     a token from a file"
    where = settings.sts.endpoint_url or f"of {settings.sts.region}"
    yield f"STS          {where}"
    for name, role in settings.roles.items():
        yield f"role         {name}: {_described(role)}"
    for grant in settings.grants:
        who = (
            "anyone" if grant.anyone else f"who shows a token of {' or '.join(shown(str(p)) for p in grant.token_file)}"
        )
        yield f"grant        {', '.join(grant.roles)}: {who}"
    if settings.publishing:
        yield f"publishing   to {settings.publishing.directory}"
    yield f"credentials  http://{settings.listen.credentials}"
    yield f"admin        http://{settings.listen.admin}"


def _described(role: Role) -> str:
    return f"{role.arn} for {spell_duration(role.duration)}, as {role.session_name}"


def files(settings: Settings, credentials: Path | None) -> Iterator[str]:
    """Look at every file and directory that is named, as the user who runs this; one sentence for each doubt.

    `credentials` is systemd's directory for them, None outside the unit: then the unit's are not looked at.
    """
    secrets, plain, directories = _named(settings)
    for word, path, closed_to in secrets:
        if credentials and path.is_relative_to(credentials):
            yield from _file(word, path, _OTHERS)  # systemd gives the unit's group access, and keeps all others out
        elif not path.is_relative_to(UNIT_CREDENTIALS):
            yield from _file(word, path, closed_to)
    for word, path in plain:
        yield from _file(word, path, stat.S_IWOTH)
    for word, path in directories:
        yield from _directory(word, path)


def _named(settings: Settings) -> tuple[list[tuple[str, Path, int]], list[tuple[str, Path]], list[tuple[str, Path]]]:
    """List the files with secrets in them, with the mode bits they must not have; other files; and directories."""
    secrets: list[tuple[str, Path, int]] = []
    directories: list[tuple[str, Path]] = []
    match settings.key:
        case Pem(file=file, directory=directory, passphrase_file=passphrase):
            secrets += [("key.file", file, _GROUP_AND_OTHERS)] if file else []
            secrets += [("key.passphrase_file", passphrase, _GROUP_AND_OTHERS)] if passphrase else []
            directories += [("key.directory", directory)] if directory else []
    if isinstance(settings.identity, FromFile):
        secrets.append(("identity.file", settings.identity.file, _OTHERS))
    for number, grant in enumerate(settings.grants, start=1):
        secrets += [(f"grants#{number}.token_file", path, _OTHERS) for path in grant.token_file]
    plain = [(str(settings.path), settings.path)]
    plain += [("sts.ca_bundle", settings.sts.ca_bundle)] if settings.sts.ca_bundle else []
    directories += [("publishing.directory", settings.publishing.directory)] if settings.publishing else []
    return secrets, plain, directories


def _file(word: str, path: Path, closed_to: int) -> Iterator[str]:
    name = shown(str(path))
    try:
        facts = path.stat()
    except FileNotFoundError:
        yield f"{word}: {name} does not exist"
        return
    except OSError as error:
        yield f"{word}: {name} cannot be looked at: {error.strerror}"
        return
    if not stat.S_ISREG(facts.st_mode):
        yield f"{word}: {name} is not a file"
        return
    try:
        path.open("rb").close()
    except OSError:
        yield f"{word}: {name} cannot be read by this user; the agent's user must be able to"
    if facts.st_mode & closed_to:
        mode = stat.S_IMODE(facts.st_mode)
        yield f"{word}: {name} is open to others (mode {mode:04o}); close it with: chmod {mode & ~closed_to:04o}"


def _directory(word: str, path: Path) -> Iterator[str]:
    name = shown(str(path))
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            yield f"{word}: {name} is not a directory"
    except FileNotFoundError:
        yield f"{word}: {name} does not exist"
    except OSError as error:
        yield f"{word}: {name} cannot be looked at: {error.strerror}"
