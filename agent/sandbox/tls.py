"""Whose certificates does the sandbox show?

An authority of its own, made at start and gone with the sandbox: its certificate is what clients are to trust.
A second authority, which nobody trusts, signs the wrong certificates. Public sites have theirs from an authority in
between, as sites on the Internet do, and show it along with their own.
"""

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Certificates are good at any time: whoever looks at them goes by a clock that may be wrong, or not be ours.
_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(2099, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Its certificate, for a trust store."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A server's certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def new_authority(name: str, above: Authority | None = None) -> Authority:
    """Make an authority that signs server certificates, and those of one authority below it if it has none above."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = (
        _dated()
        .subject_name(subject)
        .issuer_name(above.certificate.subject if above else subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if above else 1), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    signing = above.key if above else key
    if above:
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
        builder = builder.add_extension(signer, critical=False)
    return Authority(builder.sign(signing, hashes.SHA256()), key)


def server_context(authority: Authority, hosts: Iterable[str], directory: Path) -> ssl.SSLContext:
    """A server's TLS context with a fresh certificate for these names and addresses.

    Certificate and key pass through `directory` on their way into the context; nobody else may read it.
    """
    leaf = new_leaf(authority, hosts)
    return context_of(leaf, (leaf.certificate, authority.certificate), directory)


def new_leaf(authority: Authority | None, hosts: Iterable[str], until: datetime = _UNTIL) -> Leaf:
    """Make a server's certificate for these names and addresses; without an authority it is signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = list(dict.fromkeys(hosts))
    subject = _name(names[0][:64])
    signing = authority.key if authority else key
    certificate = (
        _dated(until)
        .subject_name(subject)
        .issuer_name(authority.certificate.subject if authority else subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(one) for one in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .sign(signing, hashes.SHA256())
    )
    return Leaf(certificate, key)


def context_of(leaf: Leaf, shown: Iterable[x509.Certificate], directory: Path) -> ssl.SSLContext:
    """A server's TLS context that shows these certificates in this order, the leaf's own first."""
    both = directory / f"{leaf.certificate.serial_number:x}.pem"
    both.touch(mode=0o600)
    both.write_bytes(
        leaf.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in shown)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    both.unlink()
    return context


def with_wrong_certificate(right: ssl.SSLContext, wrong: ssl.SSLContext, is_wrong: Callable[[], bool]) -> None:
    """Let `right` show the certificate of `wrong` on new connections, whenever `is_wrong()`."""

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        if is_wrong():
            connection.context = wrong

    right.sni_callback = choose


def _dated(until: datetime = _UNTIL) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(until)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
