"""Which files and directories does a configuration name, and what does the agent need of each?"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.settings import Directory, Https, Settings
from agent.settings.cognito import Cognito
from agent.settings.keys import Key, paths_of
from agent.settings.oauth2 import OAuth2
from agent.settings.tokens import FromFile

_TO_NOBODY: Final = stat.S_IRWXG | stat.S_IRWXO
#: Of the words of [key], those of files that anybody may read.
_PLAIN: Final = frozenset({"module", "ca_bundle"})
#: Is there while the unit runs, and only then.
_OF_OUR_RUN: Final = Path("/run/rolecall")


@dataclass(frozen=True, slots=True)
class Named:
    """A file, or a directory, that a setting names.

    Attributes:
        word: the path of the setting.
        closed_to: the rights that nobody but the owner may have to a file.
        secret: whether a secret is in it.
        directory: whether it is to be a directory.
        written: whether the agent writes there.
        made: whether the agent makes it, so that it need not be there yet.
    """

    word: str
    path: Path
    closed_to: int = stat.S_IWOTH
    secret: bool = False
    directory: bool = False
    written: bool = False
    made: bool = False


def named(settings: Settings) -> Iterator[Named]:
    """Everything that is named."""
    yield Named(str(settings.path), settings.path)
    if isinstance(settings.identity, FromFile):
        yield Named("identity.file", settings.identity.file, stat.S_IRWXO, secret=True)
    if isinstance(settings.identity, OAuth2):
        yield from _of_provider(settings.identity)
    if isinstance(settings.identity, Cognito):
        yield from _of_sign_in(settings.identity)
    for number, grant in enumerate(settings.grants, start=1):
        yield from (Named(f"grants#{number}.token_file", path, stat.S_IRWXO, secret=True) for path in grant.token_file)
    yield from _of_authorities(settings)
    for table, key in (("key", settings.key), ("key.next", settings.next_key)):
        yield from _of_key(table, key, settings)
    yield from _of_publishing(settings)
    yield from _of_callers(settings)
    ring = settings.rotation.state if settings.rotation else None
    if ring is not None and ring not in {path for _, path in paths_of(settings.key)}:
        yield Named("rotation.state", ring, directory=True, written=True)


def _of_authorities(settings: Settings) -> Iterator[Named]:
    """By what we know those whom we ask, as far as that is not said beside their secrets."""
    sections = {"issuer": settings.issuer, "sts": settings.sts, "identity_center": settings.identity_center}
    rules = {f"verify.{name}": rule for name, rule in settings.verify.items()}
    for section, words in {**sections, **rules}.items():
        if words is not None and words.ca_bundle is not None:
            yield Named(f"{section}.ca_bundle", words.ca_bundle)


def _of_provider(words: OAuth2) -> Iterator[Named]:
    """What shows an OAuth 2.0 provider who we are, and whom we trust to be it."""
    if words.client_secret_file is not None:
        yield Named("identity.client_secret_file", words.client_secret_file, _TO_NOBODY, secret=True)
    if words.client_key is not None:
        yield Named("identity.client_key", words.client_key, _TO_NOBODY, secret=True)
    if words.client_certificate is not None:
        yield Named("identity.client_certificate", words.client_certificate)
    if words.ca_bundle is not None:
        yield Named("identity.ca_bundle", words.ca_bundle)


def _of_sign_in(words: Cognito) -> Iterator[Named]:
    """What a user signs in with, and where that is kept."""
    for word, path in words.secret_paths.items():
        yield Named(f"identity.{word}", path, _TO_NOBODY, secret=True)
    if words.ca_bundle is not None:
        yield Named("identity.ca_bundle", words.ca_bundle)
    yield Named("identity.state", words.state, _TO_NOBODY, secret=True, made=True)
    yield Named("identity.state", words.state.parent, directory=True, written=True)


def _of_callers(settings: Settings) -> Iterator[Named]:
    """What is kept for callers, and where it is put."""
    tokens = settings.unit_tokens
    if tokens is not None:
        yield Named("unit_tokens.secret", tokens.secret, _TO_NOBODY, secret=True, made=True)
        yield Named("unit_tokens.secret", tokens.secret.parent, directory=True, written=True)
        if not tokens.socket.is_relative_to(_OF_OUR_RUN):
            yield Named("unit_tokens.socket", tokens.socket.parent, directory=True, written=True)
    for number, file in enumerate(settings.files, start=1):
        if not file.path.is_relative_to(_OF_OUR_RUN):
            yield Named(f"files#{number}.path", file.path.parent, directory=True, written=True)
        yield Named(f"files#{number}.path", file.path, stat.S_IRWXO, made=True)


def _of_key(table: str, key: Key | None, settings: Settings) -> Iterator[Named]:
    for word, path in paths_of(key):
        where = f"{table}.{word}"
        if word == "directory":
            yield Named(where, path, directory=True, written=settings.rotation is not None)
        elif word in _PLAIN:
            yield Named(where, path)
        else:
            yield Named(where, path, _TO_NOBODY, secret=True)


def _of_publishing(settings: Settings) -> Iterator[Named]:
    place = settings.publishing
    if place is None:
        return
    if isinstance(place, Directory):
        yield Named("publishing.directory", place.directory, directory=True, written=True)
    elif isinstance(place, Https):
        yield Named("publishing.certificate", place.certificate)
        yield Named("publishing.private_key", place.private_key, _TO_NOBODY, secret=True)
    elif place.ca_bundle is not None:
        yield Named("publishing.ca_bundle", place.ca_bundle)
    if place.certificates is not None:
        yield Named("publishing.certificates", place.certificates, directory=True)
