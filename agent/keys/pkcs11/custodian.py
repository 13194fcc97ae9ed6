"""Who holds the private key? A token, behind a PKCS#11 module: a hardware security module, a smart card, SoftHSM."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from cryptography.hazmat.primitives import hashes
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, PKCS11Error, Session, SignMixin
from pkcs11 import exceptions as said
from pkcs11.util.ec import encode_named_curve_parameters

from agent.clock import Clock
from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, Kind, PublicKey, SigningKey
from agent.keys.halves import Public, described, digest, made_by, prove
from agent.keys.pkcs11.objects import asks_for_each_use, name_of, of_class, public_half, the_private_key
from agent.keys.pkcs11.session import TokenSession
from agent.keys.pkcs11.uri import KeyUri, read
from agent.secret import Secret
from agent.turns import Turns

T = TypeVar("T")
P = ParamSpec("P")

_MAKING: Final = 300.0  # seconds; a smart card takes minutes to find the primes of RSA-4096
_CLOSING: Final = 2.0  # seconds; what hangs then is left to the end of the process
_ID_BYTES: Final = 16
_CURVES: Final[dict[Kind, str]] = {"ec-p256": "secp256r1", "ec-p384": "secp384r1", "ec-p521": "secp521r1"}
_COMBINED: Final[dict[Algorithm, Mechanism]] = {
    "RS256": Mechanism.SHA256_RSA_PKCS,
    "RS384": Mechanism.SHA384_RSA_PKCS,
    "RS512": Mechanism.SHA512_RSA_PKCS,
}
#: RFC 8017 §9.2, note 1: what stands before a hash in what RSASSA-PKCS1-v1_5 signs, in DER.
_DIGEST_INFO: Final[dict[Algorithm, bytes]] = {
    "RS256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "RS384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "RS512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
#: How tokens say that they cannot make a key of some kind.
_NOT_THIS_KIND: Final = (
    said.MechanismInvalid,
    said.KeySizeRange,
    said.DomainParamsInvalid,
    said.AttributeValueInvalid,
    said.TemplateInconsistent,
    said.FunctionNotSupported,
)


def key_uri(*, token: str | None, label: str) -> str:
    """The URI of the key with that label, in the token with that label or in the only one there is."""
    return str(KeyUri(token=token, label=label))


class Pkcs11Key:
    """A private key that stays in its token; every signature is checked before anybody sees it."""

    __slots__ = ("_half", "_held", "_public", "_reach", "_told", "_turns")

    def __init__(
        self, told: KeyUri, half: Public, public: PublicKey, reach: TokenSession, turns: "PatientTurns"
    ) -> None:
        """Take a key that `Pkcs11.open` has found; it is looked for again in each new session."""
        self._told = told
        self._half = half
        self._public = public
        self._reach = reach
        self._turns = turns
        self._held: _Held | None = None

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    async def sign(self, message: bytes) -> bytes:
        """Sign in a thread, with a new session where the old one is lost."""
        try:
            return await self._turns.take(self._reach.work, partial(self._sign, message))
        except ConfigurationError as error:  # a PIN that was changed meanwhile, a second key under the same name
            raise KeyUnavailable(error.what, hint=error.hint) from error

    def __repr__(self) -> str:
        """Name the key."""
        return f"Pkcs11Key({self._public.kid}, {self._public.algorithm})"

    def _sign(self, message: bytes, session: Session) -> bytes:
        held = self._found(session)
        data = message
        if held.mechanism is Mechanism.RSA_PKCS:
            data = _DIGEST_INFO[self._public.algorithm] + self._hashed(message)
        elif held.mechanism is Mechanism.ECDSA:
            data = self._hashed(message)
        if held.asks_each_time:
            signature = self._reach.reaffirm(
                session, lambda pin: held.private.sign(data, mechanism=held.mechanism, pin=pin.reveal())
            )
        else:
            signature = held.private.sign(data, mechanism=held.mechanism)
        if not made_by(self._half, self._public.algorithm, message, signature):
            raise KeyUnavailable(
                f"what the key {self._told} in {self._reach.origin} signs does not fit its public half",
                hint="no token is signed with it: see which private key it really has",
            )
        return signature

    def _found(self, session: Session) -> "_Held":
        """The key in this session; one that came to lie under the same name does not sign for it."""
        if self._held is None or self._held.session is not session:
            self._held = None
            private = the_private_key(session, self._told, self._reach.origin)
            if public_half(session, private, str(self._told)) != self._half:
                raise KeyUnavailable(
                    f"another key lies under {self._told} in {self._reach.origin} than when the agent started",
                    hint="if that is meant, start the agent again; a change without a gap is: rolecall keys rotate",
                )
            mechanism = _mechanism(self._public.algorithm, session)
            self._held = _Held(session, private, mechanism, asks_each_time=asks_for_each_use(private))
        return self._held

    def _hashed(self, message: bytes) -> bytes:
        hashing = hashes.Hash(digest(self._public.algorithm))
        hashing.update(message)
        return hashing.finalize()


@dataclass(frozen=True, slots=True)
class _Held:
    """A key as it was found in one session, and how it is asked to sign."""

    session: Session
    private: SignMixin
    mechanism: Mechanism
    asks_each_time: bool


class Pkcs11:
    """Keys in one token. A key's name is its PKCS#11 URI, of its label and CKA_ID: "pkcs11:object=rolecall;id=%01"."""

    kind: Final = "pkcs11"

    def __init__(
        self,
        module: Path,
        uri: str,
        read_pin: Callable[[], Secret],
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        algorithm: Algorithm | None = None,
        make_keys: bool = True,
        patience: float = 30.0,
    ) -> None:
        """Take where keys are: `uri` as in RFC 7512, or from `key_uri`. Opens nothing yet.

        `read_pin` blocks, is called for each login and raises KeyUnavailable. `random_bytes` gives as many bytes as it
        is asked for, for the ids of new keys. A device that takes longer than `patience` seconds is unavailable.
        Raises ConfigurationError for a URI that names no key.
        """
        told = read(uri)
        self._told = replace(told, token=None, serial=None)
        self._reach = TokenSession(module, told.token, told.serial, read_pin)
        self._algorithm = algorithm
        self._make_keys = make_keys
        self._random_bytes = random_bytes
        self._turns = PatientTurns(clock, patience, self._reach.origin)
        self._making = PatientTurns(clock, _MAKING, self._reach.origin)
        self._closing = PatientTurns(clock, _CLOSING, self._reach.origin)

    async def names(self) -> Sequence[str]:
        """The key of the configuration; where there is none, the keys that `make` made. Raises as the door says."""
        return await self._turns.take(self._reach.look, self._names)

    async def open(self, name: str) -> SigningKey:
        """The key of that name. Raises as the door says."""
        told = replace(read(name), token=None, serial=None)
        half = await self._turns.take(self._reach.look, partial(self._half, told))
        public = described(half, self._algorithm, f"{told} in {self._reach.origin}")
        key = Pkcs11Key(told, half, public, self._reach, self._turns)
        await prove(key, half, f"{told} in {self._reach.origin}")
        return key

    async def make(self, kind: Kind) -> str:
        """Make a key pair in the token; the private half is sensitive, never leaves it, and does nothing but sign.

        Its label is the configured one and the first 8 hexadecimal digits of its id. Whoever is killed meanwhile
        leaves at most a pair that nobody knows of.
        """
        if not self._make_keys:
            raise ConfigurationError(
                f"keys are not made in {self._reach.origin}, as key.make_keys is false",
                hint="make the key with the token's own tools, or set key.make_keys = true",
            )
        return await self._making.take(self._make, kind)

    async def discard(self, name: str) -> None:
        """Destroy both halves of a key that `make` made. Raises as the door says."""
        told = replace(read(name), token=None, serial=None)
        if not self._make_keys or not _is_made(told):
            raise ConfigurationError(
                f"the key {told} in {self._reach.origin} was not made by the agent, which destroys only its own",
                hint="delete it with the token's own tools when nothing needs it any more",
            )
        await self._turns.take(self._discard, told)

    async def close(self) -> None:
        """End the sessions; a device that hangs is not waited for."""
        try:
            await self._closing.take(self._reach.close)
        except KeyUnavailable:
            return

    def __repr__(self) -> str:
        """Name the place."""
        return f"Pkcs11({self._told} in {self._reach.origin})"

    def _names(self, session: Session) -> list[str]:
        there = of_class(session, ObjectClass.PRIVATE_KEY, self._told)
        if not there and (made := _made_ones(session, self._told)):
            return sorted(map(str, made))
        return [str(name_of(the_private_key(session, self._told, self._reach.origin)))]

    def _half(self, told: KeyUri, session: Session) -> Public:
        return public_half(
            session, the_private_key(session, told, self._reach.origin), f"{told} in {self._reach.origin}"
        )

    def _make(self, kind: Kind) -> str:
        identity = self._random_bytes(_ID_BYTES)
        told = KeyUri(label=f"{self._told.label or 'rolecall'}-{identity[:4].hex()}", id=identity)
        try:
            self._reach.write(partial(_generate, kind, told))
        except _NOT_THIS_KIND as error:
            raise ConfigurationError(
                f"{self._reach.origin} cannot make a key of the kind {kind}: {type(error).__name__}",
                hint="choose another kind of key; pkcs11-tool --list-mechanisms shows what the token can",
            ) from error
        except PKCS11Error as error:
            raise self._not_changed("make a key", error) from error
        return str(told)

    def _discard(self, told: KeyUri) -> None:
        try:
            self._reach.write(partial(_destroy, told))
        except PKCS11Error as error:
            raise self._not_changed(f"destroy the key {told}", error) from error

    def _not_changed(self, what: str, error: PKCS11Error) -> KeyUnavailable:
        if isinstance(error, said.TokenWriteProtected | said.SessionReadOnly):
            hint = "lift the write protection, or make keys with the token's own tools and set key.make_keys = false"
        else:
            hint = "see whether the token has room left and lets this user write: pkcs11-tool --login --list-objects"
        return KeyUnavailable(
            f"{self._reach.origin} did not {what}: {type(error).__name__} {error}".rstrip(), hint=hint
        )


class PatientTurns:
    """Turns with a device whose silence, too, is told as KeyUnavailable."""

    def __init__(self, clock: Clock, patience: float, origin: str) -> None:
        """Wait `patience` seconds for `origin`, which is how errors name it."""
        self._turns = Turns(clock, patience)
        self._patience = patience
        self._origin = origin

    async def take(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work. Raises what it raises, and KeyUnavailable."""
        try:
            return await self._turns.take(work, *args, **kwargs)
        except TimeoutError as error:
            raise KeyUnavailable(
                f"{self._origin} did not answer within {self._patience:g} s",
                hint="see whether it is reachable and not overloaded; it is asked again when a signature is needed",
            ) from error


def _mechanism(algorithm: Algorithm, session: Session) -> Mechanism:
    """What the token is asked to do: for RSA to hash and sign where it can, and else only to sign, as for EC."""
    if algorithm not in _COMBINED:
        return Mechanism.ECDSA
    combined = _COMBINED[algorithm]
    return combined if combined in session.token.slot.get_mechanisms() else Mechanism.RSA_PKCS


def _generate(kind: Kind, told: KeyUri, session: Session) -> None:
    private = {Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
    capabilities = MechanismFlag.SIGN | MechanismFlag.VERIFY
    if kind in _CURVES:
        parameters = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[kind])}
        domain = session.create_domain_parameters(KeyType.EC, parameters, local=True)
        domain.generate_keypair(
            id=told.id, label=told.label, store=True, capabilities=capabilities, private_template=private
        )
    else:
        bits = int(kind.removeprefix("rsa-"))
        session.generate_keypair(
            KeyType.RSA,
            bits,
            id=told.id,
            label=told.label,
            store=True,
            capabilities=capabilities,
            private_template=private,
        )


def _destroy(told: KeyUri, session: Session) -> None:
    """The private half first: what is left where this is cut short can do no harm, and goes the next time."""
    for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
        for thing in of_class(session, kind, told):
            thing.destroy()


def _is_made(told: KeyUri) -> bool:
    """Whether a name is one that `make` gave: nobody else ends a label with the id's first bytes by accident."""
    return told.id is not None and len(told.id) == _ID_BYTES and (told.label or "").endswith(f"-{told.id[:4].hex()}")


def _made_ones(session: Session, configured: KeyUri) -> list[KeyUri]:
    start = re.escape(configured.label or "rolecall")
    names = (name_of(key) for key in of_class(session, ObjectClass.PRIVATE_KEY, KeyUri()))
    return [name for name in names if _is_made(name) and re.fullmatch(f"{start}-[0-9a-f]{{8}}", name.label or "")]
