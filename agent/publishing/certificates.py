"""Which certificates are shown with our keys?

By choice, for relying parties that look for a key's certificate in the key set (x5c, RFC 7517 §4.7). AWS does not, and
Google's workload identity federation takes no uploaded key set that has any.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from agent.clock import Clock, instant
from agent.errors import ConfigurationError, KeyUnavailable, PublishingFailed
from agent.keys.halves import described, fit
from agent.publishing import Jwk, Placed, Publisher
from agent.publishing.discovery import certified, kid_of

#: A chain has two to five certificates of about 2 kB.
LARGEST: Final = 256 * 1024

_ENDINGS: Final = frozenset({".pem", ".crt"})

#: Real chains have three or four. What is longer is a bundle of all that somebody trusts.
_LONGEST_CHAIN: Final = 10


@dataclass(frozen=True, slots=True)
class Chains:
    """The certificates found: DER, a key's own first, by the key's kid; and what somebody should know of them."""

    by_kid: Mapping[str, tuple[bytes, ...]] = field(repr=False)
    doubts: Sequence[str]


def read_chains(directory: Path, now: datetime) -> Chains:
    """Read all chains in the *.pem and *.crt of a directory; blocks.

    Which key a chain is for is told by the public key of its first certificate alone. Of several for one key, the one
    that is valid longest is taken. Chains for keys that no issuer shows are passed over, since nobody asks for them.

    Raises ConfigurationError, naming the file: it cannot be read, or is no chain in which each is issued by the next.
    """
    found: dict[str, tuple[Path, Sequence[x509.Certificate]]] = {}
    for path in _listed(directory):
        chain = read_chain(read_file(path), path)
        kid = _kid(chain[0])
        if kid and (kid not in found or chain[0].not_valid_after_utc > found[kid][1][0].not_valid_after_utc):
            found[kid] = (path, chain)
    return Chains(
        {kid: tuple(one.public_bytes(Encoding.DER) for one in chain) for kid, (_, chain) in found.items()},
        [doubt for path, chain in found.values() for doubt in _doubts(path, chain, now)],
    )


def read_chain(pem: bytes, path: Path) -> Sequence[x509.Certificate]:
    """The certificates of a PEM file, at least one; what else is in the file does not matter. `path` is for errors.

    Raises ConfigurationError if there is none, one is damaged, or one was not issued by the next.
    """
    chain = _certificates(pem)
    # One that is cut off is passed over by the library, and what is left may look like a whole chain.
    if not chain or len(chain) < pem.count(b"-----BEGIN CERTIFICATE-----"):
        raise ConfigurationError(
            f"{path} holds no certificate in PEM, or a damaged one",
            hint="give the chain in PEM, the certificate of the key first",
        )
    if len(chain) > _LONGEST_CHAIN:
        raise ConfigurationError(
            f"{path} holds {len(chain)} certificates, and readers take key sets of a certain size alone",
            hint=f"give the chain and no more: {_LONGEST_CHAIN} certificates at most",
        )
    try:
        for one, issuer in pairwise(chain):
            one.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"the certificates in {path} are not each issued by the next",
            hint="put the certificate of the key first, then that of its issuer, and so on: readers do not sort them",
        ) from error
    return chain


def _certificates(pem: bytes) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return ()


def read_file(path: Path) -> bytes:
    """What a file of certificates holds; blocks. Raises ConfigurationError."""
    try:
        # NONBLOCK: a FIFO would hold us up for ever. And no os.fdopen: of a directory that is left open, at each look.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
                raise ConfigurationError(
                    f"{path} is no file of at most {LARGEST} bytes, as certificates are", hint="move it elsewhere"
                )
            return file.read(LARGEST)
    except OSError as error:
        raise _unreadable(path, error) from error


def _listed(directory: Path) -> Sequence[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix in _ENDINGS and path.name[0] != ".")
    except OSError as error:
        raise _unreadable(directory, error) from error


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be read: {error.strerror}", hint="correct the path, or let the agent's user read it"
    )


def _kid(certificate: x509.Certificate) -> str:
    """The kid of the key that a certificate is for; "" for a kind of key that is never ours."""
    try:
        return described(fit(certificate.public_key(), "it"), None, "it").kid
    except (KeyUnavailable, ValueError, UnsupportedAlgorithm):
        return ""


def _doubts(path: Path, chain: Sequence[x509.Certificate], now: datetime) -> Sequence[str]:
    late = [f"a certificate in {path} ended on {instant(one.not_valid_after_utc)}" for one in chain if _over(one, now)]
    early = [
        f"a certificate in {path} is not valid before {instant(one.not_valid_before_utc)}"
        for one in chain
        if now < one.not_valid_before_utc
    ]
    return [*late, *early]


def _over(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_after_utc < now


class WithCertificates:
    """A publisher that shows our keys with the certificates that a directory has for them at that moment."""

    def __init__(self, publisher: Publisher, directory: Path, clock: Clock, doubtful: Callable[[str], None]) -> None:
        """Read nothing yet. `doubtful` is told of dates that are over or yet to come, of each once."""
        self._publisher = publisher
        self._directory = directory
        self._clock = clock
        self._doubtful = doubtful
        self._told: frozenset[str] = frozenset()

    async def publish(self, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Placed]:
        """Publish; a key for which there is no certificate is shown without. Raises PublishingFailed."""
        try:
            chains = await asyncio.to_thread(read_chains, self._directory, self._clock.now())
        except ConfigurationError as error:
            raise PublishingFailed(error.what, hint=error.hint) from error
        for doubt in chains.doubts:
            if doubt not in self._told:
                self._doubtful(doubt)
        self._told = frozenset(chains.doubts)
        return await self._publisher.publish(
            [certified(key, chains.by_kid.get(kid_of(key), ())) for key in shown], withdrawn
        )
