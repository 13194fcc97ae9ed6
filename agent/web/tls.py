"""Which certificate do we show?

The chain and the private key of two files, read again when these change. What is new there is shown only if the two
belong together and hold; until then, and for as long as it takes, we go on with what we have.
"""

import os
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from agent.clock import Clock, instant
from agent.errors import ConfigurationError, ListenerUnavailable
from agent.events import CertificateRefused, CertificateReloaded, Report
from agent.publishing.certificates import LARGEST, read_chain, read_file
from agent.turns import Turns

#: How often the files are looked at, in seconds: within so long a renewed certificate is shown.
LOOK_EVERY: Final = 30.0

#: How long a look may take, in seconds: a file server may have gone away.
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Files:
    """Where a certificate chain and its private key are, in PEM; the key is no file of others, as with signing keys.

    Only its owner may have any right to the private key, unless it lies directly in `credentials_directory`, where
    systemd puts what LoadCredential= names: there the group bits are the mask of an access list, not a group.
    """

    certificate: Path
    private_key: Path
    credentials_directory: Path | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, ready to be shown from `not_before` to `not_after`."""

    context: ssl.SSLContext
    not_before: datetime
    not_after: datetime

    def trouble_at(self, now: datetime) -> str:
        """What is wrong with its dates; "" if nothing is."""
        if now < self.not_before:
            return f"is not valid before {instant(self.not_before)}"
        return f"has ended, on {instant(self.not_after)}" if now > self.not_after else ""


class ShownCertificate:
    """The certificate that new connections are shown."""

    def __init__(self, files: Files, clock: Clock, report: Report) -> None:
        """Read nothing yet."""
        self._files = files
        self._clock = clock
        self._report = report
        self._turns = Turns(clock, _PATIENCE)
        self._held: tuple[tuple[int, ...], Pair] | None = None  # with the stamp of its files
        self._suspected = ""
        self._told = ""

    @property
    def context(self) -> ssl.SSLContext:
        """What a connection that begins now is to be shown. To be asked only once `load` has returned."""
        assert self._held is not None
        return self._held[1].context

    async def load(self) -> None:
        """Read the files for the first time, whatever the dates in them: the clock may not be right yet.

        Raises ListenerUnavailable.
        """
        found = await self._found()
        assert found is not None  # nothing is held yet
        self._take(found)

    async def keep_fresh(self) -> NoReturn:
        """Look at the files now and then, for ever."""
        while True:
            await self._clock.sleep(LOOK_EVERY)
            await self.look()

    async def look(self) -> None:
        """Take what is new and good; report what is new and not, once, if it still is so at the next look.

        For two files cannot be replaced in one step: between the steps they do not belong together.
        """
        try:
            found = await self._found()
            if found is not None:
                self._refuse_untimely(found[1])
                self._take(found)
            self._suspected = self._told = ""
        except ListenerUnavailable as error:
            if error.what == self._suspected != self._told:
                self._told = error.what
                self._report(CertificateRefused(str(self._files.certificate), error))
            self._suspected = error.what

    def _take(self, found: tuple[tuple[int, ...], Pair]) -> None:
        self._held = found
        self._report(CertificateReloaded(str(self._files.certificate), found[1].not_after))

    def _refuse_untimely(self, new: Pair) -> None:
        now = self._clock.now()
        if self._held is not None and new.trouble_at(now) and not self._held[1].trouble_at(now):
            raise ListenerUnavailable(
                f"the certificate in {self._files.certificate} {new.trouble_at(now)}",
                hint="put one there that is valid now; the one before goes on being shown",
            )

    async def _found(self) -> tuple[tuple[int, ...], Pair] | None:
        """What lies there and its stamp; None if that is what is held. Raises ListenerUnavailable."""
        held = self._held[0] if self._held is not None else ()
        try:
            return await self._turns.take(_read_unless, self._files, held)
        except TimeoutError as error:
            raise ListenerUnavailable(
                f"the certificate {self._files.certificate} cannot be read: no answer for {_PATIENCE:.0f} s",
                hint="see to its file system",
            ) from error


def _read_unless(files: Files, held: tuple[int, ...]) -> tuple[tuple[int, ...], Pair] | None:
    # Asked before reading: what changes meanwhile is another stamp the next time.
    stamp = (*_stamp(files.certificate), *_stamp(files.private_key))
    return None if stamp == held else (stamp, read_pair(files))


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def read_pair(files: Files) -> Pair:
    """Read both files; blocks. Raises ListenerUnavailable: unreadable, open to others, or not belonging together."""
    chain, key = _chain(files.certificate), _key(files)
    if _spki(key.public_key()) != _spki(chain[0].public_key()):
        raise ListenerUnavailable(
            f"the private key in {files.private_key} does not belong to the certificate in {files.certificate}",
            hint="put both in place; the certificate of this host comes first in its file",
        )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = _context(secret + b"".join(one.public_bytes(Encoding.PEM) for one in chain), files)
    return Pair(context, chain[0].not_valid_before_utc, chain[0].not_valid_after_utc)


def _context(pem: bytes, files: Files) -> ssl.SSLContext:
    """TLS 1.2, HTTP/1.1, and no writing of keys to the file that SSLKEYLOGFILE names.

    Not TLS 1.3: there a stranger may ask for new keys without end (KeyUpdate, RFC 8446 §4.6.3). OpenSSL does that work
    inside one reading, on our loop, where nobody sees or counts it; six connections delayed callers by 0.3 s.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    # ssl reads from files alone: this one is memory, so it shows just what was checked, and no disk ever sees it.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except (ssl.SSLError, OSError) as error:
        raise ListenerUnavailable(
            f"the certificate in {files.certificate} cannot be used for TLS: {getattr(error, 'reason', None) or error}",
            hint="see whether the system's cryptographic policy allows its key",
        ) from error
    finally:
        os.close(descriptor)
    return context


def _chain(path: Path) -> Sequence[x509.Certificate]:
    try:
        return read_chain(read_file(path), path)
    except ConfigurationError as error:  # nothing that a start may fail over for good: the files may yet be put right
        raise ListenerUnavailable(error.what, hint=error.hint) from error


def _key(files: Files) -> PrivateKeyTypes:
    path = files.private_key
    try:
        return load_pem_private_key(_secret_in(path, from_systemd=path.parent == files.credentials_directory), None)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ListenerUnavailable(
            f"{path} holds no private key in PEM that can be used without a passphrase",
            hint=f"give the key that the certificate was made for; look at it with: openssl pkey -noout -in {path}",
        ) from error


def _secret_in(path: Path, *, from_systemd: bool) -> bytes:
    """What a file holds that nobody but its owner may read. Raises OSError, ListenerUnavailable."""
    # NONBLOCK: a FIFO would hold us up for ever. NOFOLLOW: a link in systemd's directory would lead out of it.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_NOFOLLOW if from_systemd else 0)
    # And no os.fdopen: of a directory that raises and leaves it open, at each look.
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        facts = os.fstat(file.fileno())  # of what was opened, not of the path, which may mean another file by now
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
            raise ListenerUnavailable(f"{path} is no file of at most {LARGEST} bytes", hint="correct the path")
        if facts.st_mode & (stat.S_IRWXO if from_systemd else stat.S_IRWXG | stat.S_IRWXO):
            raise ListenerUnavailable(
                f"the private key {path} is open to others than its owner (mode {stat.S_IMODE(facts.st_mode):04o})",
                hint=f"close it with: chmod 600 {path}; if others may have read it, replace key and certificate",
            )
        return file.read(LARGEST)


def _unreadable(path: Path, error: OSError) -> ListenerUnavailable:
    return ListenerUnavailable(
        f"{path} cannot be read: {os.strerror(error.errno or 0)}",
        hint="correct the path in the configuration, or let the agent's user read it",
    )


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
