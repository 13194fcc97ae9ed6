"""Which keys have we, and how does one follow another?"""

import argparse
import asyncio
import os
from pathlib import Path
from typing import get_args

from agent.assembly.keys import KeyFile, keys_in, make_first_key, make_key
from agent.cli.configuration import settings_of
from agent.cli.rotating import add_retire, add_rotate, retire, rotate, show, standing
from agent.cli.sealing import add_seal, make_sealed_key
from agent.cli.terminal import paint, say, show_json
from agent.clock import SystemClock
from agent.errors import AgentError, ConfigurationError
from agent.keys import Kind, PublicKey
from agent.publishing.discovery import published
from agent.settings import Pem, SelfSigned, Settings
from agent.settings.spelling import UNIT_CREDENTIALS

HELP = "make a signing key, list and show those there are, let one follow another"
EXAMPLE = "rolecall keys list      # and to let another key follow the one that signs: rolecall keys rotate"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add new, list, show, rotate and retire."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="new|list|show|rotate|retire")
    new = verbs.add_parser("new", help="make the first key; never overwrites one")
    new.add_argument(
        "--kind",
        choices=get_args(Kind),
        default="rsa-2048",
        help="default: rsa-2048, since RS256 is the one algorithm that every relying party takes",
    )
    add_seal(new)
    listing = verbs.add_parser("list", help="list the keys, where each stands and what is next for it")
    show = verbs.add_parser("show", help="show the public half of a key")
    show.add_argument(
        "kid",
        nargs="?",
        metavar="KID",
        help="the key's name or how it begins (default: the one that signs)",
    )
    show.add_argument("--format", choices=("jwk", "pem"), default="jwk", help="default: jwk, as published")
    for verb in (new, listing, show):
        verb.add_argument("--directory", type=Path, metavar="DIR", help="where the keys are (default: as configured)")
    for verb in (new, listing, show, add_rotate(verbs), add_retire(verbs)):
        also_here(verb)


def also_here(parser: argparse.ArgumentParser) -> None:
    """Take -c and --json after a second verb, too."""
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="configuration")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do one of the five; 1 if a listed key is no good."""
    match arguments.what:
        case "new":
            return make_sealed_key(arguments) if arguments.seal else _new(arguments)
        case "list":
            return _list_files(arguments) if arguments.directory else _list(arguments)
        case "show":
            return _show(arguments)
        case "rotate":
            return rotate(configured(arguments), credentials_directory(), arguments)
        case _:
            return retire(configured(arguments), credentials_directory(), arguments)


def _new(arguments: argparse.Namespace) -> int:
    if arguments.name is not None:
        raise ConfigurationError(
            "--name is for a sealed key: other files are called by the key's id", hint="add --seal"
        )
    if arguments.directory is None:
        settings, systemd = configured(arguments), credentials_directory()
        key = settings.key
        assert key is not None
        if isinstance(key, Pem) and key.file is not None and key.file.parent == systemd:
            raise ConfigurationError(
                f"{key.file} is systemd's copy of the key, and no key is made there",
                hint="make it elsewhere, with --seal, or with --directory and a move to where LoadCredential= looks",
            )
        where, public = asyncio.run(make_first_key(key, arguments.kind, systemd, SystemClock()))
    else:
        path, public = make_key(arguments.directory, arguments.kind)
        where = str(path)
    if arguments.json:
        show_json({"kid": public.kid, "algorithm": public.algorithm, "file": where})
    else:
        print(f"{public.kid}  {public.algorithm}  {where}")
    say("Before tokens that it signs are shown to AWS, let the world see it: rolecall publish")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    return show(asyncio.run(standing(configured(arguments), credentials_directory())), as_json=arguments.json)


def _list_files(arguments: argparse.Namespace) -> int:
    files = keys_in(arguments.directory)
    if arguments.json:
        show_json([_described(file) for file in files])
    for file in files:
        if isinstance(file.found, PublicKey):
            if not arguments.json:
                print(f"{file.found.kid}  {file.found.algorithm}  {file.path}")
        else:
            say(f"{paint('error', 'red')}: {file.found.what}\nhint: {file.found.hint}")
    if not files:
        say("There is no key yet. Make one with: rolecall keys new")
    return 1 if any(isinstance(file.found, AgentError) for file in files) else 0


def _described(file: KeyFile) -> dict[str, str]:
    if isinstance(file.found, PublicKey):
        return {"kid": file.found.kid, "algorithm": file.found.algorithm, "file": str(file.path)}
    return {"file": str(file.path), "error": file.found.what, "hint": file.found.hint}


def _show(arguments: argparse.Namespace) -> int:
    public = _chosen(*_publics(arguments), arguments.kid)
    jwk = published(public)
    if arguments.format == "pem" and not arguments.json:
        print(_public_pem(jwk), end="")
    else:
        show_json(jwk)
    return 0


def _publics(arguments: argparse.Namespace) -> tuple[list[PublicKey], PublicKey | None]:
    """The keys there are, and which of them is meant where none is named: the one that signs."""
    if arguments.directory is None:
        keys = [key.member for key in asyncio.run(standing(configured(arguments), credentials_directory()))]
        return [key.public for key in keys], next(key.public for key in keys if key.state == "signing")
    found = [file.found for file in keys_in(arguments.directory)]
    bad = [one for one in found if isinstance(one, AgentError)]
    if bad and (len(found) == 1 or arguments.kid is None):
        raise bad[0]
    return [one for one in found if isinstance(one, PublicKey)], None


def _chosen(publics: list[PublicKey], usual: PublicKey | None, kid: str | None) -> PublicKey:
    if kid is None and usual is not None:
        return usual
    # Keys that others have made may have names that begin with a dash, and no option does.
    matching = [public for public in publics if kid is None or public.kid.lstrip("-").startswith(kid)]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        what = "there is no key yet" if kid is None else f"there is no key whose name begins with {kid}"
        raise ConfigurationError(what, hint="see those there are with: rolecall keys list")
    raise ConfigurationError(
        f"there are {len(matching)} keys that this could mean",
        hint=f"name one: {', '.join(public.kid for public in matching)}",
    )


def _public_pem(jwk: dict[str, object]) -> str:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = jwt.PyJWK(jwk).key
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def configured(arguments: argparse.Namespace) -> Settings:
    """The configuration, if it has keys of ours. Raises ConfigurationError."""
    settings = settings_of(arguments.config)
    if settings.key is None:
        why = "" if isinstance(settings.identity, SelfSigned) else ": its tokens come from somebody else"
        raise ConfigurationError(f"{settings.path} has no [key]{why}", hint="name a place with --directory")
    return settings


def credentials_directory() -> Path:
    """Where systemd puts the credentials of the agent's unit; commands run beside it, not in it."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", UNIT_CREDENTIALS))
