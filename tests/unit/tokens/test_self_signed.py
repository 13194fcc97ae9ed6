import dataclasses
import itertools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import jwt
import pytest

from agent.clock import RemoteClock
from agent.errors import ConfigurationError, KeyUnavailable
from agent.events import Event, TokenSigned
from agent.tokens.self_signed import BACKDATED, Identity, SelfSigned
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_key import MemoryKey

MINUTE = timedelta(minutes=1)
ROLE = "arn:aws:iam::123456789012:role/backup"
PLAIN = Identity("https://oidc.example.com", "host:web-1", "sts.amazonaws.com", 5 * MINUTE)


class Bench:
    """A source with all it needs."""

    def __init__(self, identity: Identity = PLAIN) -> None:
        self.key = MemoryKey()
        self.clock = FakeClock()
        self.events: list[Event] = []
        ids = itertools.count(1)
        self.source = SelfSigned(
            lambda: self.key, identity, self.clock, token_id=lambda: f"id-{next(ids)}", report=self.events.append
        )

    async def claims(self) -> Mapping[str, Any]:
        token = await self.source.token()
        verifier = jwt.PyJWK(dict(self.key.public.jwk), "ES256")
        options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
        claims: Mapping[str, Any] = jwt.decode(
            token.value.reveal(), verifier, ["ES256"], audience=PLAIN.audience, options=options
        )
        return claims


async def test_a_token_says_who_we_are_to_whom_and_until_when_and_no_more() -> None:
    issued = int(START.timestamp()) - 10

    assert await Bench().claims() == {
        "iss": "https://oidc.example.com",
        "sub": "host:web-1",
        "aud": "sts.amazonaws.com",
        "iat": issued,
        "nbf": issued,
        "exp": issued + 300,
        "jti": "id-1",
    }


async def test_the_header_names_the_key_and_its_algorithm() -> None:
    bench = Bench()

    token = await bench.source.token()

    header = jwt.get_unverified_header(token.value.reveal())
    assert header == {"alg": "ES256", "kid": bench.key.public.kid, "typ": "JWT"}


async def test_a_token_is_told_to_expire_when_it_does() -> None:
    token = await Bench().source.token()

    assert token.expires_at == START - BACKDATED + 5 * MINUTE


async def test_parts_of_a_second_are_dropped_and_never_round_up_into_the_future() -> None:
    bench = Bench()
    bench.clock.step(timedelta(milliseconds=999))

    claims = await bench.claims()

    assert claims["iat"] == int(START.timestamp()) - 10
    assert isinstance(claims["iat"], int)


async def test_a_host_an_hour_wrong_mints_by_the_time_of_aws() -> None:
    bench = Bench()
    clock = RemoteClock(bench.clock)
    clock.learn(START + timedelta(hours=1))
    source = SelfSigned(lambda: bench.key, PLAIN, clock, token_id=lambda: "id", report=bench.events.append)

    token = await source.token()

    assert token.expires_at == START + timedelta(hours=1) - BACKDATED + 5 * MINUTE


async def test_no_two_tokens_have_the_same_id() -> None:
    bench = Bench()

    assert [(await bench.claims())["jti"] for _ in range(3)] == ["id-1", "id-2", "id-3"]


async def test_every_signature_is_reported() -> None:
    bench = Bench()

    await bench.source.token()
    await bench.source.token()

    assert bench.events == [TokenSigned(bench.key.public.kid)] * 2


async def test_a_key_that_cannot_sign_is_reported_to_the_caller_and_counts_for_nothing() -> None:
    bench = Bench()
    bench.key.failure = KeyUnavailable("the device is gone", hint="plug it in")

    with pytest.raises(KeyUnavailable, match="the device is gone"):
        await bench.source.token()
    assert bench.events == []


# What AWS reads besides


async def test_a_token_can_be_pinned_to_roles() -> None:
    claims = await Bench(dataclasses.replace(PLAIN, roles=(ROLE,))).claims()

    assert claims["https://aws.amazon.com/roles"] == [ROLE]


async def test_session_tags_are_lists_of_one() -> None:
    identity = dataclasses.replace(PLAIN, tags={"team": "web", "stage": ""}, transitive_tags=("team",))

    claims = await Bench(identity).claims()

    assert claims["https://aws.amazon.com/tags"] == {
        "principal_tags": {"team": ["web"], "stage": [""]},
        "transitive_tag_keys": ["team"],
    }


async def test_tags_that_do_not_travel_need_no_list_of_those_that_do() -> None:
    claims = await Bench(dataclasses.replace(PLAIN, tags={"team": "web"})).claims()

    assert claims["https://aws.amazon.com/tags"] == {"principal_tags": {"team": ["web"]}}


async def test_the_source_identity_is_stated() -> None:
    claims = await Bench(dataclasses.replace(PLAIN, source_identity="ops@example.com")).claims()

    assert claims["https://aws.amazon.com/source_identity"] == "ops@example.com"


async def test_more_claims_can_be_added_for_others() -> None:
    claims = await Bench(dataclasses.replace(PLAIN, claims={"scope": "read write", "level": 3})).claims()

    assert (claims["scope"], claims["level"]) == ("read write", 3)


# What is taken and what is not


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "s" * 6},
        {"subject": "s" * 127},
        {"subject": "häh?!"},  # five characters, six bytes
        {"subject": "host: web 1"},
        {"lifetime": MINUTE},
        {"lifetime": 60 * MINUTE},
        {"tags": {f"tag-{n}": "v" for n in range(50)}},
        {"tags": {"k" * 128: "v" * 256}},
        {"tags": {"Größe 1_.:/=+-@": ""}},
        {"source_identity": "ab"},
        {"source_identity": "a" * 64},
        {"source_identity": "a_+=,.@-9"},
        {"roles": (ROLE,) * 200},
    ],
)
def test_the_greatest_and_the_least_that_aws_takes_are_taken(change: dict[str, Any]) -> None:
    assert dataclasses.replace(PLAIN, **change)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"issuer": ""}, "the issuer is empty, or has blanks around it or control characters in it"),
    ({"issuer": "https://oidc.example.com\n"}, "the issuer is empty, or has blanks"),
    ({"audience": " "}, "the audience is empty, or has blanks"),
    ({"subject": ""}, "the subject is empty, or has blanks"),
    ({"subject": "host:web\x001"}, "the subject is empty, or has blanks"),
    ({"subject": "host:\udcff"}, "the subject is empty, or has blanks"),
    ({"subject": "s" * 5}, "the subject is 5 bytes long, not 6 to 127"),
    ({"subject": "s" * 128}, "the subject is 128 bytes long, not 6 to 127"),
    ({"subject": "ä" * 64}, "the subject is 128 bytes long, not 6 to 127"),
    ({"lifetime": timedelta(seconds=59)}, "a token lifetime of 0:00:59 is not between 1 minute and 24 hours"),
    ({"lifetime": timedelta(hours=25)}, "a token lifetime of 1 day, 1:00:00 is not between 1 minute and 24 hours"),
    ({"tags": {f"tag-{n}": "v" for n in range(51)}}, "there are 51 session tags, and STS takes 50"),
    ({"tags": {"k" * 129: "v"}}, "the name of the session tag 'k{40}' is longer than 128 characters"),
    ({"tags": {"k": "v" * 257}}, "the value of the session tag 'k' is longer than 256 characters"),
    ({"tags": {"": "v"}}, "the name of the session tag '' is empty"),
    ({"tags": {"k": "v;"}}, "the value of the session tag 'k' has characters other than letters, digits, blanks and"),
    ({"tags": {"k\n": "v"}}, r"the name of the session tag 'k\\n' has characters other than"),
    ({"tags": {"AWS:k": "v"}}, "the name of the session tag 'AWS:k' begins with \"aws:\", which AWS keeps for itself"),
    ({"tags": {"Team": "a", "team": "b"}}, "the session tags 'Team' and 'team' are one to STS"),
    ({"transitive_tags": ("team",)}, "the transitive tag 'team' is not among the session tags"),
    ({"source_identity": "a"}, "the source identity is not 2 to 64"),
    ({"source_identity": "a" * 65}, "the source identity is not 2 to 64"),
    ({"source_identity": "web 1"}, "the source identity is not 2 to 64"),
    ({"source_identity": "größe"}, "the source identity is not 2 to 64"),
    ({"source_identity": "web-1\n"}, "the source identity is not 2 to 64"),
    ({"claims": {"azp": "me"}}, "the claim azp cannot be set by hand"),
    ({"claims": {"exp": 1}}, "the claim exp cannot be set by hand"),
    ({"claims": {"https://aws.amazon.com/roles": []}}, "the claim https://aws.amazon.com/roles cannot be set by hand"),
    ({"claims": {"n": float("nan")}}, "the claims cannot be written as JSON"),
    ({"claims": {"n": {1, 2}}}, "the claims cannot be written as JSON"),
    ({"claims": {"n": "\ud800"}}, "the claims cannot be written as JSON"),
    ({"roles": (ROLE,) * 400}, r"tokens would be \d+ characters long, and STS takes 20000"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSED)
def test_an_identity_that_aws_would_not_take_is_refused_before_a_token_is_made(
    change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        dataclasses.replace(PLAIN, **change)

    assert caught.value.hint


async def test_the_longest_identity_makes_a_token_that_sts_takes() -> None:
    count = 0
    for count in itertools.count(200):
        try:
            identity = dataclasses.replace(PLAIN, roles=(ROLE,) * count)
        except ConfigurationError:
            break
        longest = identity

    token = await Bench(longest).source.token()

    # Less than a thousand characters are kept free: for the longest signature there is, and a longer jti than ours.
    assert 19_000 < len(token.value.reveal()) <= 20_000 - 600


def test_an_identity_can_be_a_key_of_a_dictionary() -> None:
    tagged = dataclasses.replace(PLAIN, tags={"team": "web"})

    assert {PLAIN: 1, tagged: 2}[dataclasses.replace(PLAIN, tags={"team": "web"})] == 2
