"""How is a TPM 2.0 asked to make a key, and to sign with it?

Everything here blocks. A connection is opened for each piece of work and closed after it, so that nothing of ours stays
in the TPM, which has room for three keys, and a TPM that was away is found again.

Auth values never cross the bus in the open: they are proved by an HMAC in a session whose secret is encrypted to a key
of the TPM (a salted session, TPM 2.0 part 1, §19.6.11), and that of a new key is encrypted with it. Whoever can change
what is on the bus, not only listen, is not kept out: nothing tells the TPM's key from his own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

from tpm2_pytss import ESAPI, TSS2_Exception
from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPM2_CAP, TPM2_PT, TPM2_RH, TPM2_SE, TPMA_SESSION, TPMA_STARTUP
from tpm2_pytss.TCTILdr import TCTILdr
from tpm2_pytss.types import (
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPMT_PUBLIC_PARMS,
    TPMT_SYM_DEF,
    TPMU_SYM_KEY_BITS,
    TPMU_SYM_MODE,
)

from agent.errors import KeyUnavailable
from agent.keys import Algorithm, Kind
from agent.keys.halves import Public
from agent.keys.tpm2.refusals import NOT_THERE, Doing, code_of, explained, no_such_tcti, owner_disabled
from agent.keys.tpm2.shapes import (
    Held,
    Wrapped,
    auth_value,
    no_ticket,
    scheme,
    sensitive,
    signature_of,
    signing_half,
    storage,
    stores,
    template,
)
from agent.secret import Secret

#: Where a storage root key is by convention (TCG TPM v2.0 Provisioning Guidance, §7.8).
SHARED_ROOT: Final = 0x81000001
_OWNER: Final = int(TPM2_RH.OWNER)
_PERSISTENT: Final = range(0x81000000, 0x82000000)


@dataclass(frozen=True, slots=True)
class Auths:
    """The auth values, as far as there are any: of the key, and of the owner hierarchy."""

    key: Secret | None = None
    owner: Secret | None = None


class Chip:
    """One TPM, and one connection at a time."""

    def __init__(self, tcti: str) -> None:
        """Reach it through `tcti`, in the words of the TSS: "device:/dev/tpmrm0"."""
        self.tcti = tcti
        self._one = Lock()
        # The TSS writes each refusal to stderr, besides telling us; we tell it once, and in words.
        os.environ.setdefault("TSS2_LOG", "all+none")

    def half(self, held: Held, origin: str) -> tuple[Public, Algorithm | None]:
        """The public half of a key, and the one algorithm that it is bound to, if any.

        Raises KeyUnavailable, also for a key that cannot sign what we make, and ConfigurationError for a wrong TCTI.
        """
        if isinstance(held, Wrapped):
            area = TPM2B_PUBLIC.unmarshal(held.public)[0].publicArea
        else:
            with self._connected() as esys:
                area = esys.read_public(self._at(esys, held, origin, "handle"))[0].publicArea
        return signing_half(area, origin)

    def sign(self, held: Held, algorithm: Algorithm, digest: bytes, auths: Auths, origin: str) -> bytes:
        """The JWS signature of a digest. Raises KeyUnavailable, and ConfigurationError for a wrong TCTI."""
        with (
            self._connected() as esys,
            self._loaded(esys, held, auths.owner, origin) as handle,
            explained(origin, self.tcti, "sign"),
            _session(esys, auths.key) as session,
        ):
            if auths.key is not None:
                esys.tr_set_auth(handle, auth_value(auths.key))
            return signature_of(algorithm, esys.sign(handle, digest, scheme(algorithm), no_ticket(), session1=session))

    def make(self, kind: Kind, auths: Auths) -> Wrapped:
        """Make a key in the TPM, wrapped for it alone; takes up to minutes for RSA on some TPMs.

        Raises KeyUnavailable, and ConfigurationError for a kind that this TPM does not make, or a wrong TCTI.
        """
        area, secret, new = template(kind), sensitive(auths.key), "the new key"
        with self._connected() as esys:
            with explained(kind, self.tcti, "fit"):
                esys.test_parms(TPMT_PUBLIC_PARMS(type=area.type, parameters=area.parameters))
            root = _OWNER if _shared_root(esys) is None else SHARED_ROOT
            with (
                self._parent(esys, root, auths.owner, new) as parent,
                explained(new, self.tcti, "make"),
                _session(esys, auths.key) as session,
            ):
                private, public, *_ = esys.create(parent, secret, TPM2B_PUBLIC(publicArea=area), session1=session)
        return Wrapped(root, bytes(public.marshal()), bytes(private.marshal()), wants_auth=auths.key is not None)

    @contextmanager
    def _connected(self) -> Iterator[ESAPI]:
        with self._one, explained("the TPM", self.tcti, "reach"):
            name, _, conf = self.tcti.partition(":")
            if not TCTILdr.is_available(name):
                raise no_such_tcti(self.tcti)
            with TCTILdr(name, conf or None) as tcti, ESAPI(tcti) as esys:
                yield esys

    @contextmanager
    def _loaded(self, esys: ESAPI, held: Held, owner: Secret | None, origin: str) -> Iterator[ESYS_TR]:
        if not isinstance(held, Wrapped):
            yield self._at(esys, held, origin, "handle")
            return
        with self._parent(esys, held.parent, owner, origin) as parent, explained(origin, self.tcti, "load"):
            private, _ = TPM2B_PRIVATE.unmarshal(held.private)
            public, _ = TPM2B_PUBLIC.unmarshal(held.public)
            handle = esys.load(parent, private, public)
        with _flushed(esys, handle):
            yield handle

    @contextmanager
    def _parent(self, esys: ESAPI, number: int, owner: Secret | None, origin: str) -> Iterator[ESYS_TR]:
        """What keys are wrapped under: at a persistent handle, or made from the owner's seed, the same each time."""
        if number in _PERSISTENT:
            yield self._at(esys, number, origin, "parent")
            return
        if number != _OWNER:
            raise KeyUnavailable(
                f"the key in {origin} is under a parent that the agent does not use (0x{number:08x})",
                hint="make it under the owner hierarchy or a persistent key: rolecall keys new",
            )
        with explained(origin, self.tcti, "owner"), _session(esys, owner) as session:
            esys.tr_set_auth(ESYS_TR.OWNER, None if owner is None else auth_value(owner))
            handle = _primary(esys, ESYS_TR.OWNER, session)
        with _flushed(esys, handle):
            yield handle

    def _at(self, esys: ESAPI, number: int, origin: str, doing: Doing) -> ESYS_TR:
        """What is at a persistent handle: it takes no room in the TPM, and what it takes here goes with `esys`."""
        with explained(origin, self.tcti, doing):
            try:
                handle = esys.tr_from_tpmpublic(number)
            except TSS2_Exception as error:
                if code_of(error) in NOT_THERE and not _owner_enabled(esys):
                    raise owner_disabled() from error
                raise
        return handle


def _shared_root(esys: ESAPI) -> ESYS_TR | None:
    """The storage root key that this machine's other users of the TPM share, if somebody has put it there."""
    try:
        handle = esys.tr_from_tpmpublic(SHARED_ROOT)
    except TSS2_Exception as error:
        if code_of(error) in NOT_THERE:
            return None
        raise
    return handle if stores(esys.read_public(handle)[0].publicArea) else None


@contextmanager
def _session(esys: ESAPI, auth: Secret | None) -> Iterator[ESYS_TR]:
    """How to show an auth value: in a session as the module says, or not at all where there is none."""
    if auth is None:
        yield ESYS_TR.PASSWORD
        return
    with _salting_key(esys) as key:
        session = esys.start_auth_session(
            key,
            ESYS_TR.NONE,
            TPM2_SE.HMAC,
            TPMT_SYM_DEF(
                algorithm=TPM2_ALG.AES, keyBits=TPMU_SYM_KEY_BITS(aes=128), mode=TPMU_SYM_MODE(aes=TPM2_ALG.CFB)
            ),
            TPM2_ALG.SHA256,
        )
    with _flushed(esys, session):
        esys.trsess_set_attributes(session, TPMA_SESSION.DECRYPT | TPMA_SESSION.CONTINUESESSION)
        yield session


@contextmanager
def _salting_key(esys: ESAPI) -> Iterator[ESYS_TR]:
    """A key that only this TPM can decrypt with: the shared root, or one of the hierarchy that needs no auth value."""
    root = _shared_root(esys)
    if root is not None:
        yield root
        return
    with _flushed(esys, _primary(esys, ESYS_TR.NULL, ESYS_TR.PASSWORD)) as handle:
        yield handle


def _primary(esys: ESAPI, hierarchy: ESYS_TR, session: ESYS_TR) -> ESYS_TR:
    handle, *_ = esys.create_primary(
        TPM2B_SENSITIVE_CREATE(), TPM2B_PUBLIC(publicArea=storage()), hierarchy, session1=session
    )
    return handle


@contextmanager
def _flushed(esys: ESAPI, handle: ESYS_TR) -> Iterator[ESYS_TR]:
    """Leave nothing behind in the TPM, whatever happens; where it is away, there is nothing."""
    try:
        yield handle
    finally:
        with suppress(TSS2_Exception):
            esys.flush_context(handle)


def _owner_enabled(esys: ESAPI) -> bool:
    _, told = esys.get_capability(TPM2_CAP.TPM_PROPERTIES, TPM2_PT.STARTUP_CLEAR)
    return bool(int(told.data.tpmProperties[0].value) & TPMA_STARTUP.CLEAR_SHENABLE)
