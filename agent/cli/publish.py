"""How do the issuer's documents get to where the world reads them?"""

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from agent.assembly.keys import read_key
from agent.assembly.publishing import publisher
from agent.cli.configuration import settings_of
from agent.errors import ConfigurationError
from agent.publishing import Document
from agent.publishing.discovery import address, documents
from agent.settings import Settings
from agent.settings.publishing import Directory, Publishing
from agent.settings.spelling import UNIT_CREDENTIALS

HELP = "write the issuer's documents where the world reads them"
EXAMPLE = "rolecall publish      # or, to another folder: rolecall publish --directory /srv/www/oidc"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the folder to publish to."""
    parser.add_argument(
        "--directory", type=Path, metavar="DIR", help="what is served at the issuer's URL (default: [publishing])"
    )


def run(arguments: argparse.Namespace) -> int:
    """Publish, and say which documents are new."""
    settings = settings_of(arguments.config)
    place = _place(settings, arguments.directory)
    if settings.issuer is None or settings.key is None:
        raise ConfigurationError(
            "there is no issuer of ours to publish: the configuration has no [issuer] or no [key]",
            hint="whoever issues the tokens publishes their keys",
        )
    credentials = Path(os.environ.get("CREDENTIALS_DIRECTORY", UNIT_CREDENTIALS))
    key = read_key(settings.key, credentials)
    shown = documents(settings.issuer.url, [key.public], max_age=place.max_age)
    before = {document.path: _published(place.directory / document.path) for document in shown}
    asyncio.run(publisher(place).publish(shown))
    states = [(document, _state(document, before[document.path])) for document in shown]
    if arguments.json:
        _show_json(settings.issuer.url, place.directory, states)
    else:
        for document, state in states:
            print(f"{state:9}  {place.directory / document.path}")
            print(f"{'':9}  to be read at {address(settings.issuer.url, document.path)}")
        # A folder holds no headers: what the web server is to say is for its own configuration.
        for headers in dict.fromkeys(tuple(document.headers.items()) for document, _ in states):
            print(f"to be served with {' and '.join(f'{name}: {value}' for name, value in headers)}")
    return 0


def _place(settings: Settings, directory: Path | None) -> Publishing:
    if directory is not None:
        usual = settings.publishing or Directory.model_construct(to="directory", directory=directory)
        return usual.model_copy(update={"directory": directory.absolute()})
    if settings.publishing is None:
        raise ConfigurationError(
            "the configuration does not say where to publish",
            hint='add [publishing] with to = "directory" and directory = "…", or give --directory',
        )
    return settings.publishing


def _published(path: Path) -> bytes | None:
    """What is there now, if it can be read; whether it may be replaced is for the publisher to say."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def _state(document: Document, before: bytes | None) -> str:
    if before is None:
        return "new"
    return "unchanged" if before == document.body else "changed"


def _show_json(issuer: str, directory: Path, states: Sequence[tuple[Document, str]]) -> None:
    listed = [
        {
            "path": document.path,
            "url": address(issuer, document.path),
            "state": state,
            "headers": dict(document.headers),
        }
        for document, state in states
    ]
    print(json.dumps({"issuer": issuer, "directory": str(directory), "documents": listed}, indent=2))
