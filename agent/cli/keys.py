"""Which keys have we, and how do we get one?"""

import argparse
import os
from pathlib import Path
from typing import get_args

from agent.assembly.keys import KeyFile, configured_keys, keys_in, make_configured_key, make_key
from agent.cli.configuration import settings_of
from agent.cli.terminal import paint, say, show_json
from agent.errors import AgentError, ConfigurationError
from agent.keys import Kind, PublicKey
from agent.publishing.discovery import published
from agent.settings import Key
from agent.settings.spelling import UNIT_CREDENTIALS

HELP = "make a signing key, list those there are, show a public half"
EXAMPLE = "rolecall keys new --kind ec-p256"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add new, list and show."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="new|list|show")
    new = verbs.add_parser("new", help="make a key; never overwrites one")
    new.add_argument(
        "--kind",
        choices=get_args(Kind),
        default="rsa-2048",
        help="default: rsa-2048, since RS256 is the one algorithm that every relying party takes",
    )
    listing = verbs.add_parser("list", help="list the keys and say what is wrong with those that are no good")
    show = verbs.add_parser("show", help="show the public half of a key")
    show.add_argument(
        "kid", nargs="?", metavar="KID", help="the key's name or how it begins; needed if there are several"
    )
    show.add_argument("--format", choices=("jwk", "pem"), default="jwk", help="default: jwk, as published")
    for verb in (new, listing, show):
        verb.add_argument("--directory", type=Path, metavar="DIR", help="where the keys are (default: as configured)")
        also_here(verb)


def also_here(parser: argparse.ArgumentParser) -> None:
    """Take -c and --json after a second verb, too."""
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="configuration")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do one of the three; 1 if a listed key is no good."""
    if arguments.what == "new":
        return _new(arguments)
    files = _files(arguments)
    return _list(files, as_json=arguments.json) if arguments.what == "list" else _show(files, arguments)


def _new(arguments: argparse.Namespace) -> int:
    if arguments.directory is None:
        key, systemd = _key(arguments), credentials_directory()
        if key.file is not None and key.file.parent == systemd:
            raise ConfigurationError(
                f"{key.file} is systemd's copy of the key, and no key is made there",
                hint="make it elsewhere, with --directory, and move it to where LoadCredential= of the service looks",
            )
        path, public = make_configured_key(key, arguments.kind, systemd)
    else:
        path, public = make_key(arguments.directory, arguments.kind)
    if arguments.json:
        show_json({"kid": public.kid, "algorithm": public.algorithm, "file": str(path)})
    else:
        print(f"{public.kid}  {public.algorithm}  {path}")
    say("Before tokens that it signs are shown to AWS, let the world see it: rolecall publish")
    return 0


def _list(files: list[KeyFile], *, as_json: bool) -> int:
    if as_json:
        show_json([_described(file) for file in files])
    for file in files:
        if isinstance(file.found, PublicKey):
            if not as_json:
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


def _show(files: list[KeyFile], arguments: argparse.Namespace) -> int:
    public = _chosen(files, arguments.kid)
    jwk = published(public)
    if arguments.format == "pem" and not arguments.json:
        print(_public_pem(jwk), end="")
    else:
        show_json(jwk)
    return 0


def _chosen(files: list[KeyFile], kid: str | None) -> PublicKey:
    for file in files:
        if isinstance(file.found, AgentError) and (len(files) == 1 or kid is None):
            raise file.found
    publics = [file.found for file in files if isinstance(file.found, PublicKey)]
    matching = [public for public in publics if kid is None or public.kid.startswith(kid)]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        what = "there is no key yet" if kid is None else f"there is no key whose name begins with {kid}"
        raise ConfigurationError(what, hint="see those there are with: rolecall keys list")
    raise ConfigurationError(
        f"there are {len(matching)} keys that this could mean",
        hint=f"name one: {', '.join(public.kid for public in matching)}",
    )


def _public_pem(jwk: dict[str, str]) -> str:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = jwt.PyJWK(jwk).key
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _files(arguments: argparse.Namespace) -> list[KeyFile]:
    if arguments.directory is not None:
        return keys_in(arguments.directory)
    return configured_keys(_key(arguments), credentials_directory())


def _key(arguments: argparse.Namespace) -> Key:
    settings = settings_of(arguments.config)
    if settings.key is None:
        raise ConfigurationError(
            f"{settings.path} has no [key]: its tokens come from somebody else", hint="name a place with --directory"
        )
    return settings.key


def credentials_directory() -> Path:
    """Where systemd puts the credentials of the agent's unit; commands run beside it, not in it."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", UNIT_CREDENTIALS))
