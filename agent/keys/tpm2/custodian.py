"""Who holds the private key? A TPM 2.0, which made it and never lets it out.

What lies on the disk is the key as only that TPM can open it, or nothing at all where the key is at a persistent
handle. Each signature is checked before it leaves, so that whatever sits at a handle now, it is never taken for the
key that was announced.
"""

import asyncio
import os
import shlex
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from cryptography.hazmat.primitives import hashes

from agent.clock import Clock
from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, Kind, PublicKey
from agent.keys.files import names_in, read_small, remove, write_new
from agent.keys.halves import Public, described, digest, made_by, prove
from agent.keys.tpm2.refusals import AuthRefused, Busy
from agent.keys.tpm2.shapes import Held, Wrapped, read_wrapped, to_pem
from agent.keys.tpm2.tss import Auths, Chip
from agent.secret import Secret
from agent.turns import Turns

T = TypeVar("T")

#: How the files of keys end.
SUFFIX: Final = ".tss"
#: How long a TPM may take to find the primes of an RSA key: some take a minute and more.
MAKING: Final = 300.0

_LARGEST_KEY_FILE = 16 * 1024  # RSA-4096 takes 3 kB
#: Seconds between the questions to a TPM that asks to be asked again; the TSS has asked five times by then.
_AGAIN: Final = (0.1, 0.3, 1.0, 3.0)
#: Among the names of keys, the owner hierarchy.
_OWNER: Final = "owner"
_NOTHING: Final = Secret("")


@dataclass(frozen=True, slots=True)
class Handle:
    """One key, at a persistent handle as the settings write it: "0x81000042"."""

    handle: str


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key, in a file."""

    path: Path


@dataclass(frozen=True, slots=True)
class KeyDirectory:
    """All keys in files *.tss of a directory, where further ones are made."""

    path: Path


#: Where keys are.
Place = Handle | KeyFile | KeyDirectory
#: Reads an auth value afresh; may block, and raise KeyUnavailable.
ReadAuth = Callable[[], Secret]


class Tpm2:
    """The keys of one TPM. A key's name is its handle, the path of its file, or the file's name in the directory."""

    kind: Final = "tpm2"

    def __init__(
        self,
        place: Place,
        *,
        tcti: str,
        clock: Clock,
        read_auth: ReadAuth | None = None,
        read_owner_auth: ReadAuth | None = None,
        algorithm: Algorithm | None = None,
        patience: float = 30.0,
    ) -> None:
        """Reach the TPM through `tcti`, when there is something to do.

        `read_auth` gives the auth value of every key here, and of those that are made; None where they have none.
        `patience` is how many seconds a signature may take, with the wait for others; the making of keys has MAKING.
        """
        self._place = place
        self._clock = clock
        self._patience = patience
        self._algorithm = algorithm
        self._tpm = _Tpm(Chip(tcti), read_auth, read_owner_auth)
        self._signing = Turns(clock, patience)
        # Its own, for the longer wait. That two never speak to the TPM at once, the Chip sees to.
        self._making = Turns(clock, max(patience, MAKING))
        self._closed = False

    async def names(self) -> Sequence[str]:
        """The handle; the file; or the files of the directory, in order. Raises KeyUnavailable."""
        match self._place:
            case Handle(handle):
                return (handle,)
            case KeyFile(path):
                return (str(path),)
            case KeyDirectory(path):
                return await asyncio.to_thread(names_in, path, SUFFIX)

    async def open(self, name: str) -> "Tpm2Key":
        """The key at that handle or in that file, once it has signed.

        Raises KeyUnavailable, and ConfigurationError for an algorithm, an auth value or a TCTI that does not fit.
        """
        origin = self._origin(name)
        held, half, bound = await self._asked(self._signing, self._tpm.found, origin)
        if bound is not None and self._algorithm not in (None, bound):
            raise ConfigurationError(
                f"the key in {origin} is bound to {bound}, and cannot sign with {self._algorithm}",
                hint=f'set algorithm = "{bound}", or leave it out',
            )
        public = described(half, self._algorithm or bound, origin)
        opened = _Opened(origin, held, half, public)
        key = Tpm2Key(public, lambda message: self._signed(opened, message))
        # Whether an auth value is wanted, only the TPM knows: what files say of it is not to be relied on, as
        # tpm2_encodeobject up to 5.7 says the contrary of what is so.
        with _mistake():
            await prove(key, half, origin)
        return key

    async def make(self, kind: Kind) -> str:
        """Make a key in the TPM and write its file into the directory: KID.tss.

        Raises KeyUnavailable, and ConfigurationError where there is no directory, for a kind that this TPM or the
        algorithm excludes, and for an auth value or a TCTI that does not fit.
        """
        if not isinstance(self._place, KeyDirectory):
            where = "a persistent handle" if isinstance(self._place, Handle) else "one file"
            raise ConfigurationError(
                f"the configuration names {where}, where no further key can be made",
                hint='name a directory instead: directory = "/var/lib/rolecall/keys" under [key], or [key.next]',
            )
        if not await asyncio.to_thread(os.access, self._place.path, os.W_OK | os.X_OK):  # seen before minutes of work
            raise KeyUnavailable(
                f"there is no directory {self._place.path} in which a key file can be written",
                hint=f"make it, for the agent's user alone: mkdir -p -m 700 {shlex.quote(str(self._place.path))}",
            )
        with _mistake():
            wrapped = await self._asked(self._making, self._tpm.made, kind)
        half, _ = self._tpm.chip.half(wrapped, "the new key")  # asks nobody: it is in what was made
        public = described(half, self._algorithm, f"a new {kind} key")
        name = f"{public.kid}{SUFFIX}"
        await asyncio.to_thread(write_new, self._place.path / name, to_pem(wrapped))
        return name

    async def discard(self, name: str) -> None:
        """Remove the file of a key; with that, nobody can load it again, unless there is a copy.

        Raises KeyUnavailable, and ConfigurationError for a key that is not in the directory.
        """
        if not isinstance(self._place, KeyDirectory) or Path(name).name != name or not name.endswith(SUFFIX):
            raise ConfigurationError(
                f"{name} is not a key that the agent made, and is not removed",
                hint="remove it by hand: a file with rm, a key at a handle with tpm2_evictcontrol -c",
            )
        await asyncio.to_thread(remove, self._place.path / name)

    async def close(self) -> None:
        """Sign no more; there is no connection to end."""
        self._closed = True

    def _origin(self, name: str) -> str:
        """Where a key is: what errors call it."""
        return str(self._place.path / Path(name).name) if isinstance(self._place, KeyDirectory) else name

    async def _signed(self, opened: "_Opened", message: bytes) -> bytes:
        if self._closed:
            raise KeyUnavailable("the custodian of the key has been closed", hint="open the key again")
        try:
            return await self._asked(self._signing, self._tpm.signed, opened, message)
        except ConfigurationError as error:  # a TCTI that was there when the key was opened
            raise KeyUnavailable(error.what, hint=error.hint) from error

    async def _asked(self, turns: Turns, work: Callable[..., T], *args: object) -> T:
        """Do blocking work in its turn, again where the TPM asks for that."""
        try:
            for pause in _AGAIN:
                try:
                    return await turns.take(work, *args)
                except Busy:
                    await self._clock.sleep(pause)
            return await turns.take(work, *args)
        except TimeoutError as error:
            limit = self._patience if turns is self._signing else max(self._patience, MAKING)
            raise KeyUnavailable(
                f"the TPM at {self._tpm.chip.tcti} has not answered within {limit:g} s",
                hint="see whether it answers anybody: tpm2_getrandom 4; if not, restart the machine",
            ) from error


class Tpm2Key:
    """A key in a TPM; all that is here is how to ask for a signature."""

    __slots__ = ("_public", "_sign")

    def __init__(self, public: PublicKey, sign: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Take the public half, and who signs."""
        self._public = public
        self._sign = sign

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    async def sign(self, message: bytes) -> bytes:
        """Sign in the TPM, in its turn. Raises KeyUnavailable."""
        return await self._sign(message)

    def __repr__(self) -> str:
        """Name the key."""
        return f"Tpm2Key({self._public.kid}, {self._public.algorithm})"


@dataclass(frozen=True, slots=True)
class _Opened:
    name: str
    held: Held
    half: Public
    public: PublicKey


@dataclass(slots=True)
class _Tpm:
    """What is done in threads: one at a time, all of it may block.

    `refused` remembers the auth value that was last refused, by key: it is tried once, and then not again until the
    file that it comes from holds another. Otherwise each retry would bring the TPM nearer to locking itself.
    """

    chip: Chip
    read_auth: ReadAuth | None
    read_owner_auth: ReadAuth | None
    refused: dict[str, Secret] = field(default_factory=dict, repr=False)

    def found(self, origin: str) -> tuple[Held, Public, Algorithm | None]:
        """The key at that handle or in that file, and what it says of itself."""
        held: Held = int(origin, 16) if origin.startswith("0x") else _in_file(Path(origin))
        half, bound = self.chip.half(held, origin)
        return held, half, bound

    def signed(self, opened: _Opened, message: bytes) -> bytes:
        """A signature that fits the public half."""
        algorithm = opened.public.algorithm
        hashed = hashes.Hash(digest(algorithm))
        hashed.update(message)
        auths = self._auths(opened.name)
        try:
            signature = self.chip.sign(opened.held, algorithm, hashed.finalize(), auths, opened.name)
        except AuthRefused as error:
            self._remember(error, opened.name, auths)
            raise
        if not made_by(opened.half, algorithm, message, signature):
            raise KeyUnavailable(
                f"what the TPM signs with the key in {opened.name} does not fit its public half",
                hint="no token is signed with it: if another key has taken its place, restart the agent to use that",
            )
        return signature

    def made(self, kind: Kind) -> Wrapped:
        """A new key."""
        auths = self._auths(kind)
        try:
            return self.chip.make(kind, auths)
        except AuthRefused as error:
            self._remember(error, kind, auths)
            raise

    def _auths(self, name: str) -> Auths:
        auths = Auths(
            key=None if self.read_auth is None else self.read_auth(),
            owner=None if self.read_owner_auth is None else self.read_owner_auth(),
        )
        if auths.key is None and name in self.refused:
            raise _lacks_auth(name)
        for whose, value, setting in ((name, auths.key, "auth_file"), (_OWNER, auths.owner, "owner_auth_file")):
            if value is not None and self.refused.get(whose) == value:
                raise AuthRefused(
                    f"the TPM has refused the auth value from {setting}, which is still the same",
                    hint=f"put the right one into {setting}; until then the TPM is not asked, lest it lock itself",
                )
        return auths

    def _remember(self, error: AuthRefused, name: str, auths: Auths) -> None:
        if error.of_owner:
            self.refused[_OWNER] = auths.owner or _NOTHING
            return
        self.refused[name] = auths.key or _NOTHING
        if auths.key is None:
            raise _lacks_auth(name) from error


@contextmanager
def _mistake() -> Iterator[None]:
    """A wrong auth value at the start is the operator's mistake, and no matter of trying again.

    With that the agent ends with the exit code after which systemd does not start it again by itself: each start would
    bring a TPM that counts nearer to locking itself.
    """
    try:
        yield
    except AuthRefused as error:
        raise ConfigurationError(error.what, hint=error.hint) from error


def _in_file(path: Path) -> Wrapped:
    return read_wrapped(read_small(path, _LARGEST_KEY_FILE), str(path))


def _lacks_auth(name: str) -> AuthRefused:
    return AuthRefused(
        f"the key in {name} takes an auth value, and none is configured",
        hint="name a file or a systemd credential that holds it: auth_file",
    )
