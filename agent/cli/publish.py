"""How do the issuer's documents get to where the world reads them, and does the world read what it should?"""

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from random import SystemRandom

from agent.assembly.infrastructure import infrastructure_files
from agent.assembly.publishing import directory_publisher, place
from agent.assembly.rotation import public_site
from agent.cli.configuration import settings_of
from agent.cli.keys import credentials_directory
from agent.cli.rotating import ring_of
from agent.cli.terminal import Progress, paint, say, show_json, warn
from agent.clock import SystemClock
from agent.errors import ConfigurationError, PublishingFailed
from agent.infrastructure.written import Kept, current
from agent.publishing import Placed, Publisher
from agent.publishing.discovery import address, published
from agent.publishing.judgement import Level, Verdict, judge
from agent.ring import Ring
from agent.settings import Directory, Settings

HELP = "write the issuer's documents where the world reads them, or see whether it reads what it should"
EXAMPLE = "rolecall publish      # and then, as AWS would read it: rolecall publish --check"

_STYLES: dict[Level, str] = {"good": "green", "doubt": "yellow", "bad": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the folder to publish to, and --check."""
    parser.add_argument(
        "--directory", type=Path, metavar="DIR", help="what is served at the issuer's URL (default: [publishing])"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing: read the documents through the issuer's URL, as AWS would"
    )


def run(arguments: argparse.Namespace) -> int:
    """Publish, and say what is new; or check, and say what is wrong: 1 if AWS would not believe it."""
    settings = settings_of(arguments.config)
    if settings.issuer is None or settings.key is None:
        raise ConfigurationError(
            "there is no issuer of ours to publish: the configuration has no [issuer] or no [key]",
            hint="whoever issues the tokens publishes their keys",
        )
    if arguments.check:
        return asyncio.run(_check(settings, as_json=arguments.json))
    files = _kept_current(settings)  # first: a bucket that is yet to be made is made by them
    placed = asyncio.run(_publish(settings, arguments.directory))
    if arguments.json:
        _show_json(settings.issuer.url, placed, files)
        return 0
    for one in placed:
        print(f"{one.state:9}  {one.where}")
        print(f"{'':9}  to be read at {address(settings.issuer.url, one.document.path)}")
    if arguments.directory or isinstance(settings.publishing, Directory):
        # A folder holds no headers: what the web server is to say is for its own configuration.
        for headers in dict.fromkeys(tuple(one.document.headers.items()) for one in placed):
            print(f"to be served with {' and '.join(f'{name}: {value}' for name, value in headers)}")
    return 0


def _kept_current(settings: Settings) -> Sequence[Kept]:
    """Bring the files for AWS and the web server up to date, where the configuration says where they are."""
    if settings.infrastructure is None:
        return ()
    files, why_not = infrastructure_files(settings)
    if why_not is not None:
        warn(why_not)
    kept = current(settings.infrastructure.directory, files)
    for file in kept:
        if file.message:
            say(f"{paint('warning', 'yellow')}: {file.message}")
        elif file.state != "unchanged":
            say(f"{file.state:9}  {file.path}")
    return kept


async def _publish(settings: Settings, directory: Path | None) -> Sequence[Placed]:
    ring = await ring_of(settings, credentials_directory())
    async with AsyncExitStack() as stack:
        publisher = _publisher(settings, directory, stack)
        return await publisher.publish([published(key) for key in ring.shown], ring.withdrawn)


def _publisher(settings: Settings, directory: Path | None, stack: AsyncExitStack) -> Publisher:
    assert settings.issuer is not None
    if directory is not None:
        usual = timedelta(minutes=5) if settings.publishing is None else settings.publishing.max_age
        return directory_publisher(directory.absolute(), settings.issuer.url, usual)
    there = place(settings, {}, clock=SystemClock(), chance=SystemRandom(), report=lambda _: None)
    if there is None:
        raise ConfigurationError(
            "the configuration does not say where to publish",
            hint='add [publishing] with to = "directory" and directory = "…", or give --directory',
        )
    stack.push_async_callback(there.close)
    if there.site is not None:
        raise PublishingFailed(
            'with publishing.to = "https" the agent itself shows the documents, while it runs',
            hint="see what the world reads: rolecall publish --check",
        )
    return there.publisher


async def _check(settings: Settings, *, as_json: bool) -> int:
    ring = await ring_of(settings, credentials_directory())
    assert settings.issuer is not None
    with Progress() as progress:
        progress.show(f"reading {settings.issuer.url} as AWS would …")
        inspection = await public_site(settings, SystemClock()).inspect()
    verdicts = judge(inspection, *_expected(ring))
    bad = any(verdict.level == "bad" for verdict in verdicts)
    if as_json:
        listed = [{"level": one.level, "what": one.what, "hint": one.hint or None} for one in verdicts]
        show_json({"issuer": settings.issuer.url, "good": not bad, "verdicts": listed})
    else:
        for verdict in verdicts:
            _say(verdict)
    return int(bad)


def _expected(ring: Ring) -> tuple[dict[str, dict[str, object]], list[str]]:
    """The keys that the world should read, and those among them that may still be on their way there."""
    announced = [] if ring.announced is None else [ring.announced.public.kid]
    return {key.kid: published(key) for key in ring.shown}, announced


def _say(verdict: Verdict) -> None:
    print(f"{paint(f'{verdict.level:5}', _STYLES[verdict.level])}  {verdict.what}")
    if verdict.hint and verdict.level != "good":
        say(f"       hint: {verdict.hint}")


def _show_json(issuer: str, placed: Sequence[Placed], files: Sequence[Kept]) -> None:
    listed = [
        {
            "path": one.document.path,
            "url": address(issuer, one.document.path),
            "where": one.where,
            "state": one.state,
            "headers": dict(one.document.headers),
        }
        for one in placed
    ]
    kept = [{"file": str(file.path), "state": file.state} for file in files]
    show_json({"issuer": issuer, "documents": listed, "files": kept})
