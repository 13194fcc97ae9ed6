"""Who holds the private key? A PEM file, read once and kept in memory.

Two errors, two turns: `KeyUnavailable` is said of the file (it is missing, others can read it, it holds the wrong
thing); `ConfigurationError` is said of a setting that does not fit a file which is sound in itself (an algorithm, a
passphrase too many or too few).
"""

import asyncio
import errno
import os
import re
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, Kind, PublicKey
from agent.keys.halves import CHALLENGE, WHAT_FITS, described, digest, fit, made_by, raw_signature
from agent.secret import Secret

_Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_GENERATED_CURVES: Final = {"ec-p256": ec.SECP256R1(), "ec-p384": ec.SECP384R1(), "ec-p521": ec.SECP521R1()}

_LARGEST_KEY_FILE = 64 * 1024  # an encrypted RSA-4096 key and a chain of certificates beside it take about 10 kB
_LARGEST_PASSPHRASE = 1023  # bytes; OpenSSL takes no more
_LARGEST_SECRET = 16 * 1024  # JWTs take the most

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_PRIVATE_LABELS = {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"}
#: What people hand over instead: PEM label → (what it is, what to do).
_OTHER_LABELS: Final = {
    "PUBLIC KEY": ("a public key", "give the private half, which only this host should have"),
    "RSA PUBLIC KEY": ("a public key", "give the private half, which only this host should have"),
    "CERTIFICATE": ("a certificate", "give the private key that belongs to it"),
    "OPENSSH PRIVATE KEY": ("a key in the OpenSSH format", "convert a copy with: ssh-keygen -p -m PKCS8 -f COPY"),
}


class PemKey:
    """A private key in memory; nothing shows it, and it leaves only as signatures."""

    __slots__ = ("_private", "_public")

    def __init__(self, private: _Private, public: PublicKey) -> None:
        """Take both halves; `read` and `parse` are where they are checked."""
        self._private = private
        self._public = public

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        passphrase: Secret | None = None,
        algorithm: Algorithm | None = None,
        credentials_directory: Path | None = None,
    ) -> "PemKey":
        """Read the key in `path`; blocks, so call it off the loop.

        Only its owner may have any right to the file, unless it lies directly in `credentials_directory`, where
        systemd puts what LoadCredential= names: there the group bits are the mask of an access list, not a group.
        `algorithm` is RS256 for an RSA key unless told otherwise; a curve leaves no choice.

        Raises KeyUnavailable for the file, ConfigurationError for an algorithm or passphrase that does not fit it.
        """
        pem = _read_private(path, "private key", _LARGEST_KEY_FILE, credentials_directory)
        return cls.parse(pem, origin=str(path), passphrase=passphrase, algorithm=algorithm)

    @classmethod
    def parse(
        cls, pem: Secret, *, origin: str, passphrase: Secret | None = None, algorithm: Algorithm | None = None
    ) -> "PemKey":
        """Take the key out of PEM text; `origin` names it in errors, which are those of `read`."""
        private = _decode(_private_block(pem, origin), origin, passphrase)
        key = cls(private, described(private.public_key(), algorithm, origin))
        key._prove(origin)
        return key

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    async def sign(self, message: bytes) -> bytes:
        """Sign in a thread: RSA takes milliseconds, and OpenSSL lets go of the interpreter's lock meanwhile."""
        return await asyncio.to_thread(self._sign, message)

    def __repr__(self) -> str:
        """Name the key, not show it."""
        return f"PemKey({self._public.kid}, {self._public.algorithm})"

    def _sign(self, message: bytes) -> bytes:
        algorithm = digest(self._public.algorithm)
        try:
            if isinstance(self._private, rsa.RSAPrivateKey):
                return self._private.sign(message, padding.PKCS1v15(), algorithm)
            return raw_signature(self._private.sign(message, ec.ECDSA(algorithm)), self._public.algorithm)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyUnavailable(
                f"the key {self._public.kid} cannot sign with {self._public.algorithm} on this machine",
                hint="see whether the system's cryptographic policy (FIPS mode) forbids it",
            ) from error

    def _prove(self, origin: str) -> None:
        """Sign and verify once, so that a key whose halves do not match is found now and not by AWS."""
        signature = self._sign(CHALLENGE)
        if not made_by(self._private.public_key(), self._public.algorithm, CHALLENGE, signature):
            raise _damaged(origin)


def generate(kind: Kind, *, passphrase: Secret | None = None) -> bytes:
    """Make a key and give it as PKCS#8 PEM, encrypted if there is a passphrase; takes up to seconds for RSA."""
    private = _generated(kind)
    # A name that begins with a dash is an option to every command that gets it, and so is that of its file.
    while described(private.public_key(), None, "the new key").kid.startswith("-"):
        private = _generated(kind)
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase.reveal().encode())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _generated(kind: Kind) -> _Private:
    if kind in _GENERATED_CURVES:
        return ec.generate_private_key(_GENERATED_CURVES[kind])
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa-")))


def read_passphrase(path: Path, *, credentials_directory: Path | None = None, what: str = "passphrase") -> Secret:
    """Read a passphrase, a PIN or the like from a file that nobody else can read (the rule for keys: `PemKey.read`).

    One newline at the end is dropped, because editors and echo put it there; nothing else is, because any other
    blank may be meant. Raises KeyUnavailable.
    """
    largest = _LARGEST_PASSPHRASE if what == "passphrase" else _LARGEST_SECRET
    text = _read_private(path, what, largest + 1, credentials_directory)
    try:
        passphrase = Secret(text.reveal().encode("latin-1").decode("utf-8").removesuffix("\n"))
    except UnicodeDecodeError:
        # Not chained: a UnicodeDecodeError carries the bytes that it could not decode.
        raise KeyUnavailable(
            f"the {what} in {path} is not UTF-8 text", hint=f"write the {what} as UTF-8, on one line"
        ) from None
    if not passphrase:
        raise KeyUnavailable(f"the {what} in {path} is empty", hint=f"write the {what} there, on one line")
    return passphrase


def _read_private(path: Path, what: str, largest: int, credentials_directory: Path | None) -> Secret:
    """The bytes of a file, one character each, if nobody but its owner can read it."""
    from_systemd = credentials_directory is not None and path.parent == credentials_directory
    # NONBLOCK: a FIFO would hold us up for ever. NOFOLLOW: a link in systemd's directory would lead out of it.
    flags = os.O_RDONLY | os.O_NONBLOCK | (os.O_NOFOLLOW if from_systemd else 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unreadable(path, what, error, from_systemd=from_systemd) from error
    try:
        # Asked of what was opened, not of the path, which may have come to mean another file since.
        facts = os.fstat(descriptor)
        _check_private(facts, path, what, from_systemd=from_systemd)
        _check_size(facts.st_size, path, what, largest)
        return Secret(os.read(descriptor, largest).decode("latin-1"))
    except OSError as error:
        raise _unreadable(path, what, error, from_systemd=from_systemd) from error
    finally:
        os.close(descriptor)


def _unreadable(path: Path, what: str, error: OSError | ValueError, *, from_systemd: bool) -> KeyUnavailable:
    number = error.errno if isinstance(error, OSError) else errno.ENOENT
    if number in (errno.ENOENT, errno.ENOTDIR):
        told = f"the {what} file {path} does not exist"
        hint = "correct the path, or make a key: rolecall keys new" if what == "private key" else "correct the path"
    else:
        told = f"the {what} file {path} cannot be read: {os.strerror(number or errno.EIO)}"
        hint = "give file and directory to the user that the agent runs as, or hand it over with LoadCredential="
    if from_systemd:
        hint = "systemd shows what LoadCredential= names while the service runs, and to root: start it, and be root"
    return KeyUnavailable(told, hint=hint)


def _check_private(facts: os.stat_result, path: Path, what: str, *, from_systemd: bool) -> None:
    if not stat.S_ISREG(facts.st_mode):
        kind = "a directory" if stat.S_ISDIR(facts.st_mode) else "no ordinary file"
        raise KeyUnavailable(f"the {what} file {path} is {kind}", hint="correct the path: it must name one file")
    forbidden = stat.S_IRWXO if from_systemd else stat.S_IRWXG | stat.S_IRWXO
    if facts.st_mode & forbidden:
        raise KeyUnavailable(
            f"the {what} file {path} is open to others than its owner (mode {stat.S_IMODE(facts.st_mode):04o})",
            hint=f"close it with: chmod 600 {path}; if others may have read it, replace the {what}",
        )


def _check_size(size: int, path: Path, what: str, largest: int) -> None:
    if size == 0:
        raise KeyUnavailable(f"the {what} file {path} is empty", hint=f"put the {what} there, or correct the path")
    if size > largest:
        raise KeyUnavailable(
            f"the {what} file {path} is larger than {largest} bytes, which no {what} is", hint="correct the path"
        )


def _private_block(pem: Secret, origin: str) -> Secret:
    """The one private key among what the file holds; certificates and EC parameters beside it do not matter."""
    labels = _BEGIN.findall(pem.reveal())
    private = [label for label in labels if label in _PRIVATE_LABELS]
    if len(private) > 1:
        raise KeyUnavailable(f"{origin} holds {len(private)} private keys", hint="put each key in a file of its own")
    if not private:
        raise _not_a_key(pem, labels, origin)
    start = pem.reveal().index(f"-----BEGIN {private[0]}-----")
    end_line = f"-----END {private[0]}-----"
    end = pem.reveal().find(end_line, start)
    if end < 0:
        raise KeyUnavailable(f"the private key in {origin} is cut off", hint="copy the file again, to its last line")
    return Secret(pem.reveal()[start : end + len(end_line)] + "\n")


def _not_a_key(pem: Secret, labels: list[str], origin: str) -> KeyUnavailable:
    for label in labels:
        if label in _OTHER_LABELS:
            what, hint = _OTHER_LABELS[label]
            return KeyUnavailable(f"{origin} is {what}, not a private key in PEM format", hint=hint)
    if pem.reveal().startswith("0"):  # 0x30, how every DER key begins
        return KeyUnavailable(
            f"{origin} is not in PEM format, but perhaps in DER", hint="convert it with: openssl pkey -inform DER"
        )
    return KeyUnavailable(
        f"{origin} holds no private key in PEM format", hint="correct the path, or make a key: rolecall keys new"
    )


def _decode(block: Secret, origin: str, passphrase: Secret | None) -> _Private:
    # PKCS#8 says so in its label, the traditional format in a header line.
    encrypted = block.reveal().startswith("-----BEGIN ENCRYPTED") or "Proc-Type: 4,ENCRYPTED" in block.reveal()
    if encrypted and passphrase is None:
        raise ConfigurationError(
            f"the private key in {origin} is encrypted, and no passphrase is configured",
            hint="name a file or a systemd credential that holds the passphrase",
        )
    if passphrase is not None and not encrypted:
        # Not passed over: whoever configures a passphrase believes that the key on the disk is protected by it.
        raise ConfigurationError(
            f"a passphrase is configured, but the private key in {origin} is not encrypted",
            hint=f"encrypt it with: openssl pkcs8 -topk8 -in {origin}, or remove the passphrase",
        )
    try:
        private = load_pem_private_key(
            block.reveal().encode("latin-1"), passphrase.reveal().encode() if passphrase else None
        )
    except UnsupportedAlgorithm as error:
        raise KeyUnavailable(f"{origin} holds a key of a kind that AWS STS does not take", hint=WHAT_FITS) from error
    except (ValueError, TypeError) as error:
        if encrypted:
            raise KeyUnavailable(
                f"the private key in {origin} cannot be decrypted: wrong passphrase, or a damaged file",
                hint="try the passphrase by hand with: openssl pkey -noout -in FILE",
            ) from error
        raise _damaged(origin) from error
    fit(_public_half(private), origin)
    assert isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)  # it is what fits
    return private


def _public_half(private: object) -> object:
    half = getattr(private, "public_key", None)
    return half() if half else None


def _damaged(origin: str) -> KeyUnavailable:
    return KeyUnavailable(
        f"the private key in {origin} is damaged or cut off", hint="copy the file again, or restore it from a backup"
    )
