"""A bucket that hosts share; here one in memory, which does what the S3 User Guide says of conditional requests."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from agent.errors import AgentError, ConfigurationError, CredentialsUnavailable, PublishingFailed
from agent.keys import Kind
from agent.keys.pem import PemKey, generate
from agent.publishing import Jwk
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, documents, published
from agent.publishing.s3.publisher import Bucket, S3Publisher
from agent.secret import Secret
from tests.fakes.clock import FakeClock, settle
from tests.fakes.memory_s3 import HEADERS, HurriedClock, MemoryS3, failed

ISSUER = "https://oidc.example.com/site-a"
BUCKET = Bucket("oidc-example-com", "site-a")
AGE = timedelta(minutes=5)


def a_key(kind: Kind = "ec-p256") -> dict[str, object]:
    return published(PemKey.parse(Secret(generate(kind).decode()), origin="a test").public)


def kids(keys: Sequence[Jwk]) -> list[str]:
    return sorted(str(key["kid"]) for key in keys)


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3(BUCKET)


def publisher(s3: MemoryS3, clock: FakeClock | None = None, seed: int = 1) -> S3Publisher:
    return S3Publisher(s3, BUCKET, ISSUER, max_age=AGE, clock=clock or HurriedClock(), rng=Random(seed))


async def refused(s3: MemoryS3, *shown: Jwk) -> PublishingFailed:
    before = {name: dict(there) for name, there in s3.objects.items()}
    with pytest.raises(PublishingFailed) as caught:
        await publisher(s3).publish([*shown] or [a_key()], [])
    assert caught.value.hint
    assert s3.objects == before
    return caught.value


async def test_both_documents_are_put_where_nothing_was_with_what_readers_are_to_be_told(s3: MemoryS3) -> None:
    key = a_key()
    placed = await publisher(s3).publish([key], [])

    assert [one.document for one in placed] == list(documents(ISSUER, [key], max_age=AGE))
    assert [one.state for one in placed] == ["new", "new"]
    assert placed[0].where == "s3://oidc-example-com/site-a/.well-known/jwks.json"
    puts = [about for verb, about in s3.asked if verb == "put"]
    assert [about["Key"] for about in puts] == [BUCKET.key(JWKS_PATH), BUCKET.key(DISCOVERY_PATH)]
    for about in puts:
        assert about.keys() == {"Bucket", "Key", "Body", "ContentType", "CacheControl", "IfNoneMatch"}
        assert {name: about[name] for name in HEADERS} == HEADERS


async def test_what_is_right_already_is_not_written(s3: MemoryS3) -> None:
    key = a_key()
    await publisher(s3).publish([key], [])
    s3.asked.clear()

    placed = await publisher(s3).publish([key], [])

    assert [one.state for one in placed] == ["unchanged", "unchanged"]
    assert [verb for verb, _ in s3.asked] == ["get", "get"]


@pytest.mark.parametrize("header", [{"ContentType": "binary/octet-stream"}, {"CacheControl": "no-cache"}])
@pytest.mark.parametrize(("path", "states"), [(JWKS_PATH, "changed unchanged"), (DISCOVERY_PATH, "unchanged changed")])
async def test_wrong_headers_are_put_right(s3: MemoryS3, header: dict[str, str], path: str, states: str) -> None:
    key = a_key()
    for one in await publisher(s3).publish([key], []):
        if one.document.path == path:
            s3.has(path, one.document.body, **header)
    placed = await publisher(s3).publish([key], [])
    assert [one.state for one in placed] == states.split()
    assert {name: s3.objects[BUCKET.key(path)][name] for name in HEADERS} == HEADERS


async def test_other_hosts_keys_stay_as_they_are_to_the_last_member(s3: MemoryS3) -> None:
    others = {**a_key("rsa-2048"), "x-note": "of somebody else", "x5c": ["a certificate"]}
    s3.has(JWKS_PATH, json.dumps({"keys": [others]}).encode())
    first, second = a_key(), a_key()
    await publisher(s3).publish([first], [])
    await publisher(s3).publish([second], [str(first["kid"])])
    assert s3.read(JWKS_PATH)["keys"] == [others, second]
    assert s3.read(DISCOVERY_PATH)["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]


async def test_a_bucket_without_prefix_is_used_from_its_root(s3: MemoryS3) -> None:
    bare = S3Publisher(s3, Bucket("bare"), ISSUER, max_age=AGE, clock=HurriedClock(), rng=Random(1))
    await bare.publish([a_key()], [])
    assert {about["Key"] for _, about in s3.asked} == {JWKS_PATH, DISCOVERY_PATH}


# --- many at once


@pytest.mark.parametrize("seed", range(40))
async def test_however_the_requests_of_several_hosts_fall_no_key_is_lost_and_the_algorithms_are_right(
    seed: int,
) -> None:
    rng = Random(seed)
    s3 = MemoryS3(BUCKET)
    s3.rng = rng
    kinds: list[Kind] = ["ec-p256", "ec-p384", "ec-p521"]
    first = [a_key(rng.choice(kinds)) for _ in range(6)]
    second = [a_key(rng.choice(kinds)) for _ in range(6)]

    await asyncio.gather(*(publisher(s3, seed=n).publish([key], []) for n, key in enumerate(first)))
    assert kids(s3.read(JWKS_PATH)["keys"]) == kids(first)
    await asyncio.gather(
        *(publisher(s3, seed=n).publish([second[n]], [str(key["kid"])]) for n, key in enumerate(first))
    )

    assert kids(s3.read(JWKS_PATH)["keys"]) == kids(second)
    algorithms = s3.read(DISCOVERY_PATH)["id_token_signing_alg_values_supported"]
    assert algorithms == sorted({str(key["alg"]) for key in second})


async def test_what_we_write_of_algorithms_is_looked_at_again_for_others_have_looked_before_it_arrived() -> None:
    theirs, ours = a_key("ec-p384"), a_key()

    class Meanwhile(MemoryS3):
        async def put_object(self, **about: Any) -> Mapping[str, Any]:
            if about["Key"].endswith("configuration") and theirs not in self.read(JWKS_PATH)["keys"]:
                # Another host adds its key, finds its algorithm in the other document, and goes away content.
                self.has(JWKS_PATH, json.dumps({"keys": [*self.read(JWKS_PATH)["keys"], theirs]}).encode())
            return await super().put_object(**about)

    s3 = Meanwhile(BUCKET)
    both = documents(ISSUER, [ours, theirs], max_age=AGE)
    s3.has(DISCOVERY_PATH, both[1].body)
    await publisher(s3).publish([ours], [])
    assert s3.read(DISCOVERY_PATH)["id_token_signing_alg_values_supported"] == ["ES256", "ES384"]


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "SlowDown", "503"])
async def test_a_write_that_lost_the_race_is_tried_again_from_the_start(s3: MemoryS3, code: str) -> None:
    s3.has(JWKS_PATH, json.dumps({"keys": [a_key()]}).encode())
    s3.failing["put"] = [failed(code)] * 3
    key = a_key()
    await publisher(s3).publish([key], [])
    assert key in s3.read(JWKS_PATH)["keys"]
    gets = [about["Key"] for verb, about in s3.asked if verb == "get"]
    assert gets.count(BUCKET.key(JWKS_PATH)) >= 4


async def test_a_connection_that_broke_after_the_write_does_no_harm(s3: MemoryS3) -> None:
    s3.failing["put"] = [ConnectionClosedError(endpoint_url="https://s3.example.com")]
    key = a_key()
    await publisher(s3).publish([key], [])
    assert s3.read(JWKS_PATH)["keys"] == [key]


async def test_who_never_gets_a_turn_gives_up_and_has_waited_ever_longer(s3: MemoryS3) -> None:
    s3.failing["put"] = [failed("PreconditionFailed") for _ in range(1000)]
    clock = HurriedClock()
    with pytest.raises(PublishingFailed, match="written by others all the time") as caught:
        await publisher(s3, clock).publish([a_key()], [])
    assert "what else writes there" in caught.value.hint
    assert len([verb for verb, _ in s3.asked if verb == "put"]) == 60
    assert 20 < clock.slept < 40
    assert s3.objects == {}


async def test_a_document_that_somebody_keeps_undoing_is_not_fought_over_for_ever(s3: MemoryS3) -> None:
    class Undone(MemoryS3):
        async def put_object(self, **about: Any) -> Mapping[str, Any]:
            answer = await super().put_object(**about)
            if about["Key"].endswith("configuration"):
                self.has(DISCOVERY_PATH, b"{}")
            return answer

    with pytest.raises(PublishingFailed, match="keep changing under our hands") as caught:
        await publisher(Undone(BUCKET)).publish([a_key()], [])
    assert "undoing" in caught.value.hint


async def test_a_store_that_hangs_is_given_up(s3: MemoryS3) -> None:
    class Hanging(MemoryS3):
        async def get_object(self, **_: Any) -> Mapping[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

    clock = FakeClock()
    waiting = asyncio.ensure_future(publisher(Hanging(BUCKET), clock).publish([a_key()], []))
    await settle()
    await clock.advance(timedelta(seconds=30))
    with pytest.raises(PublishingFailed, match="S3 cannot be reached"):
        await waiting


# --- what is refused, with nothing overwritten


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\x1f\x8b\x08garbage", b"[]", b'{"keys": {}}', b'{"keys": ["k"]}', b"[" * 9999]
)
async def test_what_is_no_key_set_is_left_alone(s3: MemoryS3, body: bytes) -> None:
    s3.has(JWKS_PATH, body)
    failure = await refused(s3)
    assert failure.what.startswith("s3://oidc-example-com/site-a/.well-known/jwks.json stays as it is: ")


async def test_what_is_longer_than_any_key_set_is_not_read_to_the_end(s3: MemoryS3) -> None:
    s3.has(JWKS_PATH, bytes(5 << 20))
    failure = await refused(s3)
    assert "is longer than any key set" in failure.what
    assert s3.bodies[0].closed
    assert len(s3.bodies[0].left) > 2 << 20


async def test_a_store_without_etags_is_refused(s3: MemoryS3) -> None:
    s3.has(JWKS_PATH, b'{"keys": []}')
    del s3.objects[BUCKET.key(JWKS_PATH)]["ETag"]
    assert "ETag" in (await refused(s3)).what


async def test_no_more_keys_of_a_kind_are_put_there_than_sts_reads(s3: MemoryS3) -> None:
    template = a_key()
    s3.has(JWKS_PATH, json.dumps({"keys": [{**template, "kid": str(n)} for n in range(100)]}).encode())
    failure = await refused(s3)
    assert "101 EC keys are to be shown" in failure.what
    assert "docs/fleet.md" in failure.hint
    await publisher(s3).publish([a_key()], ["7"])
    assert len(s3.read(JWKS_PATH)["keys"]) == 100


@pytest.mark.parametrize(
    "error",
    [
        CredentialsUnavailable("not there yet", hint="wait"),
        ConfigurationError("there is no profile", hint="correct it"),
    ],
)
async def test_credentials_that_are_not_there_are_the_reason_given(s3: MemoryS3, error: AgentError) -> None:
    s3.failing["get"] = [error]
    failure = await refused(s3)
    assert failure.what.endswith(error.what)
    assert failure.hint == error.hint


@pytest.mark.parametrize("verb", ["get", "put"])
@pytest.mark.parametrize("error", [failed("AccessDenied"), EndpointConnectionError(endpoint_url="x"), KeyError("x")])
async def test_whatever_else_goes_wrong_is_our_error(s3: MemoryS3, verb: str, error: Exception) -> None:
    s3.failing[verb] = [error]
    await refused(s3)


async def test_if_only_the_second_document_fails_the_keys_are_there_and_it_is_said_which(s3: MemoryS3) -> None:
    class Half(MemoryS3):
        async def put_object(self, **about: Any) -> Mapping[str, Any]:
            if about["Key"].endswith("configuration"):
                raise failed("AccessDenied")
            return await super().put_object(**about)

    half = Half(BUCKET)
    key = a_key()
    with pytest.raises(PublishingFailed, match="openid-configuration"):
        await publisher(half).publish([key], [])
    assert half.read(JWKS_PATH)["keys"] == [key]
