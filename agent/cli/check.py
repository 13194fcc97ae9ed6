"""What is wrong with the configuration? Nothing is started, nothing is asked of the network.

But all that the daemon is made of is made: what `run` would refuse when it starts must not be called good here.
"""

import argparse
import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.assembly.rehearsal import Refusal, rehearse
from agent.cli.configuration import settings_of
from agent.cli.terminal import paint, say, show_json
from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.keys import PublicKey
from agent.settings import S3, Directory, Https, Publishing, Role, Settings
from agent.settings.doubts import warnings
from agent.settings.keys import paths_of
from agent.settings.mistakes import shown
from agent.settings.spelling import UNIT_CREDENTIALS, spell_duration
from agent.settings.tokens import FromFile, SelfSigned

HELP = "say everything that is wrong with the configuration"
EXAMPLE = "rolecall check -c /etc/rolecall/rolecall.toml"

#: Exit codes, those of every verb.
FAILED, MISUSED = 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments beyond those of every verb: what is checked is the file."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Print what is good and what is doubtful; 0. Raises ConfigurationError or KeyUnavailable with all that is wrong.

    With --json, mistakes are a result as well: they are printed, and the exit code is what it would be without.
    """
    doubts: list[str] = []
    try:
        settings = settings_of(arguments.config)
        key, refusals = _rehearsed(settings)
        told = {refusal.path for refusal in refusals}
        if settings.key is not None and key is None and not refusals:
            doubts.append("key: systemd hands it to the unit alone, so it was not tried: see journalctl -u rolecall")
        doubts += [*warnings(settings), *(_not_tried(refusal) for refusal in refusals if _forbidden(refusal))]
        doubts += [doubt for word, doubt in files(settings, _credentials()) if word.split(".")[0] not in told]
        if ends := [refusal for refusal in refusals if not _forbidden(refusal)]:
            raise _end(ends)
    except AgentError as error:
        if not arguments.json:
            _say(doubts)
            raise
        show_json({"good": False, "mistakes": error.what.splitlines(), "hint": error.hint, "warnings": doubts})
        return MISUSED if isinstance(error, ConfigurationError) else FAILED
    if arguments.json:
        show_json({"good": True, "file": str(settings.path), "mistakes": [], "warnings": doubts})
        return 0
    print(f"{paint('configuration is good', 'green')}: {settings.path}")
    for line in summary(settings, key):
        print(f"  {line}")
    _say(doubts)
    return 0


def _say(doubts: Sequence[str]) -> None:
    for doubt in doubts:
        say(f"{paint('warning', 'yellow')}: {doubt}")


def _credentials() -> Path | None:
    """Systemd's directory of credentials, inside the unit."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) if directory else None


def _rehearsed(settings: Settings) -> tuple[PublicKey | None, Sequence[Refusal]]:
    # Outside the unit there is no trying of what systemd gives to the unit alone.
    try_key = _credentials() is not None or not any(
        path.is_relative_to(UNIT_CREDENTIALS) for _, path in paths_of(settings.key)
    )
    rehearsal = asyncio.run(rehearse(settings, _credentials(), try_key=try_key))
    return rehearsal.key, rehearsal.refusals


def _forbidden(refusal: Refusal) -> bool:
    """Whether it is only that whoever runs this may not read what the agent, another user, perhaps may."""
    return isinstance(refusal.error.__cause__, PermissionError)


def _not_tried(refusal: Refusal) -> str:
    return f"{refusal.path}: {refusal.error.what}; so it was not tried: run this as the agent's user"


def _end(refusals: Sequence[Refusal]) -> AgentError:
    """Say all of them in one: that of the key if it is the key alone, else of the configuration."""
    only_the_key = all(isinstance(refusal.error, KeyUnavailable) for refusal in refusals)
    kind = KeyUnavailable if only_the_key else ConfigurationError
    hints = dict.fromkeys(refusal.error.hint for refusal in refusals)
    what = "\n".join(f"{refusal.path}: {refusal.error.what}" for refusal in refusals)
    return kind(what, hint="; ".join(hints))


def summary(settings: Settings, key: PublicKey | None) -> Iterator[str]:
    """Say in a few lines what this configuration asks for, and which key it has if that could be tried."""
    match settings.identity:
        case SelfSigned(subject=subject, audience=audience):
            issuer = settings.issuer.url if settings.issuer else ""
            yield f"identity     {subject} of {issuer}, for {audience}"
        case FromFile():
            yield "identity     a token from a file"
    if key is not None:
        yield f"key          {key.kid}, {key.algorithm}"
    elif settings.key is not None:
        yield "key          not tried"
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
        yield f"publishing   to {_place(settings.publishing)}"
    yield f"credentials  http://{settings.listen.credentials}"
    yield f"admin        http://{settings.listen.admin}"


def _place(place: Publishing) -> str:
    match place:
        case Directory():
            return str(place.directory)
        case S3():
            return f"s3://{place.bucket}/{place.prefix}"
        case Https():
            return f"our own listener, https://{place.listen}"


def _described(role: Role) -> str:
    return f"{role.arn} for {spell_duration(role.duration)}, as {role.session_name}"


def files(settings: Settings, credentials: Path | None) -> Iterator[tuple[str, str]]:
    """Look at every file and directory that is named but the key, as the user who runs this.

    Yields a setting and a sentence for each doubt. `credentials` is systemd's directory for them, None outside the
    unit: then the unit's are not looked at.
    """
    secrets, plain, directories = _named(settings)
    for word, path in secrets:
        if credentials or not path.is_relative_to(UNIT_CREDENTIALS):
            yield from ((word, doubt) for doubt in _file(word, path, stat.S_IRWXO))
    for word, path in plain:
        yield from ((word, doubt) for doubt in _file(word, path, stat.S_IWOTH))
    for word, path in directories:
        yield from ((word, doubt) for doubt in _directory(word, path))


def _named(settings: Settings) -> tuple[list[tuple[str, Path]], list[tuple[str, Path]], list[tuple[str, Path]]]:
    """List the files with secrets in them, which others must not read; other files; and directories."""
    secrets = [("identity.file", settings.identity.file)] if isinstance(settings.identity, FromFile) else []
    for number, grant in enumerate(settings.grants, start=1):
        secrets += [(f"grants#{number}.token_file", path) for path in grant.token_file]
    plain = [(str(settings.path), settings.path)]
    plain += [("sts.ca_bundle", settings.sts.ca_bundle)] if settings.sts.ca_bundle else []
    place = settings.publishing
    directories = [("publishing.directory", place.directory)] if isinstance(place, Directory) else []
    if place is not None and place.certificates is not None:
        directories.append(("publishing.certificates", place.certificates))
    if isinstance(place, Https):
        plain.append(("publishing.certificate", place.certificate))
        secrets.append(("publishing.private_key", place.private_key))
    if settings.rotation is not None and settings.rotation.state is not None:
        directories.append(("rotation.state", settings.rotation.state))
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
