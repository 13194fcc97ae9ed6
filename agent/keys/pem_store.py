"""Which PEM files are our keys, and how does another come to be?

One file that somebody else looks after, or a directory of our own, in which each key that we make is called by its
kid: KID.pem.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from agent.errors import ConfigurationError
from agent.keys import Algorithm, Kind, PublicKey
from agent.keys.files import names_in, remove, write_new
from agent.keys.pem import PemKey, generate
from agent.secret import Secret
from agent.threads import aside

#: Reads the passphrase of encrypted keys; None where they are not encrypted. Raises KeyUnavailable.
Passphrase = Callable[[], Secret | None]


class PemStore:
    """A custodian of keys in PEM files. Just one of `file` and `directory` is given."""

    kind = "pem"

    def __init__(
        self,
        *,
        file: Path | None = None,
        directory: Path | None = None,
        passphrase: Passphrase = lambda: None,
        algorithm: Algorithm | None = None,
        credentials_directory: Path | None = None,
    ) -> None:
        """Read nothing yet. The rest is as for `PemKey.read`; `passphrase` is asked each time."""
        self._file = file
        self._directory = directory
        self.passphrase = passphrase
        self._algorithm = algorithm
        self._credentials_directory = credentials_directory

    async def names(self) -> Sequence[str]:
        """The file; or all *.pem of the directory, by name. Raises KeyUnavailable."""
        return [str(self._file)] if self._file is not None else await aside(self.listed)

    async def open(self, name: str) -> PemKey:
        """The key in a file. Raises KeyUnavailable or ConfigurationError."""
        return await aside(self.read, name)

    def read(self, name: str) -> PemKey:
        """Do what `open` does, blocking."""
        return PemKey.read(
            self.path(name),
            passphrase=self.passphrase(),
            algorithm=self._algorithm,
            credentials_directory=self._credentials_directory,
        )

    async def make(self, kind: Kind) -> str:
        """Make a key, encrypted if there is a passphrase. Raises ConfigurationError or KeyUnavailable."""
        return (await aside(self.make_now, kind))[0].name

    def make_now(self, kind: Kind) -> tuple[Path, PublicKey]:
        """Do what `make` does, blocking: the file, and the public half."""
        if self._directory is None:
            raise ConfigurationError(
                f"there can be no second key in {self._file}, which is one file",
                hint="name the next key in [key.next], or use key.directory, in which the agent makes keys itself",
            )
        passphrase = self.passphrase()
        pem = generate(kind, passphrase=passphrase)
        public = PemKey.parse(
            Secret(pem.decode("ascii")),
            origin="the new key",
            passphrase=passphrase,
            algorithm=_fitting(self._algorithm, kind),
        ).public
        path = self._directory / f"{public.kid}.pem"
        write_new(path, pem)
        return path, public

    async def discard(self, name: str) -> None:
        """Take away the file of a key. Raises KeyUnavailable, and ConfigurationError for a file that is not ours."""
        if self._directory is None:
            raise ConfigurationError(f"the key file {name} is not ours to destroy", hint="remove it by hand")
        await aside(remove, self.path(name))

    async def close(self) -> None:
        """Nothing is open."""

    def path(self, name: str) -> Path:
        """The file of a name; where there is one file it is that one, by whatever name it went before it was moved."""
        if self._directory is not None:
            return self._directory / Path(name).name
        assert self._file is not None
        return self._file

    def listed(self) -> list[str]:
        """Do what `names` does for a directory, blocking."""
        assert self._directory is not None
        return names_in(self._directory, ".pem")


def _fitting(algorithm: Algorithm | None, kind: Kind) -> Algorithm | None:
    """The configured algorithm where it fits the kind: a rotation from RSA to EC must not be refused for it."""
    return algorithm if algorithm is not None and algorithm.startswith("RS") == kind.startswith("rsa") else None
