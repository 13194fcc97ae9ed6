"""Where are the issuer's documents put?"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, assert_never

from agent.clock import Clock
from agent.credentials import Credentials
from agent.errors import CredentialsUnavailable, PublishingFailed
from agent.events import Report, RotationStuck
from agent.publishing import Publisher
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.shelf import Shelf
from agent.sessions import RoleSession
from agent.settings import S3, Directory, Https, Settings


@dataclass(frozen=True, slots=True)
class OwnSite:
    """What our own HTTPS listener shows, and where it listens."""

    shelf: Shelf
    issuer: str
    settings: Https


@dataclass(frozen=True, slots=True)
class Place:
    """Where we publish, how to let go of it, and the site that we serve ourselves, if we do."""

    publisher: Publisher
    close: Callable[[], Awaitable[None]]
    site: OwnSite | None = None


def place(
    settings: Settings, sessions: Mapping[str, RoleSession], *, clock: Clock, chance: Random, report: Report
) -> Place | None:
    """The place that [publishing] names, which nothing is opened of yet; None without it.

    `sessions` has those of our own roles, where one of them publishes; it is asked each time.
    """
    words = settings.publishing
    if words is None or settings.issuer is None:
        return None
    made = _made(words, settings.issuer.url, sessions, clock, chance)
    if words.certificates is None:
        return made

    from agent.publishing.certificates import WithCertificates

    def doubtful(doubt: str) -> None:
        report(RotationStuck("certificates", PublishingFailed(doubt, hint="renew what is in publishing.certificates")))

    return Place(WithCertificates(made.publisher, words.certificates, clock, doubtful), made.close, made.site)


def directory_publisher(directory: Path, issuer: str, max_age: timedelta) -> Publisher:
    """A publisher for a folder that is named on the command line."""
    return DirectoryPublisher(directory, issuer, max_age=max_age)


def _made(
    words: Directory | S3 | Https, issuer: str, sessions: Mapping[str, RoleSession], clock: Clock, chance: Random
) -> Place:
    match words:
        case Directory():
            return Place(directory_publisher(words.directory, issuer, words.max_age), _nothing_open)
        case S3():
            return _bucket(words, issuer, sessions, clock, chance)
        case Https():
            shelf = Shelf(issuer, max_age=words.max_age)
            return Place(shelf, _nothing_open, OwnSite(shelf, issuer, words))
        case _:
            assert_never(words)


def _bucket(words: S3, issuer: str, sessions: Mapping[str, RoleSession], clock: Clock, chance: Random) -> Place:
    from agent.clients.late import Late
    from agent.publishing.s3.publisher import Bucket, S3Publisher

    def opening() -> Any:
        from agent.clients.signed import SignedEndpoint, s3_client

        return s3_client(
            SignedEndpoint(
                region=words.region,
                credentials=_credentials(words.credentials, sessions),
                endpoint_url=words.endpoint_url,
                ca_bundle=words.ca_bundle,
                proxy=words.proxy,
            )
        )

    client = Late(opening)
    bucket = Bucket(words.bucket, words.prefix)
    publisher = S3Publisher(client, bucket, issuer, max_age=words.max_age, clock=clock, rng=chance)
    return Place(publisher, client.close)


def _credentials(named: str, sessions: Mapping[str, RoleSession]) -> str | Callable[[], Awaitable[Credentials]]:
    """Whose credentials are used: those of one of our roles as they are then, or what the client finds by that name."""
    kind, _, role = named.partition(":")
    if kind != "role":
        return named

    async def held() -> Credentials:
        session = sessions.get(role)
        if session is None:
            raise CredentialsUnavailable(
                f'publishing.credentials = "{named}" are those of the running agent',
                hint="let the agent publish; by hand, use a profile: see docs/publishing-s3.md",
            )
        return await session.current()

    return held


async def _nothing_open() -> None:
    """Close what needs no closing."""
