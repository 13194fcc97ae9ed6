"""Is there an answer to whatever is sent, and never an accident?"""

import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigurationError
from agent.sandbox import World, practice_world, world_from_json
from agent.sandbox.cloud import Cloud
from agent.sandbox.front import Front, is_for_sts
from agent.sandbox.practice import PracticeIssuer
from agent.sandbox.s3.service import S3
from agent.sandbox.sts.assume import WebIdentity
from agent.sandbox.sts.fetch import Fetched, Unreachable
from agent.sandbox.sts.issuer import Issuers
from agent.sandbox.sts.service import Sts
from agent.sandbox.wire import Wire
from tests.fakes.clock import START, FakeClock
from tests.unit.sandbox.scene import ISSUER, ROLE, rsa_key

ISSUED = PracticeIssuer(ISSUER, rsa_key())
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Shelf:
    """An issuer's site in memory."""

    def __init__(self, documents: Mapping[str, object]) -> None:
        self._documents = documents

    async def get(self, url: str, _: tuple[str, ...]) -> Fetched:
        if url not in self._documents:
            raise Unreachable(url)
        return Fetched("application/json", json.dumps(self._documents[url]).encode())


def front(jwks: object = None, discovery: object = None) -> Front:
    clock = FakeClock()
    cloud = Cloud(practice_world(ISSUER), clock, Random(1))
    documents = {
        f"{ISSUER}/.well-known/openid-configuration": discovery or ISSUED.discovery,
        f"{ISSUER}/keys.json": {"keys": [ISSUED.jwk]} if jwks is None else jwks,
    }
    issuers = Issuers(Shelf(documents), clock, timedelta(0))
    return Front(cloud, Sts(cloud, WebIdentity(cloud, issuers)), S3(cloud))


def status(at: Front, wire: Wire) -> int:
    reply = asyncio.run(at.answer(wire))
    assert reply is not None
    return reply.status


def assume(token: str) -> Wire:
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "tester",
        "WebIdentityToken": token,
    }
    return Wire("POST", "/", "", FORM, "&".join(f"{name}={value}" for name, value in form.items()).encode())


def test_the_good_call_is_answered_here_too() -> None:
    assert status(front(), assume(ISSUED.sign(ISSUED.claims(START)))) == 200


TEXT = st.text(st.characters(max_codepoint=0x2FF), max_size=20)
NAMES = st.sampled_from(["Action", "Version", "RoleArn", "Policy", "list-type", "X-Amz-Algorithm", "X-Amz-Date", "acl"])
HEADERS = st.dictionaries(
    st.sampled_from(
        ["authorization", "x-amz-date", "x-amz-content-sha256", "content-type", "range", "host", "x-amz-security-token"]
    ),
    TEXT | st.just(FORM["content-type"]) | st.just("bytes=1-"),
)


@given(
    st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"]),
    st.sampled_from(["/", "", "/demo-bucket", "/demo-bucket/", "/demo-bucket/k", "//", "/%ff%00", "/%2e%2e/"]),
    st.lists(st.tuples(NAMES, TEXT), max_size=4),
    HEADERS,
    st.binary(max_size=50),
)
def test_whatever_is_sent_is_refused_politely(
    method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    wire = Wire(method, path, "&".join(f"{name}={value}" for name, value in query), headers, body)
    assert status(front(), wire) in (400, 403, 404, 501)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(ISSUED.jwk)), ANYTHING)
def test_a_key_with_anything_in_it_is_no_accident(member: str, value: object) -> None:
    jwks = {"keys": [{**ISSUED.jwk, member: value}]}
    assert status(front(jwks), assume(ISSUED.sign(ISSUED.claims(START)))) in (200, 400)


@given(ANYTHING)
def test_a_key_set_of_anything_is_no_accident(value: object) -> None:
    token = ISSUED.sign(ISSUED.claims(START))
    assert status(front(jwks=value if value is not None else 0), assume(token)) == 400
    assert status(front(jwks={"keys": value}), assume(token)) == 400


@given(st.sampled_from(sorted(ISSUED.discovery)), ANYTHING)
def test_a_discovery_document_with_anything_in_it_is_no_accident(member: str, value: object) -> None:
    token = ISSUED.sign(ISSUED.claims(START))
    assert status(front(discovery={**ISSUED.discovery, member: value}), assume(token)) in (200, 400)


CLAIMS = st.sampled_from(
    [
        *("iss", "sub", "aud", "azp", "iat", "nbf", "exp", "amr", "email"),
        "https://aws.amazon.com/roles",
        "https://aws.amazon.com/tags",
        "https://aws.amazon.com/tags/principal_tags/Team",
        "https://aws.amazon.com/tags/transitive_tag_keys",
        "https://aws.amazon.com/source_identity",
    ]
)


@given(st.dictionaries(CLAIMS, ANYTHING, min_size=1, max_size=3))
def test_a_claim_of_anything_is_no_accident(claims: dict[str, object]) -> None:
    token = ISSUED.sign({**ISSUED.claims(START), **claims})
    assert status(front(), assume(token)) in (200, 400, 403)


@given(ANYTHING, ANYTHING)
def test_a_token_of_anything_is_no_accident(header: object, claims: object) -> None:
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, claims)]
    assert status(front(), assume(".".join([*parts, "AAAA"]))) == 400


WORLDS = st.dictionaries(
    st.sampled_from(
        ["account_id", "partition", "providers", "roles", "bucket", "objects", "managed_policies", "arn", "url"]
    ),
    ANYTHING | st.lists(st.dictionaries(st.sampled_from(["url", "arn", "trust_policy", "max_session"]), ANYTHING)),
)


@given(WORLDS)
def test_a_world_of_anything_is_read_or_refused(document: object) -> None:
    with suppress(ConfigurationError):
        assert isinstance(world_from_json(document), World)


@pytest.mark.parametrize(
    ("wire", "outcome"),
    [
        (Wire("POST", "/", "", FORM, b"Action=x"), True),
        (Wire("GET", "/", "Action=GetCallerIdentity", {}), True),
        (Wire("GET", "/", "x-id=ListBuckets", {}), False),
        (Wire("GET", "/demo-bucket", "Action=x", {}), False),
        (Wire("POST", "/demo-bucket", "delete", {}), False),
        (Wire("PUT", "/", "", {}), False),
    ],
)
def test_services_are_told_apart(wire: Wire, *, outcome: bool) -> None:
    assert is_for_sts(wire) is outcome
