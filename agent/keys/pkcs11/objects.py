"""What is in a token, and what is the public half of a private key there?

Everything here blocks, and raises PKCS11Error beside what it says.
"""

from collections.abc import Iterator
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import load_der_x509_certificate
from pkcs11 import (
    Attribute,
    AttributeSensitive,
    AttributeTypeInvalid,
    FunctionFailed,
    KeyType,
    Object,
    ObjectClass,
    Session,
    SignMixin,
)

from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys.halves import WHAT_FITS, Public, fit, read_spki
from agent.keys.pkcs11.uri import KeyUri

_MOST_SHOWN: Final = 8
_OTHERS: Final = {
    ObjectClass.PUBLIC_KEY: "a public key",
    ObjectClass.CERTIFICATE: "a certificate",
    ObjectClass.SECRET_KEY: "a secret key such as AES",
}
#: How tokens say that they do not have an attribute; all else is a token that has trouble.
_NOT_GIVEN: Final = (AttributeTypeInvalid, AttributeSensitive, FunctionFailed)
#: DER of the object identifier id-ecPublicKey (RFC 5480 §2.1.1).
_EC_PUBLIC_KEY: Final = bytes.fromhex("06072a8648ce3d0201")
_SEQUENCE, _BIT_STRING = 0x30, 0x03
#: Begins the length of a DER value of 128 to 255 bytes.
_LONG_FORM: Final = b"\x81"
#: Bytes, with the curve spelt out as explicit parameters; those of P-521 take 500.
_LARGEST_POINT: Final = 4096
#: The bytes of an uncompressed point (SEC 1 §2.3.3) on P-256, P-384 and P-521; inside DER none has one of these sizes.
_BARE_POINTS: Final = (65, 97, 133)


def of_class(session: Session, kind: ObjectClass, told: KeyUri) -> list[Object]:
    """The objects of a class that have this label and id."""
    wanted: dict[Attribute, object] = {Attribute.CLASS: kind}
    if told.label is not None:
        wanted[Attribute.LABEL] = told.label
    if told.id is not None:
        wanted[Attribute.ID] = told.id
    return list(session.get_objects(wanted))


def name_of(private: Object) -> KeyUri:
    """What tells a key within its token."""
    return KeyUri(label=_value(private, Attribute.LABEL) or None, id=_value(private, Attribute.ID) or None)


def the_private_key(session: Session, told: KeyUri, origin: str) -> SignMixin:
    """The one private key that is meant.

    Raises KeyUnavailable if there is none that signs, with what is there instead; ConfigurationError if several fit.
    """
    keys = of_class(session, ObjectClass.PRIVATE_KEY, told)
    if len(keys) > 1:
        names = sorted(str(name_of(key)) for key in keys)
        raise ConfigurationError(
            f"{len(keys)} private keys in {origin} fit {told}: {cut(names)}",
            hint='name one by its id, as in key.uri = "pkcs11:token=…;id=…"; if the ids are equal, change one',
        )
    if not keys:
        raise _missing(session, told, origin)
    if not isinstance(keys[0], SignMixin):
        raise KeyUnavailable(
            f"the key {told} in {origin} is not allowed to sign (CKA_SIGN is false)",
            hint="take one that is, or make one: rolecall keys new",
        )
    return keys[0]


def public_half(session: Session, private: Object, origin: str) -> Public:
    """The public half as the token shows it: with the private key, as an object of its own, or in a certificate.

    Raises KeyUnavailable if there is none, or of a kind that AWS STS does not take.
    """
    kind = _value(private, Attribute.KEY_TYPE)
    if kind not in (KeyType.RSA, KeyType.EC):
        named = f"a key of type {kind.name}" if isinstance(kind, KeyType) else "a key of an unknown type"
        raise KeyUnavailable(f"{origin} is {named}, which AWS STS does not take", hint=WHAT_FITS)
    for holder in _holders(session, private):
        public = _rsa(holder, origin) if kind is KeyType.RSA else _elliptic(holder, origin)
        if public is not None:
            return public
    for certificate in _beside(session, private, ObjectClass.CERTIFICATE):
        try:
            return fit(
                load_der_x509_certificate(bytes(_value(certificate, Attribute.VALUE) or b"")).public_key(), origin
            )
        except ValueError:
            continue
    raise KeyUnavailable(
        f"the token shows no public half of {origin}",
        hint="put the public key or the certificate beside it, with the same id",
    )


def cut(names: list[str]) -> str:
    """A list that fits a sentence."""
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def asks_for_each_use(private: Object) -> bool:
    """Whether the PIN must be shown for every signature (CKA_ALWAYS_AUTHENTICATE), as smart cards may want it."""
    return _value(private, Attribute.ALWAYS_AUTHENTICATE) is True


def _missing(session: Session, told: KeyUri, origin: str) -> KeyUnavailable:
    if instead := [named for kind, named in _OTHERS.items() if of_class(session, kind, told)]:
        return KeyUnavailable(
            f"{told} in {origin} is no private key, but {' and '.join(instead)}",
            hint="correct key.label or key.uri, or make a key: rolecall keys new",
        )
    there = sorted(str(name_of(key)) for key in of_class(session, ObjectClass.PRIVATE_KEY, KeyUri()))
    return KeyUnavailable(
        f"there is no key {told} in {origin}, which holds {cut(there) or 'no private key'}",
        hint="correct key.label or key.uri, or make a key: rolecall keys new",
    )


def _holders(session: Session, private: Object) -> Iterator[Object]:
    """Where the numbers of the public half may stand; those of the private key itself cannot be another's."""
    yield private
    yield from _beside(session, private, ObjectClass.PUBLIC_KEY)


def _beside(session: Session, private: Object, kind: ObjectClass) -> list[Object]:
    """Objects that belong to a key: by PKCS#11 those with its id, or with its label where it has no id."""
    name = name_of(private)
    if name.id is None and name.label is None:
        return []
    return of_class(session, kind, KeyUri(id=name.id) if name.id is not None else KeyUri(label=name.label))


def _rsa(holder: Object, origin: str) -> Public | None:
    modulus, exponent = _value(holder, Attribute.MODULUS), _value(holder, Attribute.PUBLIC_EXPONENT)
    if not modulus or not exponent:
        return None
    n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    try:
        return fit(rsa.RSAPublicNumbers(e, n).public_key(), origin)
    except ValueError as error:  # OpenSSL takes none that are shorter than 512 bits, or have a strange exponent
        raise KeyUnavailable(
            f"{origin} holds an RSA key of {n.bit_length()} bits that is unfit", hint=WHAT_FITS
        ) from error


def _elliptic(holder: Object, origin: str) -> Public | None:
    parameters, point = _value(holder, Attribute.EC_PARAMS), _value(holder, Attribute.EC_POINT)
    if not parameters or not point or len(parameters) + len(point) > _LARGEST_POINT:
        return None
    algorithm = _der(_SEQUENCE, _EC_PUBLIC_KEY + parameters)
    return read_spki(_der(_SEQUENCE, algorithm + _der(_BIT_STRING, b"\0" + _point(point))), origin)


def _point(value: bytes) -> bytes:
    """CKA_EC_POINT without the DER OCTET STRING around it, which some tokens leave out; both begin with a four."""
    if len(value) in _BARE_POINTS:
        return value
    header = 3 if value[1:2] == _LONG_FORM else 2
    return value[header:]


def _der(tag: int, content: bytes) -> bytes:
    """One value in DER (ITU-T X.690 §8.1), of up to 65535 bytes."""
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    if size < 256:
        return bytes((tag, 0x81, size)) + content
    return bytes((tag, 0x82, *size.to_bytes(2, "big"))) + content


def _value(thing: Object, attribute: Attribute) -> Any:
    """An attribute, or None where the token does not give it, or gives what the library cannot read."""
    try:
        return thing[attribute]
    except (*_NOT_GIVEN, ValueError):
        return None
