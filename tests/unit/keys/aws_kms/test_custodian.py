"""Keys in KMS: on moto's server where it is right, and on a fake that signs for real where it is not."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.clients.signed import SignedEndpoint, kms_client
from agent.errors import ConfigurationError, CredentialsRefused, KeyUnavailable
from agent.jose import compact, signing_input
from agent.keys import Algorithm, Kind
from agent.keys.aws_kms.custodian import AwsKms, Held, Kms
from tests.fakes.clock import FakeClock, settle
from tests.fakes.memory_key import KINDS
from tests.fakes.moto import ACCOUNT, REGION, endpoint, moto

pytestmark = pytest.mark.long

ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with moto() as at:
        yield at


@pytest.fixture
async def kms(url: str) -> AsyncIterator[Any]:
    async with kms_client(endpoint(url)) as client:
        yield client


async def made(kms: Any, spec: str, usage: str = "SIGN_VERIFY") -> str:
    return str((await kms.create_key(KeyUsage=usage, KeySpec=spec))["KeyMetadata"]["Arn"])


def keys(kms: Kms, key_id: str, *, algorithm: Algorithm | None = None, make_keys: bool = False) -> AwsKms:
    return AwsKms(kms, Held(key_id, REGION, algorithm, make_keys), FakeClock())


SPECS = {
    "RSA_2048": ("RS256", "RS384", "RS512"),
    "ECC_NIST_P256": ("ES256",),
    "ECC_NIST_P384": ("ES384",),
    "ECC_NIST_P521": ("ES512",),
}


@pytest.mark.parametrize(("spec", "algorithm"), [(spec, one) for spec, all_of in SPECS.items() for one in all_of])
async def test_what_kms_signs_another_implementation_accepts(kms: Any, spec: str, algorithm: Algorithm) -> None:
    arn = await made(kms, spec)
    key = await keys(kms, arn, algorithm=algorithm).open(arn)

    signed = signing_input({"alg": algorithm, "kid": key.public.kid}, {"sub": "host:web-1"})
    token = compact(signed, await key.sign(signed))

    assert jwt.decode(token, jwt.PyJWK(dict(key.public.jwk), algorithm), [algorithm]) == {"sub": "host:web-1"}


async def test_an_alias_stands_for_the_key_it_leads_to_and_moving_it_changes_nothing_that_was_named(kms: Any) -> None:
    first, second = await made(kms, "ECC_NIST_P256"), await made(kms, "ECC_NIST_P256")
    await kms.create_alias(AliasName="alias/moving", TargetKeyId=first.split("/")[1])
    assert await keys(kms, "alias/moving").names() == [first]
    before = (await keys(kms, "alias/moving").open(first)).public.kid

    await kms.update_alias(AliasName="alias/moving", TargetKeyId=second.split("/")[1])

    assert (await keys(kms, "alias/moving").open(first)).public.kid == before
    assert await keys(kms, "alias/moving").names() == [second]


async def test_a_key_id_becomes_the_arn(kms: Any) -> None:
    arn = await made(kms, "RSA_2048")
    assert await keys(kms, arn.split("/")[1]).names() == [arn]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_is_made_described_and_tagged_and_signs_at_once(kms: Any, kind: Kind) -> None:
    ours = keys(kms, "alias/none", make_keys=True)

    arn = await ours.make(kind)

    assert (await ours.open(arn)).public.algorithm == {"rsa": "RS256"}.get(
        kind[:3], f"ES{kind[4:]}".replace("521", "512")
    )
    about = (await kms.describe_key(KeyId=arn))["KeyMetadata"]
    assert about["Description"] == f"A signing key of rolecall ({kind})"
    tags = (await kms.list_resource_tags(KeyId=arn))["Tags"]
    assert tags == [{"TagKey": "created-by", "TagValue": "rolecall"}]


async def test_a_key_that_was_made_is_discarded_in_thirty_days_and_once(kms: Any) -> None:
    ours = keys(kms, "alias/none", make_keys=True)
    arn = await ours.make("ec-p256")

    await ours.discard(arn)
    first = (await kms.describe_key(KeyId=arn))["KeyMetadata"]
    await ours.discard(arn)
    again = (await kms.describe_key(KeyId=arn))["KeyMetadata"]

    assert first["KeyState"] == "PendingDeletion"
    assert first["DeletionDate"] == again["DeletionDate"]
    assert timedelta(days=29) < first["DeletionDate"] - first["CreationDate"] < timedelta(days=31)
    with pytest.raises(KeyUnavailable, match="is to be deleted") as caught:
        await ours.open(arn)
    assert "cancel-key-deletion" in caught.value.hint


async def test_discarding_what_is_gone_does_nothing(kms: Any) -> None:
    await keys(kms, "alias/none", make_keys=True).discard(ARN)


async def test_a_key_that_somebody_else_made_is_never_destroyed(kms: Any) -> None:
    arn = await made(kms, "RSA_2048")
    with pytest.raises(ConfigurationError, match="was not made by rolecall"):
        await keys(kms, arn, make_keys=True).discard(arn)
    assert (await kms.describe_key(KeyId=arn))["KeyMetadata"]["KeyState"] == "Enabled"


async def test_without_make_keys_none_is_made_or_destroyed(kms: Any) -> None:
    arn = await keys(kms, "alias/none", make_keys=True).make("ec-p256")
    before = len((await kms.list_keys())["Keys"])
    for attempt in (keys(kms, arn).make("rsa-2048"), keys(kms, arn).discard(arn)):
        with pytest.raises(ConfigurationError) as caught:
            await attempt
        assert "make_keys" in caught.value.hint
    assert len((await kms.list_keys())["Keys"]) == before
    assert (await kms.describe_key(KeyId=arn))["KeyMetadata"]["KeyState"] == "Enabled"


@pytest.mark.parametrize(
    ("spec", "usage", "told"),
    [
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "is symmetric"),
        ("HMAC_256", "GENERATE_VERIFY_MAC", "is for HMAC"),
        ("RSA_2048", "ENCRYPT_DECRYPT", "is for encryption, not for signing"),
        ("ECC_SECG_P256K1", "SIGN_VERIFY", "is of the kind ECC_SECG_P256K1, which AWS STS does not take"),
    ],
)
async def test_a_key_of_the_wrong_kind_is_refused_by_what_it_is(kms: Any, spec: str, usage: str, told: str) -> None:
    arn = await made(kms, spec, usage)
    with pytest.raises(KeyUnavailable, match=re.escape(f"{arn} {told}")) as caught:
        await keys(kms, arn).open(arn)
    assert "--key-usage SIGN_VERIFY" in caught.value.hint


async def test_a_disabled_key_is_said_to_be_disabled(kms: Any) -> None:
    arn = await made(kms, "RSA_2048")
    await kms.disable_key(KeyId=arn.split("/")[1])
    with pytest.raises(KeyUnavailable, match="is disabled") as caught:
        await keys(kms, arn).open(arn)
    assert "enable-key" in caught.value.hint


@pytest.mark.parametrize(
    ("key_id", "told"),
    [(ARN, f"the KMS key {ARN} is not there"), ("alias/gone", "the KMS alias alias/gone is not there")],
)
async def test_a_key_and_an_alias_that_are_not_there_are_named(kms: Any, key_id: str, told: str) -> None:
    with pytest.raises(KeyUnavailable) as caught:
        await keys(kms, key_id).names()
    assert caught.value.what == told
    assert "key.region" in caught.value.hint


async def test_an_algorithm_that_the_key_does_not_have_is_a_mistake_in_the_configuration(kms: Any) -> None:
    arn = await made(kms, "ECC_NIST_P256")
    with pytest.raises(ConfigurationError, match="cannot sign with RS256"):
        await keys(kms, arn, algorithm="RS256").open(arn)


@pytest.mark.parametrize("key_id", [ARN.replace(REGION, "us-east-1"), f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/x"])
async def test_an_arn_of_another_region_is_a_mistake_in_the_configuration(kms: Any, key_id: str) -> None:
    with pytest.raises(ConfigurationError, match="is in us-east-1, but key"):
        await keys(kms, key_id).names()


async def test_nobody_there_is_unreachable() -> None:
    async with kms_client(endpoint("http://127.0.0.1:1")) as nobody:
        with pytest.raises(KeyUnavailable, match="KMS cannot be reached") as caught:
            await keys(nobody, ARN).names()
    assert "key.endpoint_url" in caught.value.hint


async def test_credentials_that_are_named_and_not_there_are_a_mistake_in_the_configuration(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    async with kms_client(SignedEndpoint(REGION, "environment", endpoint_url=url)) as client:
        with pytest.raises(ConfigurationError, match="no AWS credentials in the environment"):
            await keys(client, ARN).names()


# --- what moto cannot do


class SigningKms:
    """One key that signs as the KMS API Reference has it, DIGEST included, until it is told to do otherwise."""

    def __init__(self, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, spec: str) -> None:
        self.private = private
        self.spec = spec
        self.requests: list[Mapping[str, Any]] = []
        self.instead: Exception | bytes | None = None
        self.about: dict[str, Any] = {}
        self.gone = 0
        self.hangs = False

    async def describe_key(self, **_: Any) -> Mapping[str, Any]:
        if self.gone:
            self.gone -= 1
            raise ClientError({"Error": {"Code": "NotFoundException"}}, "DescribeKey")
        about = {"Arn": ARN, "KeySpec": self.spec, "KeyUsage": "SIGN_VERIFY", "KeyState": "Enabled"}
        return {"KeyMetadata": about | self.about}

    async def get_public_key(self, **_: Any) -> Mapping[str, Any]:
        return {"PublicKey": self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}

    async def sign(self, **about: Any) -> Mapping[str, Any]:
        self.requests.append(about)
        if self.hangs:
            await asyncio.Event().wait()
        if isinstance(self.instead, Exception):
            raise self.instead
        return {"Signature": self.instead or self._signature(about)}

    async def create_key(self, **_: Any) -> Mapping[str, Any]:
        return {"KeyMetadata": {"Arn": ARN}}

    async def schedule_key_deletion(self, **_: Any) -> Mapping[str, Any]:
        raise NotImplementedError

    def _signature(self, about: Mapping[str, Any]) -> bytes:
        kind = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[about["SigningAlgorithm"][-3:]]
        hashing = Prehashed(kind) if about["MessageType"] == "DIGEST" else kind
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(about["Message"], padding.PKCS1v15(), hashing)
        return self.private.sign(about["Message"], ec.ECDSA(hashing))


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def signing(private: rsa.RSAPrivateKey) -> SigningKms:
    return SigningKms(private, "RSA_2048")


def of_curve() -> SigningKms:
    return SigningKms(ec.generate_private_key(ec.SECP384R1()), "ECC_NIST_P384")


@pytest.mark.parametrize(("size", "way"), [(4096, "RAW"), (4097, "DIGEST"), (20_000, "DIGEST")])
@pytest.mark.parametrize("family", ["rsa", "ec"])
async def test_what_does_not_fit_into_a_request_is_hashed_first(
    signing: SigningKms, size: int, way: str, family: str
) -> None:
    fake = signing if family == "rsa" else of_curve()
    key = await keys(fake, ARN).open(ARN)
    message = b"x" * size

    signature = await key.sign(message)

    assert fake.requests[-1]["MessageType"] == way
    assert len(fake.requests[-1]["Message"]) <= 4096
    algorithm = jwt.get_algorithm_by_name(key.public.algorithm)
    assert algorithm.verify(message, jwt.PyJWK(dict(key.public.jwk), key.public.algorithm).key, signature)


async def test_a_key_that_does_not_sign_what_its_public_half_verifies_is_never_used(signing: SigningKms) -> None:
    signing.instead = bytes(256)
    with pytest.raises(KeyUnavailable, match="does not fit the public half"):
        await keys(signing, ARN).open(ARN)


async def test_what_is_no_signature_is_no_signature() -> None:
    fake = of_curve()
    key = await keys(fake, ARN).open(ARN)
    fake.instead = b"a page that says: sign in"
    with pytest.raises(KeyUnavailable, match="gave something that is no signature"):
        await key.sign(b"x")


@pytest.mark.parametrize("error", [ConfigurationError("no profile", hint="h"), CredentialsRefused("no", hint="h")])
async def test_signing_says_key_unavailable_where_the_credentials_went_away(
    signing: SigningKms, error: Exception
) -> None:
    key = await keys(signing, ARN).open(ARN)
    signing.instead = error
    with pytest.raises(KeyUnavailable) as caught:
        await key.sign(b"x")
    assert caught.value.hint == "h"


async def test_one_that_hangs_is_given_up_in_time_and_the_loop_goes_on(signing: SigningKms) -> None:
    clock = FakeClock()
    key = await AwsKms(signing, Held(ARN, REGION), clock, patience=15).open(ARN)
    signing.hangs = True
    waiting = asyncio.ensure_future(key.sign(b"x"))
    await settle()
    assert not waiting.done()
    await clock.advance(timedelta(seconds=15))
    with pytest.raises(KeyUnavailable, match="did not answer in time"):
        await waiting


async def test_once_closed_its_keys_sign_no_more_and_its_client_is_closed_where_it_is_its_own(
    signing: SigningKms,
) -> None:
    closed = 0

    async def closing() -> None:
        nonlocal closed
        closed += 1

    ours = AwsKms(signing, Held(ARN, REGION), FakeClock(), closing=closing)
    key = await ours.open(ARN)
    before = len(signing.requests)
    await ours.close()
    with pytest.raises(KeyUnavailable):
        await key.sign(b"x")
    assert (closed, len(signing.requests)) == (1, before)
    await keys(signing, ARN).close()


@pytest.mark.parametrize("state", ["PendingDeletion", "PendingReplicaDeletion", "PendingImport", "Creating"])
async def test_a_key_in_any_other_state_is_not_used(signing: SigningKms, state: str) -> None:
    signing.about = {"KeyState": state}
    with pytest.raises(KeyUnavailable, match="is to be deleted" if "Deletion" in state else f"it is {state}"):
        await keys(signing, ARN).open(ARN)
    assert signing.requests == []


@pytest.mark.parametrize("spec", ["SM2", "ML_DSA_65", "ECC_NIST_EDWARDS25519"])
async def test_a_kind_that_sts_does_not_take_is_refused(signing: SigningKms, spec: str) -> None:
    signing.about = {"KeySpec": spec}
    with pytest.raises(KeyUnavailable, match=f"of the kind {spec}, which AWS STS does not take"):
        await keys(signing, ARN).open(ARN)


async def test_a_new_key_is_waited_for_until_kms_knows_it(signing: SigningKms) -> None:
    clock = FakeClock()
    signing.gone = 3
    making = asyncio.ensure_future(AwsKms(signing, Held(ARN, REGION, None, make_keys=True), clock).make("rsa-2048"))
    await clock.advance(timedelta(seconds=2.5))
    assert not making.done()
    await clock.advance(timedelta(seconds=1))
    assert (making.done(), await making) == (True, ARN)


async def test_a_new_key_that_stays_unseen_is_not_forgotten(signing: SigningKms) -> None:
    clock = FakeClock()
    signing.gone = 1000
    making = asyncio.ensure_future(AwsKms(signing, Held(ARN, REGION, None, make_keys=True), clock).make("rsa-2048"))
    await clock.advance(timedelta(seconds=60))
    assert await making == ARN
