"""What are other relying parties told about this host, and where is it written?

Beside a first configuration, or beside one that is there already: then nothing of it is changed, and the grant that is
missing in it is a file to copy from.
"""

import argparse
import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.cli.configuration import settings_of
from agent.cli.keys import credentials_directory
from agent.cli.terminal import paint, show_json
from agent.cli.whole_file import Belonging, write_whole
from agent.errors import AgentError, ConfigurationError
from agent.infrastructure.relying_parties import Side
from agent.infrastructure.relying_parties.files import files
from agent.keys import Kind
from agent.relying_parties import PARTIES, Party
from agent.settings import SelfSigned, Settings, find
from agent.settings.audiences import next_kind, refused
from agent.settings.rotation import usual_algorithm

_SCRIPT: Final = 0o755
_TEXT: Final = 0o644
#: Options of a first configuration that nothing of is written where there is one.
_FIRST: Final = ("grant_unit", "grant_user", "state", "require_pinning", "bucket", "certificate")


def add_relying_parties(parser: argparse.ArgumentParser) -> None:
    """Add --relying-party."""
    parser.add_argument(
        "--relying-party",
        action="append",
        metavar="NAME[=AUDIENCE]",
        help=f"write what else is to believe our tokens: {', '.join(PARTIES)}; alone, beside a configuration that is "
        "there already; may be repeated",
    )


def named(words: Sequence[str]) -> Mapping[Party, str]:
    """The relying parties that are meant, each with its audience. Raises ConfigurationError."""
    found: dict[Party, str] = {}
    for word in words:
        name, equals, audience = word.partition("=")
        party = next((party for party in PARTIES.values() if party.name == name), None)
        if party is None:
            raise ConfigurationError(
                f"no relying party {name!r} is known", hint=f"it is one of: {', '.join(PARTIES)}; see init --help"
            )
        if party in found:
            raise ConfigurationError(f"the relying party {name} is named twice", hint="run it again for the other one")
        if equals and not (0 < len(audience) <= 255 and audience.isprintable() and " " not in audience):
            raise ConfigurationError(
                f"{audience!r} is no audience", hint="it has 1 to 255 characters and no blanks, as in vault.example.com"
            )
        found[party] = audience or party.audience
    return found


def sides(settings: Settings, parties: Mapping[Party, str], algorithm: str) -> Sequence[Side]:
    """What each of them is to be told. Raises ConfigurationError for what cannot work there.

    `algorithm` is that of the key that signs.
    """
    identity, issuer = settings.identity, settings.issuer
    if not isinstance(identity, SelfSigned) or issuer is None:
        raise ConfigurationError(
            f"the tokens of {settings.path} are not our own",
            hint='tokens for others are signed by our own key: identity.source = "self_signed"',
        )
    told = []
    for party, audience in parties.items():
        signs = algorithm if not party.takes(algorithm) else next_kind(settings, party)
        if signs is not None:
            raise ConfigurationError(
                refused(party, signs, audience),
                hint="begin with --key-kind rsa-2048; or move to such a key: rotation.kind, and rolecall keys rotate",
            )
        if audience == identity.audience:
            raise ConfigurationError(
                f"{audience!r} is the audience of the tokens for AWS, which open every role",
                hint=f"choose another: --relying-party {party.name}=AUDIENCE",
            )
        told.append(Side(party, issuer.url, audience, identity.subject))
    return told


def first_sides(settings: Settings, words: Sequence[str] | None, kind: Kind) -> Sequence[Side]:
    """What those are to be told who are named with a first configuration, whose key is yet to be made."""
    return sides(settings, named(words), usual_algorithm(kind)) if words else ()


def planned(told: Sequence[Side], directory: Path) -> dict[Path, tuple[str, int]]:
    """The text and the mode of every file."""
    return {
        directory / name: (text, _SCRIPT if name.endswith(".sh") else _TEXT)
        for side in told
        for name, text in files(side).items()
    }


def there_already(arguments: argparse.Namespace, usual: Path) -> Path | None:
    """The configuration beside which relying parties alone are written; None if a first one is to be made.

    `usual` is where a first one would be. Raises ConfigurationError for what is asked for in vain.
    """
    if not arguments.relying_party or arguments.issuer or arguments.region or arguments.role:
        return None
    found = next((path for path in (arguments.config, usual) if path is not None and os.path.lexists(path)), None)
    if found is None and arguments.config is None and arguments.directory is None:
        with suppress(ConfigurationError):
            found = find(None, os.environ)
    if found is not None and (given := [option for option in _FIRST if getattr(arguments, option)]):
        raise ConfigurationError(
            f"--{given[0].replace('_', '-')} means nothing here: {found} is there, and is left as it is",
            hint="leave it out, to have only the files for relying parties; or make a first configuration elsewhere",
        )
    return found


def write_beside(configuration: Path, words: Sequence[str], *, as_json: bool) -> int:
    """Write what relying parties are to be told beside a configuration. Raises AgentError; nothing is overwritten."""
    from agent.cli.rotating import ring_of

    settings = settings_of(configuration)
    parties = named(words)
    sides(settings, parties, "RS256")  # whatever the key is, before it is asked for
    ring = asyncio.run(ring_of(settings, credentials_directory()))
    told = sides(settings, parties, ring.signing.public.algorithm)
    directory = settings.infrastructure.directory if settings.infrastructure else settings.path.parent
    plan = planned(told, directory)
    if there := [str(path) for path in plan if os.path.lexists(path)]:
        raise ConfigurationError(
            f"there is already: {', '.join(there)}; nothing was written", hint="move that away, and run it again"
        )
    _write(plan)
    if as_json:
        show_json({"written": [str(path) for path in plan], "configuration": str(settings.path)})
        return 0
    print(f"Written in {directory}:")
    for path in plan:
        print(f"  {path.relative_to(directory)}")
    print("\n".join(["", paint("Next:", "bold"), *steps(told, directory, settings.path, first=1)]))
    return 0


def steps(told: Sequence[Side], directory: Path, configuration: Path, *, first: int) -> Iterator[str]:
    """What there is to do for each, for a terminal; the first step has this number."""
    number = first
    for side in told:
        folder = directory / "relying-parties" / side.party.name
        yield f"  {number}. Tell {side.party.title} (docs/relying-parties.md):"
        yield f"       {paint(f'sh {folder}/commands.sh', 'cyan')}"
        yield f"     (or apply {folder}/main.tf)"
        yield f"     and say who here may have its tokens: add to {configuration}, and change as it should be,"
        yield f"       {folder}/grant.toml"
        number += 1


def _write(plan: Mapping[Path, tuple[str, int]]) -> None:
    """Write them all. Raises AgentError."""
    for path, (body, mode) in plan.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, body, Belonging(mode))
        except OSError as error:
            raise AgentError(
                f"{path} cannot be written: {(error.strerror or str(error)).lower()}",
                hint="run this as a user who may write there; what was written until then is whole",
            ) from error
