"""Which custodian holds the key, and which file is it?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.keys import Kind, PublicKey, SigningKey
from agent.keys.pem import PemKey, generate, read_passphrase, write_new
from agent.secret import Secret
from agent.settings.keys import Key, Pem
from agent.threads import aside


async def signing_key(settings: Key, credentials_directory: Path | None) -> SigningKey:
    """Load the key that signs, off the loop. Raises KeyUnavailable or ConfigurationError."""
    return await aside(read_key, settings, credentials_directory)


def read_key(settings: Key, credentials_directory: Path | None) -> SigningKey:
    """Do what `signing_key` does, blocking."""
    match settings:
        case Pem():
            return PemKey.read(
                key_file(settings),
                passphrase=_passphrase(settings, credentials_directory),
                algorithm=settings.algorithm,
                credentials_directory=credentials_directory,
            )


def key_file(settings: Pem) -> Path:
    """The one file that holds the key. Raises KeyUnavailable if a directory has none, ConfigurationError if several."""
    if settings.file is not None:
        return settings.file
    assert settings.directory is not None  # the settings see to it that there is one or the other
    match key_files(settings.directory):
        case [only]:
            return only
        case []:
            raise KeyUnavailable(f"there is no key in {settings.directory}", hint="make one: rolecall keys new")
        case several:
            raise ConfigurationError(
                f"there are {len(several)} keys in {settings.directory}, and nothing says which of them signs",
                hint='name it: key.file = "…" instead of key.directory',
            )


def key_files(directory: Path) -> list[Path]:
    """All key files of a directory, by name. Raises KeyUnavailable, since it may be one that is mounted later."""
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".pem" and not path.name.startswith("."))
    except OSError as error:
        raise KeyUnavailable(
            f"the key directory {directory} cannot be read: {error.strerror}",
            hint="run it as root or as the agent's user"
            if isinstance(error, PermissionError)
            else "make it with: rolecall init; or correct key.directory",
        ) from error


def make_key(directory: Path, kind: Kind, *, passphrase: Secret | None = None) -> tuple[Path, PublicKey]:
    """Make a key and keep it as KID.pem in `directory`. Raises ConfigurationError or KeyUnavailable."""
    pem, public = _new(kind, passphrase)
    path = directory / f"{public.kid}.pem"
    write_new(path, pem)
    return path, public


def make_configured_key(settings: Key, kind: Kind, credentials_directory: Path | None) -> tuple[Path, PublicKey]:
    """Make the key that the configuration speaks of, where it says and encrypted if it names a passphrase.

    Raises ConfigurationError, above all if there is a key already, and KeyUnavailable.
    """
    passphrase = _passphrase(settings, credentials_directory)
    if settings.directory is not None:
        if there := key_files(settings.directory):
            raise ConfigurationError(
                f"there is a key in {settings.directory} already: {there[0].name}",
                hint="make the new one elsewhere with --directory; with two the agent could not tell which one signs",
            )
        return make_key(settings.directory, kind, passphrase=passphrase)
    pem, public = _new(kind, passphrase)
    write_new(key_file(settings), pem)
    return key_file(settings), public


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file in which there should be a key, and what is found there: its public half, or why there is none."""

    path: Path
    found: PublicKey | AgentError


def configured_keys(settings: Key, credentials_directory: Path | None) -> list[KeyFile]:
    """Look at all keys where the configuration says that they are. Raises ConfigurationError or KeyUnavailable."""
    passphrase = _passphrase(settings, credentials_directory)
    paths = [settings.file] if settings.file is not None else key_files(settings.directory or Path())

    def read(path: Path) -> PublicKey:
        return PemKey.read(
            path,
            passphrase=passphrase,
            algorithm=settings.algorithm,
            credentials_directory=credentials_directory,
        ).public

    return [_looked_at(path, read) for path in paths]


def keys_in(directory: Path) -> list[KeyFile]:
    """Look at all keys in a directory, none of them encrypted. Raises KeyUnavailable."""
    return [_looked_at(path, lambda path: PemKey.read(path).public) for path in key_files(directory)]


def _looked_at(path: Path, read: Callable[[Path], PublicKey]) -> KeyFile:
    try:
        return KeyFile(path, read(path))
    except AgentError as error:
        return KeyFile(path, error)


def _passphrase(settings: Pem, credentials_directory: Path | None) -> Secret | None:
    if settings.passphrase_file is None:
        return None
    return read_passphrase(settings.passphrase_file, credentials_directory=credentials_directory)


def _new(kind: Kind, passphrase: Secret | None) -> tuple[bytes, PublicKey]:
    pem = generate(kind, passphrase=passphrase)
    return pem, PemKey.parse(Secret(pem.decode("ascii")), origin="the new key", passphrase=passphrase).public
