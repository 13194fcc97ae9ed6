"""Which custodian holds the key, and which file is it?"""

import asyncio
from pathlib import Path

from agent.errors import ConfigurationError
from agent.keys import PublicKey, SigningKey
from agent.keys.pem import Kind, PemKey, generate, read_passphrase, write_new
from agent.secret import Secret
from agent.settings.keys import Key, Pem


async def signing_key(settings: Key, credentials_directory: Path | None) -> SigningKey:
    """Load the key that signs, off the loop. Raises KeyUnavailable or ConfigurationError."""
    return await asyncio.to_thread(read_key, settings, credentials_directory)


def read_key(settings: Key, credentials_directory: Path | None) -> SigningKey:
    """Do what `signing_key` does, blocking."""
    match settings:
        case Pem():
            passphrase = None
            if settings.passphrase_file is not None:
                passphrase = read_passphrase(settings.passphrase_file, credentials_directory=credentials_directory)
            return PemKey.read(
                key_file(settings),
                passphrase=passphrase,
                algorithm=settings.algorithm,
                credentials_directory=credentials_directory,
            )


def key_file(settings: Pem) -> Path:
    """The one file that holds the key. Raises ConfigurationError if a directory has none, or several."""
    if settings.file is not None:
        return settings.file
    assert settings.directory is not None  # the settings see to it that there is one or the other
    match key_files(settings.directory):
        case [only]:
            return only
        case []:
            raise ConfigurationError(f"there is no key in {settings.directory}", hint="make one: rolecall keys new")
        case several:
            raise ConfigurationError(
                f"there are {len(several)} keys in {settings.directory}, and nothing says which of them signs",
                hint='name it: key.file = "…" instead of key.directory',
            )


def key_files(directory: Path) -> list[Path]:
    """All key files of a directory, by name. Raises ConfigurationError."""
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".pem" and not path.name.startswith("."))
    except OSError as error:
        raise ConfigurationError(
            f"the key directory {directory} cannot be read: {error.strerror}",
            hint="make it with: rolecall init; or correct key.directory",
        ) from error


def make_key(directory: Path, kind: Kind) -> tuple[Path, PublicKey]:
    """Make a key and keep it as KID.pem in `directory`. Raises ConfigurationError or KeyUnavailable."""
    pem = generate(kind)
    public = PemKey.parse(Secret(pem.decode("ascii")), origin="the new key").public
    path = directory / f"{public.kid}.pem"
    write_new(path, pem)
    return path, public
