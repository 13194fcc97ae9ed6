"""What every SigningKey must do, whoever holds the key."""

import asyncio
import base64
import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from agent.jose import compact, signing_input
from agent.keys import Algorithm, Kind, PublicKey, SigningKey
from agent.keys.pem import PemKey
from agent.secret import Secret
from tests.fakes.clock import settle
from tests.fakes.memory_key import KINDS, MemoryKey, pem

COORDINATE_BYTES = {"ES256": 32, "ES384": 48, "ES512": 66}
RSA_ALGORITHMS: tuple[Algorithm, ...] = ("RS256", "RS384", "RS512")


def from_pem(kind: Kind, algorithm: Algorithm | None) -> Callable[[], SigningKey]:
    return lambda: PemKey.parse(Secret(pem(kind).decode()), origin="a test", algorithm=algorithm)


IN_THREADS = {
    **{f"pem-{kind}-{name}": from_pem(kind, name) for kind in KINDS[:3] for name in RSA_ALGORITHMS},
    **{f"pem-{kind}": from_pem(kind, None) for kind in KINDS},
}
EVERY = {**IN_THREADS, "memory": MemoryKey}


@pytest.fixture(params=list(EVERY))
def key(request: pytest.FixtureRequest) -> SigningKey:
    return EVERY[request.param]()


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


@pytest.mark.parametrize("name", ["pem-ec-p256", "pem-ec-p384", "pem-ec-p521", "memory"])
async def test_an_elliptic_signature_is_two_numbers_in_full_length(name: str) -> None:
    key = EVERY[name]()

    # Once in 128 signatures a number begins with eight zero bits, for P-521 in every second.
    lengths = {len(await key.sign(b"%d" % n)) for n in range(400)}

    assert lengths == {2 * COORDINATE_BYTES[key.public.algorithm]}


def test_the_kid_is_the_rfc_7638_thumbprint(key: SigningKey) -> None:
    canonical = json.dumps(dict(key.public.jwk), sort_keys=True, separators=(",", ":")).encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).decode().rstrip("=")

    assert key.public.kid == digest


def test_the_public_half_holds_the_required_members_alone(key: SigningKey) -> None:
    members = {"RSA": {"kty", "n", "e"}, "EC": {"kty", "crv", "x", "y"}}

    assert set(key.public.jwk) == members[key.public.jwk["kty"]]


async def test_a_hundred_at_once_are_all_good(key: SigningKey) -> None:
    messages = [signing_input({"alg": key.public.algorithm}, {"n": n}) for n in range(100)]

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
