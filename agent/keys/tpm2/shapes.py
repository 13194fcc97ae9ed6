"""What do keys of a TPM 2.0 look like, inside, outside and in a file? Speaks to no TPM."""

import base64
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier
from tpm2_pytss import TSS2_Exception
from tpm2_pytss.constants import TPM2_ALG, TPM2_ECC, TPM2_RH, TPM2_ST, TPMA_OBJECT
from tpm2_pytss.tsskey import TSSPrivKey
from tpm2_pytss.types import (
    TPM2B_AUTH,
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPMS_ECC_PARMS,
    TPMS_RSA_PARMS,
    TPMS_SCHEME_HASH,
    TPMS_SENSITIVE_CREATE,
    TPMT_ECC_SCHEME,
    TPMT_KDF_SCHEME,
    TPMT_PUBLIC,
    TPMT_RSA_SCHEME,
    TPMT_SIG_SCHEME,
    TPMT_SIGNATURE,
    TPMT_SYM_DEF_OBJECT,
    TPMT_TK_HASHCHECK,
    TPMU_PUBLIC_PARMS,
    TPMU_SIG_SCHEME,
    TPMU_SYM_KEY_BITS,
    TPMU_SYM_MODE,
)

from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, Kind
from agent.keys.halves import WHAT_FITS, Public, coordinate_bytes, read_spki
from agent.secret import Secret

_HASHES: Final = {"256": TPM2_ALG.SHA256, "384": TPM2_ALG.SHA384, "512": TPM2_ALG.SHA512}
_CURVES: Final = {"ec-p256": TPM2_ECC.NIST_P256, "ec-p384": TPM2_ECC.NIST_P384, "ec-p521": TPM2_ECC.NIST_P521}
_BOUND: Final[dict[tuple[int, int], Algorithm]] = {
    (int(TPM2_ALG.RSASSA), int(TPM2_ALG.SHA256)): "RS256",
    (int(TPM2_ALG.RSASSA), int(TPM2_ALG.SHA384)): "RS384",
    (int(TPM2_ALG.RSASSA), int(TPM2_ALG.SHA512)): "RS512",
    (int(TPM2_ALG.ECDSA), int(TPM2_ALG.SHA256)): "ES256",
    (int(TPM2_ALG.ECDSA), int(TPM2_ALG.SHA384)): "ES384",
    (int(TPM2_ALG.ECDSA), int(TPM2_ALG.SHA512)): "ES512",
}

#: What every key is that never leaves the TPM.
_STAYS: Final = TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.FIXEDPARENT | TPMA_OBJECT.SENSITIVEDATAORIGIN
# NODA: wrong auth values neither count towards the lockout of the whole TPM, with which a mistake in our file would
# lock disks and other services out, nor does the lockout that somebody else caused stop us from signing. The price:
# nothing slows guessing down but the TPM's own pace, so the auth value must be random, not a word.
_SIGNS: Final = _STAYS | TPMA_OBJECT.USERWITHAUTH | TPMA_OBJECT.SIGN_ENCRYPT | TPMA_OBJECT.NODA
_STORES: Final = _STAYS | TPMA_OBJECT.USERWITHAUTH | TPMA_OBJECT.RESTRICTED | TPMA_OBJECT.DECRYPT | TPMA_OBJECT.NODA

_BLOCK: Final = re.compile(rb"-----BEGIN TSS2 PRIVATE KEY-----([A-Za-z0-9+/=\s]*)-----END TSS2 PRIVATE KEY-----")
#: A key that the TPM can load as it is (TCG registry, id-loadablekey).
_LOADABLE: Final = ObjectIdentifier("2.23.133.10.1.3")

#: An auth value has no more bytes than the hash that names the key, which is SHA-256 for those we make.
LONGEST_AUTH: Final = 32


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A key outside the TPM, as only the TPM that wrapped it can open it.

    Attributes:
        parent: the handle of what it is wrapped under, or that of the owner hierarchy for its standard primary.
        public: the TPM2B_PUBLIC.
        private: the TPM2B_PRIVATE, encrypted.
        wants_auth: whether it takes an auth value to use it.
    """

    parent: int
    public: bytes = field(repr=False)
    private: bytes = field(repr=False)
    wants_auth: bool


#: Where a key is: at a persistent handle, or outside.
Held = int | Wrapped


def read_wrapped(pem: bytes, origin: str) -> Wrapped:
    """Take a key out of a file in the format of the TSS engines (BEGIN TSS2 PRIVATE KEY). Raises KeyUnavailable."""
    body = _BLOCK.search(pem)
    if body is None:
        what = "is no key file"
        if b"-----BEGIN TSS2 PRIVATE KEY-----" in pem:
            what = "is cut off"
        elif b"PRIVATE KEY-----" in pem:
            what = "holds a private key in the open, not one of a TPM"
        raise KeyUnavailable(f"{origin} {what}", hint="it must hold a TSS2 PRIVATE KEY: rolecall keys new")
    try:
        der = base64.b64decode(body[1])
        with suppress(ValueError):
            return _read_bare(der)
        key = TSSPrivKey.from_der(der)
        return Wrapped(
            int(key.parent), bytes(key.public.marshal()), bytes(key.private.marshal()), wants_auth=not key.empty_auth
        )
    except (ValueError, TypeError, TSS2_Exception) as error:
        raise KeyUnavailable(
            f"the TSS2 PRIVATE KEY in {origin} is damaged, cut off, or of a kind that needs a policy or an import",
            hint="copy the file again, or make a key: rolecall keys new",
        ) from error


@asn1.sequence
class _Bare:
    """What is in the file where emptyAuth is left out, which it may be, and tpm2_pytss cannot read."""

    object_type: ObjectIdentifier
    parent: int
    public: bytes = field(repr=False)
    private: bytes = field(repr=False)


def _read_bare(der: bytes) -> Wrapped:
    bare = asn1.decode_der(_Bare, der)
    if bare.object_type != _LOADABLE:
        raise TypeError(bare.object_type.dotted_string)
    public, _ = TPM2B_PUBLIC.unmarshal(bare.public)
    private, _ = TPM2B_PRIVATE.unmarshal(bare.private)
    return Wrapped(bare.parent, bytes(public.marshal()), bytes(private.marshal()), wants_auth=True)


def to_pem(wrapped: Wrapped) -> bytes:
    """The same, as tpm2-openssl and the others read it."""
    private, _ = TPM2B_PRIVATE.unmarshal(wrapped.private)
    public, _ = TPM2B_PUBLIC.unmarshal(wrapped.public)
    return bytes(TSSPrivKey(private, public, empty_auth=not wrapped.wants_auth, parent=wrapped.parent).to_pem())


def signing_half(area: TPMT_PUBLIC, origin: str) -> tuple[Public, Algorithm | None]:
    """The public half of a key, and the one algorithm that the key is bound to, if any.

    Raises KeyUnavailable for a key that cannot sign what we make.
    """
    attributes = int(area.objectAttributes)
    if area.type not in (TPM2_ALG.RSA, TPM2_ALG.ECC):
        raise KeyUnavailable(f"{origin} is no RSA or EC key", hint=WHAT_FITS)
    if attributes & TPMA_OBJECT.RESTRICTED:
        raise KeyUnavailable(
            f"the key in {origin} is restricted: it signs only what the TPM itself has said or hashed",
            hint="make one that is not, without the attribute restricted: rolecall keys new",
        )
    if not attributes & TPMA_OBJECT.SIGN_ENCRYPT:
        raise KeyUnavailable(f"the key in {origin} decrypts and does not sign", hint="make one with: rolecall keys new")
    if not attributes & TPMA_OBJECT.USERWITHAUTH:
        raise KeyUnavailable(
            f"the key in {origin} can be used only under a policy, which the agent does not fulfil",
            hint="make one that is used with an auth value (userWithAuth): rolecall keys new",
        )
    try:
        der = area.to_der()
    except ValueError as error:
        raise KeyUnavailable(f"the key in {origin} is on a curve that AWS STS does not take", hint=WHAT_FITS) from error
    return read_spki(der, origin), _bound(area, origin)


def _bound(area: TPMT_PUBLIC, origin: str) -> Algorithm | None:
    detail = area.parameters.rsaDetail if area.type == TPM2_ALG.RSA else area.parameters.eccDetail
    scheme = int(detail.scheme.scheme)
    if scheme == TPM2_ALG.NULL:
        return None
    # Every signing scheme begins with its hash, and they share their place in the union.
    algorithm = _BOUND.get((scheme, int(detail.scheme.details.anySig.hashAlg)))
    if algorithm is None:
        raise KeyUnavailable(
            f"the key in {origin} is bound to a scheme that AWS STS does not take, such as RSA-PSS or SHA-1",
            hint="make one that is not: rolecall keys new",
        )
    return algorithm


def template(kind: Kind) -> TPMT_PUBLIC:
    """What to ask of the TPM for a key that signs, and does nothing else."""
    if kind in _CURVES:
        return TPMT_PUBLIC(
            type=TPM2_ALG.ECC,
            nameAlg=TPM2_ALG.SHA256,
            objectAttributes=_SIGNS,
            parameters=TPMU_PUBLIC_PARMS(eccDetail=_ecc(_CURVES[kind], TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL))),
        )
    rsa = TPMS_RSA_PARMS(
        symmetric=TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL),
        scheme=TPMT_RSA_SCHEME(scheme=TPM2_ALG.NULL),
        keyBits=int(kind.removeprefix("rsa-")),
        exponent=0,  # 65537
    )
    return TPMT_PUBLIC(
        type=TPM2_ALG.RSA,
        nameAlg=TPM2_ALG.SHA256,
        objectAttributes=_SIGNS,
        parameters=TPMU_PUBLIC_PARMS(rsaDetail=rsa),
    )


def storage() -> TPMT_PUBLIC:
    """The storage key on P-256 that all who write such key files mean by the primary of a hierarchy.

    A TPM makes it the same each time from the seed of the hierarchy, until it is cleared.
    """
    wrapping = TPMT_SYM_DEF_OBJECT(
        algorithm=TPM2_ALG.AES, keyBits=TPMU_SYM_KEY_BITS(aes=128), mode=TPMU_SYM_MODE(aes=TPM2_ALG.CFB)
    )
    return TPMT_PUBLIC(
        type=TPM2_ALG.ECC,
        nameAlg=TPM2_ALG.SHA256,
        objectAttributes=_STORES,
        parameters=TPMU_PUBLIC_PARMS(eccDetail=_ecc(TPM2_ECC.NIST_P256, wrapping)),
    )


def stores(area: TPMT_PUBLIC) -> bool:
    """Whether other keys can be wrapped under this one without ever leaving the TPM."""
    wanted = TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.RESTRICTED | TPMA_OBJECT.DECRYPT
    return area.type in (TPM2_ALG.RSA, TPM2_ALG.ECC) and int(area.objectAttributes) & wanted == wanted


def sensitive(auth: Secret | None) -> TPM2B_SENSITIVE_CREATE:
    """What of a new key is secret beside the key. Raises ConfigurationError for an auth value that is too long."""
    if auth is None:
        return TPM2B_SENSITIVE_CREATE()
    if len(auth.reveal().encode()) > LONGEST_AUTH:
        raise ConfigurationError(
            f"the auth value for the new key is longer than {LONGEST_AUTH} bytes, which the TPM does not take",
            hint="write a random one into auth_file: openssl rand -hex 16",
        )
    return TPM2B_SENSITIVE_CREATE(TPMS_SENSITIVE_CREATE(userAuth=auth_value(auth)))


def auth_value(auth: Secret) -> TPM2B_AUTH:
    """An auth value as the TSS takes it. Raises KeyUnavailable for one that no key has."""
    value = auth.reveal().encode()
    if len(value) > 64:  # SHA-512's; no TPM names keys by a longer hash
        raise KeyUnavailable("an auth value is longer than 64 bytes, which no TPM takes", hint="correct the file")
    return TPM2B_AUTH(value)


def scheme(algorithm: Algorithm) -> TPMT_SIG_SCHEME:
    """How to sign."""
    hashed = TPMS_SCHEME_HASH(hashAlg=_HASHES[algorithm[2:]])
    if algorithm.startswith("RS"):
        return TPMT_SIG_SCHEME(scheme=TPM2_ALG.RSASSA, details=TPMU_SIG_SCHEME(rsassa=hashed))
    return TPMT_SIG_SCHEME(scheme=TPM2_ALG.ECDSA, details=TPMU_SIG_SCHEME(ecdsa=hashed))


def no_ticket() -> TPMT_TK_HASHCHECK:
    """Says that it was not the TPM that hashed (TPM 2.0 part 2, §10.7.3): for keys that are not restricted."""
    return TPMT_TK_HASHCHECK(tag=TPM2_ST.HASHCHECK, hierarchy=TPM2_RH.NULL)


def signature_of(algorithm: Algorithm, signature: TPMT_SIGNATURE) -> bytes:
    """A signature as a JWS holds it."""
    if algorithm.startswith("RS"):
        return bytes(signature.signature.rsassa.sig)
    size = coordinate_bytes(algorithm)
    r, s = bytes(signature.signature.ecdsa.signatureR), bytes(signature.signature.ecdsa.signatureS)
    # A TPM may leave zeros at the front away, or not; a JWS has them (RFC 7518 §3.4).
    return int.from_bytes(r).to_bytes(size, "big") + int.from_bytes(s).to_bytes(size, "big")


def _ecc(curve: TPM2_ECC, symmetric: TPMT_SYM_DEF_OBJECT) -> TPMS_ECC_PARMS:
    return TPMS_ECC_PARMS(
        symmetric=symmetric,
        scheme=TPMT_ECC_SCHEME(scheme=TPM2_ALG.NULL),
        curveID=curve,
        kdf=TPMT_KDF_SCHEME(scheme=TPM2_ALG.NULL),
    )
