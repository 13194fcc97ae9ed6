"""What every SigningKey must do, whoever holds the key."""

import asyncio
import base64
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest

from agent.jose import compact, signing_input
from agent.keys import Algorithm, Kind, PublicKey, SigningKey
from agent.keys.pem import PemKey
from agent.secret import Secret
from tests.fakes.clock import settle
from tests.fakes.memory_key import KINDS, MemoryKey, pem
from tests.fakes.places import QUICK, every, moto_on_demand

pytestmark = pytest.mark.long

COORDINATE_BYTES = {"ES256": 32, "ES384": 48, "ES512": 66}
RSA_ALGORITHMS: tuple[Algorithm, ...] = ("RS256", "RS384", "RS512")


def from_pem(kind: Kind, algorithm: Algorithm | None) -> Callable[[], SigningKey]:
    return lambda: PemKey.parse(Secret(pem(kind).decode()), origin="a test", algorithm=algorithm)


IN_THREADS = {
    **{f"pem-{kind}-{name}": from_pem(kind, name) for kind in KINDS[:3] for name in RSA_ALGORITHMS},
    **{f"pem-{kind}": from_pem(kind, None) for kind in KINDS},
}
AT_HAND = {**IN_THREADS, "memory": MemoryKey}
#: Those that have to be asked for each signature: which custodian, and the kind of the key.
ELSEWHERE: dict[str, tuple[str, Kind]] = {
    f"{custodian}-{kind}": (custodian, kind)
    for custodian, kinds in {
        "pkcs11": QUICK,
        "tpm2": ("rsa-2048", "ec-p256"),
        "aws_kms": QUICK,
        "vault_transit": QUICK,
    }.items()
    for kind in kinds
}


@pytest.fixture(scope="module")
def kms() -> Iterator[Callable[[], str]]:
    with moto_on_demand() as where:
        yield where


@pytest.fixture(params=[*AT_HAND, *ELSEWHERE])
async def key(request: pytest.FixtureRequest, tmp_path: Path, kms: Callable[[], str]) -> AsyncIterator[SigningKey]:
    if request.param in AT_HAND:
        yield AT_HAND[request.param]()
        return
    custodian, kind = ELSEWHERE[request.param]
    async with every(kms)[custodian](tmp_path) as place:
        opened = place.custodian()
        yield await opened.open(await opened.make(kind))
        await opened.close()


def verify(public: PublicKey, token: str) -> object:
    return jwt.decode(token, jwt.PyJWK(dict(public.jwk), public.algorithm), [public.algorithm])


async def test_another_implementation_accepts_what_it_signs(key: SigningKey) -> None:
    signed = signing_input({"alg": key.public.algorithm, "kid": key.public.kid}, {"sub": "host:web-1"})

    token = compact(signed, await key.sign(signed))

    assert verify(key.public, token) == {"sub": "host:web-1"}


async def test_a_changed_message_is_not_accepted(key: SigningKey) -> None:
    signature = await key.sign(signing_input({"alg": key.public.algorithm}, {"sub": "host:web-1"}))
    changed = signing_input({"alg": key.public.algorithm}, {"sub": "host:web-2"})

    with pytest.raises(jwt.InvalidSignatureError):
        verify(key.public, compact(changed, signature))


ELLIPTIC = [name for name in (*AT_HAND, *ELSEWHERE) if "-ec-" in name or name == "memory"]


@pytest.mark.parametrize("key", ELLIPTIC, indirect=True)
async def test_an_elliptic_signature_is_two_numbers_in_full_length(
    key: SigningKey, request: pytest.FixtureRequest
) -> None:
    # Once in 128 signatures a number begins with eight zero bits, for P-521 in every second.
    count = 400 if request.node.callspec.params["key"] in AT_HAND else 20
    lengths = {len(await key.sign(b"%d" % n)) for n in range(count)}

    assert lengths == {2 * COORDINATE_BYTES[key.public.algorithm]}


async def test_the_kid_is_the_rfc_7638_thumbprint(key: SigningKey) -> None:
    canonical = json.dumps(dict(key.public.jwk), sort_keys=True, separators=(",", ":")).encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).decode().rstrip("=")

    assert key.public.kid == digest


async def test_the_public_half_holds_the_required_members_alone(key: SigningKey) -> None:
    members = {"RSA": {"kty", "n", "e"}, "EC": {"kty", "crv", "x", "y"}}

    assert set(key.public.jwk) == members[key.public.jwk["kty"]]


async def test_many_at_once_are_all_good(key: SigningKey, request: pytest.FixtureRequest) -> None:
    count = 100 if request.node.callspec.params["key"] in AT_HAND else 20
    messages = [signing_input({"alg": key.public.algorithm}, {"n": n}) for n in range(count)]

    signatures = await asyncio.gather(*(key.sign(message) for message in messages))

    for n, (message, signature) in enumerate(zip(messages, signatures, strict=True)):
        assert verify(key.public, compact(message, signature)) == {"n": n}


@pytest.mark.parametrize("name", list(IN_THREADS))
async def test_the_loop_goes_on_while_it_signs(name: str) -> None:
    """With the only thread held, signing cannot end; the loop turns all the same, so it is not the loop that signs."""
    key = IN_THREADS[name]()
    gate = threading.Event()
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(max_workers=1)
    loop.set_default_executor(executor)
    executor.submit(gate.wait)
    try:
        signing = [asyncio.ensure_future(key.sign(b"%d" % n)) for n in range(50)]
        await settle()
        assert not any(task.done() for task in signing)
    finally:
        gate.set()
    assert len(await asyncio.gather(*signing)) == 50
