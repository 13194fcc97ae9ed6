"""Who holds the private key? AWS KMS, which signs for whoever its policies allow to ask.

Made for issuers that have AWS elsewhere already: the credentials that the key is used with are others than those that
come of its tokens. A token's signing input fits into one request as it is; longer ones are hashed here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.hashes import Hash

from agent.clock import Clock, within
from agent.errors import AgentError, ConfigurationError, CredentialsRefused, CredentialsUnavailable, KeyUnavailable
from agent.keys import Algorithm, Kind, PublicKey
from agent.keys.halves import described, digest, prove, raw_signature, read_spki
from agent.keys.kms_refusals import nonsense, pending, refusal, silence

#: What is written into the description of a key that `make` made, and alone of those is ever destroyed.
MADE: Final = "A signing key of rolecall"
#: KMS API Reference, Sign: a message of more bytes has to be hashed by who asks.
_LONGEST_MESSAGE: Final = 4096
#: KMS API Reference, ScheduleKeyDeletion: 7 to 30 days. Until then anybody who may can call it off.
_DAYS_TO_REGRET: Final = 30
#: How often a key that was just made is looked for, and the seconds between: KMS tells its own parts by and by.
_LOOKS, _PAUSE = 10, 1.0

#: KMS API Reference, CreateKey: KeySpec.
_SPECS: Final[Mapping[Kind, str]] = {
    "rsa-2048": "RSA_2048",
    "rsa-3072": "RSA_3072",
    "rsa-4096": "RSA_4096",
    "ec-p256": "ECC_NIST_P256",
    "ec-p384": "ECC_NIST_P384",
    "ec-p521": "ECC_NIST_P521",
}


Closing = Callable[[], Awaitable[None]]


class Kms(Protocol):
    """What we need of KMS, as botocore has it: its exceptions, and ours where there are no credentials."""

    async def describe_key(self, **about: Any) -> Mapping[str, Any]: ...  # noqa: D102 - KMS API Reference

    async def get_public_key(self, **about: Any) -> Mapping[str, Any]: ...  # noqa: D102 - the same

    async def sign(self, **about: Any) -> Mapping[str, Any]: ...  # noqa: D102 - the same

    async def create_key(self, **about: Any) -> Mapping[str, Any]: ...  # noqa: D102 - the same

    async def schedule_key_deletion(self, **about: Any) -> Mapping[str, Any]: ...  # noqa: D102 - the same


@dataclass(frozen=True, slots=True)
class Held:
    """Which key of KMS, where, and what may be done about it.

    Attributes:
        key_id: a key id, an alias ("alias/…"), or the ARN of either.
        region: the region of the client that is used.
        algorithm: None is RS256 for RSA, and what fits the curve for EC.
        make_keys: whether further keys may be made, and those destroyed again.
    """

    key_id: str
    region: str
    algorithm: Algorithm | None = None
    make_keys: bool = False


class AwsKms:
    """Keys of AWS KMS; a key's name is its ARN, so that an alias which is moved later changes no key under our hands.

    Args:
        kms: a client for `held.region`.
        held: which key.
        clock: by which `patience` counts.
        closing: what closes that client; None leaves it to whoever opened it.
        patience: how many seconds one request may take, fetching the credentials for it included.
    """

    kind = "aws_kms"

    def __init__(
        self, kms: Kms, held: Held, clock: Clock, *, closing: Closing | None = None, patience: float = 15
    ) -> None:
        self._kms = kms
        self._closing = closing
        self._closed = False
        self._held = held
        self._clock = clock
        self._patience = patience

    async def names(self) -> Sequence[str]:
        """The ARN of the key that is configured, to which an alias leads now. Raises as `Custodian.names` does."""
        _check_region(self._held)
        return [str((await self._describe(self._held.key_id))["Arn"])]

    async def open(self, name: str) -> "KmsKey":
        """The key of that ARN. Raises KeyUnavailable, ConfigurationError for an algorithm that does not fit."""
        about = await self._describe(name)
        _check_signs(about, name)
        spki = await self._ask(name, "kms:GetPublicKey", "PublicKey", lambda: self._kms.get_public_key(KeyId=name))
        public = read_spki(spki, _called(name))
        key = KmsKey(self._signer(name), described(public, self._held.algorithm, _called(name)), name)
        await prove(key, public, _called(name))
        return key

    async def make(self, kind: Kind) -> str:
        """Make a key in KMS, which costs money from then on; its ARN, once KMS knows it everywhere."""
        self._check_ours_to_make()
        about = await self._ask(
            "the new key",
            "kms:CreateKey and kms:TagResource",
            "KeyMetadata",
            lambda: self._kms.create_key(
                KeyUsage="SIGN_VERIFY",
                KeySpec=_SPECS[kind],
                Description=f"{MADE} ({kind})",
                Tags=[{"TagKey": "created-by", "TagValue": "rolecall"}],
            ),
        )
        arn = str(about["Arn"])
        for _ in range(_LOOKS):
            try:
                await self._describe(arn)
            except KeyUnavailable as error:
                if _code(error) != "NotFoundException":
                    break
                await self._clock.sleep(_PAUSE)
            else:
                break
        return arn  # also where it is not seen yet: it is there, and nobody else will ever know its name

    async def discard(self, name: str) -> None:
        """Have KMS destroy a key in 30 days, until which it can be called off. Raises as `Custodian.discard` does."""
        self._check_ours_to_make()
        try:
            about = await self._describe(name)
        except KeyUnavailable as error:
            if _code(error) == "NotFoundException":
                return
            raise
        if pending(str(about.get("KeyState"))):
            return
        if not str(about.get("Description", "")).startswith(MADE):
            raise ConfigurationError(
                f"{_called(name)} was not made by rolecall, and so is not destroyed either",
                hint="schedule its deletion by hand, once nothing uses it: aws kms schedule-key-deletion",
            )
        await self._ask(
            name,
            "kms:ScheduleKeyDeletion",
            "KeyId",
            lambda: self._kms.schedule_key_deletion(KeyId=name.rpartition("/")[2], PendingWindowInDays=_DAYS_TO_REGRET),
        )

    async def close(self) -> None:
        """Close the client, if it is ours to close; keys that were opened sign no more."""
        self._closed = True
        if self._closing is not None:
            await self._closing()

    def _check_ours_to_make(self) -> None:
        if not self._held.make_keys:
            raise ConfigurationError(
                "keys in KMS are neither made nor destroyed here, since they cost money",
                hint="set key.make_keys = true, or make a key with the AWS CLI and name it in [key.next]",
            )

    async def _describe(self, name: str) -> Mapping[str, Any]:
        about: Mapping[str, Any] = await self._ask(
            name, "kms:DescribeKey", "KeyMetadata", lambda: self._kms.describe_key(KeyId=name)
        )
        return about

    async def _ask(self, name: str, action: str, member: str, call: Callable[[], Awaitable[Mapping[str, Any]]]) -> Any:
        """Ask KMS; one member of its answer, of the type that the KMS API Reference says.

        Raises KeyUnavailable, and ConfigurationError where key.credentials names what is not there.
        """
        if self._closed:
            raise KeyUnavailable("KMS is asked no more, since the agent is stopping", hint="start it again")
        try:
            answer = await within(self._clock, self._patience, call())
        except ClientError as error:
            raise refusal(error, _called(name), action) from error
        except (CredentialsRefused, CredentialsUnavailable) as error:
            raise KeyUnavailable(f"KMS cannot be asked: {error.what}", hint=error.hint) from error
        except AgentError:
            raise
        except Exception as error:  # the edge of a library whose parsers raise whatever they stumble on
            raise silence(error) from error
        if member not in answer:
            raise nonsense()
        return answer[member]

    def _signer(self, name: str) -> "_Sign":
        async def sign(algorithm: str, message: bytes, message_type: str) -> bytes:
            signature: bytes = await self._ask(
                name,
                "kms:Sign",
                "Signature",
                lambda: self._kms.sign(
                    KeyId=name, Message=message, MessageType=message_type, SigningAlgorithm=algorithm
                ),
            )
            return signature

        return sign


class _Sign(Protocol):
    async def __call__(self, algorithm: str, message: bytes, message_type: str) -> bytes: ...


class KmsKey:
    """A private key that never leaves KMS."""

    __slots__ = ("_name", "_public", "_sign")

    def __init__(self, sign: _Sign, public: PublicKey, name: str) -> None:
        """Take the public half, and the way to the other."""
        self._sign = sign
        self._public = public
        self._name = name

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    async def sign(self, message: bytes) -> bytes:
        """Have KMS sign: one request, nothing of it on the loop but waiting."""
        algorithm = self._public.algorithm
        if len(message) <= _LONGEST_MESSAGE:
            signature = await self._asked(message, "RAW")
        else:
            hashing = Hash(digest(algorithm))
            hashing.update(message)
            signature = await self._asked(hashing.finalize(), "DIGEST")
        if algorithm.startswith("RS"):
            return signature
        try:
            return raw_signature(signature, algorithm)
        except ValueError as error:
            raise KeyUnavailable(
                f"{_called(self._name)} gave something that is no signature",
                hint="see that key.endpoint_url, if set, is really KMS",
            ) from error

    async def _asked(self, message: bytes, message_type: str) -> bytes:
        algorithm = self._public.algorithm
        family = "RSASSA_PKCS1_V1_5" if algorithm.startswith("RS") else "ECDSA"
        try:
            return await self._sign(f"{family}_SHA_{algorithm[2:]}", message, message_type)
        except ConfigurationError as error:  # the profile was taken away, since the key was opened
            raise KeyUnavailable(error.what, hint=error.hint) from error


def _check_region(held: Held) -> None:
    """An ARN names its region; a client is for one."""
    parts = held.key_id.split(":")
    if parts[0] == "arn" and len(parts) > 3 and parts[3] != held.region:
        raise ConfigurationError(
            f"the key {held.key_id} is in {parts[3] or 'no region'}, but key.region is {held.region}",
            hint="write the region of the key into key.region",
        )


def _check_signs(about: Mapping[str, Any], name: str) -> None:
    """What KMS says of a key before its public half is asked for: each kind of wrong key has its own sentence."""
    spec, usage, state = (str(about.get(word, "")) for word in ("KeySpec", "KeyUsage", "KeyState"))
    other = "make one for signing: aws kms create-key --key-usage SIGN_VERIFY --key-spec RSA_2048"
    if spec == "SYMMETRIC_DEFAULT":
        raise KeyUnavailable(f"{_called(name)} is symmetric, and nobody could verify what it signs", hint=other)
    if spec.startswith("HMAC"):
        raise KeyUnavailable(f"{_called(name)} is for HMAC, and nobody could verify what it signs", hint=other)
    if usage != "SIGN_VERIFY":
        purpose = {"ENCRYPT_DECRYPT": "encryption", "KEY_AGREEMENT": "key agreement"}.get(usage, usage)
        raise KeyUnavailable(f"{_called(name)} is for {purpose}, not for signing", hint=other)
    if spec not in _SPECS.values():
        raise KeyUnavailable(f"{_called(name)} is of the kind {spec}, which AWS STS does not take", hint=other)
    if state == "Disabled":
        raise KeyUnavailable(f"{_called(name)} is disabled", hint="enable it: aws kms enable-key")
    if pending(state):
        raise KeyUnavailable(
            f"{_called(name)} is to be deleted",
            hint="if it is still needed: aws kms cancel-key-deletion, then aws kms enable-key",
        )
    if state != "Enabled":
        raise KeyUnavailable(f"{_called(name)} cannot be used now (it is {state})", hint="see aws kms describe-key")


def _called(name: str) -> str:
    if name == "the new key":
        return name
    return f"the KMS alias {name}" if "alias/" in name else f"the KMS key {name}"


def _code(error: KeyUnavailable) -> str:
    cause = error.__cause__
    return str(cause.response.get("Error", {}).get("Code")) if isinstance(cause, ClientError) else ""
