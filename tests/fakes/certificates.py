"""Certificates of every kind, made while you wait: an authority, what it issues, and files of them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.fakes.clock import START

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
DAY = timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, its private key, and those above it."""

    certificate: x509.Certificate
    key: Private
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> bytes:
        """The certificate and those above it but for the root, as fullchain.pem has them."""
        return b"".join(pem(one) for one in (self.certificate, *self.above[:-1]))

    @property
    def secret(self) -> bytes:
        """The private key in PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def issue(
        self,
        name: str,
        key: Private | None = None,
        *,
        ca: bool = False,
        since: datetime = START - DAY,
        until: datetime = START + 90 * DAY,
    ) -> "Issued":
        """A certificate of this authority."""
        key = key or new_key()
        made = _signed(name, key, self.certificate.subject, self.key, ca=ca, since=since, until=until)
        return Issued(made, key, (self.certificate, *self.above))


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


@cache
def root() -> Issued:
    """An authority, the same for a whole run of tests."""
    key = new_key()
    subject = _name("Test Root")
    made = _signed("Test Root", key, subject, key, ca=True, since=START - 999 * DAY, until=START + 9999 * DAY)
    return Issued(made, key)


@cache
def authority() -> Issued:
    """One below it, which issues."""
    return root().issue("Test Authority", ca=True, until=START + 999 * DAY)


def put(folder: Path, issued: Issued) -> tuple[Path, Path]:
    """Write chain and key as a server keeps them; each is replaced in one step."""
    places = folder / "fullchain.pem", folder / "privkey.pem"
    for place, content in zip(places, (issued.chain, issued.secret), strict=True):
        new = place.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_bytes(content)
        new.rename(place)
    return places


def _signed(
    name: str, key: Private, issuer: x509.Name, by: Private, *, ca: bool, since: datetime, until: datetime
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .subject_name(_name(name))
        .issuer_name(issuer)
        .not_valid_before(since)
        .not_valid_after(until)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("oidc.example.com")]), critical=False)
        .sign(by, hashes.SHA256())
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
