"""Many hosts share one issuer in one bucket, and write to it at the same moment: nobody's keys are ever lost."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent.clients.signed import s3_client
from agent.clock import SystemClock
from agent.keys.halves import described
from agent.publishing import Jwk, Placed
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, published
from agent.publishing.s3.publisher import Bucket, S3Publisher
from tests.fakes.moto import REGION, endpoint, moto

pytestmark = pytest.mark.long

HOSTS = 64
#: A client takes a while to be made; each has connections enough for its share of the hosts.
CLIENTS = 8
BUCKET = Bucket("oidc-example-com", "site-a")
ISSUER = "https://oidc.example.com/site-a"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with moto() as at:
        yield at


def a_key() -> Jwk:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return published(described(public, None, "a test"))


def kid(key: Jwk) -> str:
    return str(key["kid"])


async def shown(client: Any, path: str) -> dict[str, Any]:
    answer = await client.get_object(Bucket=BUCKET.name, Key=BUCKET.key(path))
    found: dict[str, Any] = json.loads(await answer["Body"].read())
    return found


def assert_consistent(placed: Sequence[Sequence[Placed]]) -> None:
    """Of all who wrote the key set at once, just one found nothing there."""
    assert sum(both[0].state == "new" for both in placed) == 1
    assert {both[0].state for both in placed} <= {"new", "changed"}


async def test_64_hosts_add_their_keys_and_rotate_them_at_once_and_none_is_lost(url: str) -> None:
    first, second = [a_key() for _ in range(HOSTS)], [a_key() for _ in range(HOSTS)]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(s3_client(endpoint(url))) for _ in range(CLIENTS)]
        await clients[0].create_bucket(Bucket=BUCKET.name, CreateBucketConfiguration={"LocationConstraint": REGION})
        hosts = [
            S3Publisher(
                clients[number % CLIENTS],
                BUCKET,
                ISSUER,
                max_age=timedelta(minutes=5),
                clock=SystemClock(),
                rng=Random(number),
            )
            for number in range(HOSTS)
        ]

        placed = await asyncio.gather(*(host.publish([key], []) for host, key in zip(hosts, first, strict=True)))

        assert_consistent(placed)
        found = (await shown(clients[0], JWKS_PATH))["keys"]
        assert sorted(map(kid, found)) == sorted(map(kid, first))

        rotating = zip(hosts, first, second, strict=True)
        await asyncio.gather(*(host.publish([new], [kid(old)]) for host, old, new in rotating))

        found = (await shown(clients[0], JWKS_PATH))["keys"]
        assert sorted(found, key=kid) == sorted(second, key=kid)
        assert (await shown(clients[0], DISCOVERY_PATH))["id_token_signing_alg_values_supported"] == ["ES256"]
