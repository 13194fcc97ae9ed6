"""Whatever our verifier takes, PyJWT takes as well when it is held to the same rule."""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
from hypothesis import event, given, settings
from hypothesis import strategies as st

from agent.errors import IssuerUnreadable, TokenRejected
from agent.verification import Rule
from agent.verification.key_sets import read
from agent.verification.published import PublishedKeys
from agent.verification.verifier import RuleVerifier
from tests.fakes.clock import FakeClock
from tests.fakes.foreign import AUDIENCE, DISCOVERY, ISSUER, FakeWeb, a_jwk, b64, claims, private
from tests.fakes.report import Reported

#: PyJWT reads the machine's clock, so ours stands where that is.
NOW = int(datetime.now(UTC).timestamp())  # noqa: TID251 - the same
LEEWAY = 30
ALGORITHMS = ("RS256", "ES256", "PS256")
SHOWN = {"one": a_jwk(), "two": a_jwk("two", "ES256"), "any": a_jwk("any", alg=None), "enc": a_jwk("enc", use="enc")}
PUBLIC = {"RS256": "RS256", "PS256": "PS256", "RS384": "RS384", "ES256": "ES256"}

_moments: st.SearchStrategy[object] = st.one_of(
    st.integers(NOW - 100, NOW + 100),
    st.floats(NOW - 100, NOW + 100),
    st.sampled_from([True, None, "1", -1, 0, 10**12, 10**30, 1e300, [], {}]),
)
_texts = st.sampled_from([ISSUER, AUDIENCE, f"{ISSUER}/", "alice", "", "app", 7, None, True])
_json = st.one_of(_texts, st.lists(_texts, max_size=3), st.dictionaries(st.sampled_from("ab"), _texts, max_size=2))


def few(values: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Two of them at most: what is wrong in one way alone is what slips through."""
    names = st.lists(st.sampled_from([*values]), max_size=2, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: values[name] for name in chosen}))


_headers = few(
    {
        "alg": st.sampled_from(["RS256", "RS256", "ES256", "PS256", "RS384", "HS256", "none", "", None, 1]),
        "kid": st.sampled_from(["one", "one", "two", "any", "enc", "other", "", None, 1]),
        "typ": st.sampled_from(["JWT", "at+jwt", "logout+jwt", None, 1]),
        "crit": st.sampled_from([[], ["b64"], ["exp"], None]),
        "b64": st.booleans(),
        "jwk": st.just(a_jwk()),
    }
)
_claims = few(
    {
        "iss": _texts, "sub": _texts, "aud": _json, "exp": _moments, "nbf": _moments, "iat": _moments, "jti": _json,
        "client_id": _texts, "scope": _json, "scp": _json, "team": _json,
    },
)  # fmt: skip


def signed(header: Mapping[str, Any], said: Mapping[str, Any]) -> bytes:
    """By the key that the header names, if that can sign so; by the RSA key otherwise."""
    text = b".".join(b64(json.dumps(one).encode()) for one in (header, said))
    name = header.get("alg") if header.get("alg") in PUBLIC else "RS256"
    key = private("ec-p256" if name == "ES256" else "rsa-2048")
    return text + b"." + b64(jwt.get_algorithm_by_name(str(name)).sign(text, key))


def changed(token: bytes, at: int, to: int) -> bytes:
    place = at % len(token)
    return token[:place] + bytes([to]) + token[place + 1 :]


@cache
def held(rule: Rule) -> Callable[[bytes], bool]:
    """Whether our verifier takes a token."""
    clock = FakeClock(datetime.fromtimestamp(NOW, UTC))
    keys = PublishedKeys(ISSUER, FakeWeb(*SHOWN.values()), clock=clock, report=Reported())

    async def drained() -> None:
        for _ in range(10):
            await keys.look_up("unknown")

    asyncio.run(drained())
    verifier = RuleVerifier(rule, keys, clock)

    def takes(token: bytes) -> bool:
        try:
            return verifier.ready(token) is not None
        except TokenRejected:
            return False

    return takes


WITH_AUDIENCE = Rule(ISSUER, (AUDIENCE,), algorithms=ALGORITHMS)
WITH_CLIENT = Rule(ISSUER, client_ids=("app",), algorithms=ALGORITHMS)


def judged(token: bytes, rule: Rule) -> Mapping[str, Any]:
    """What PyJWT reads, by the key that the token names and the rule's algorithms alone. Raises PyJWTError."""
    kid = jwt.get_unverified_header(token)["kid"]
    algorithm = jwt.get_unverified_header(token)["alg"]
    found: Mapping[str, Any] = jwt.decode(
        token,
        jwt.PyJWK(dict(SHOWN[kid]), algorithm if "alg" not in SHOWN[kid] else None),
        list(rule.algorithms),
        issuer=rule.issuer,
        audience=rule.audiences or None,
        leeway=timedelta(seconds=LEEWAY + 900),  # since it may be long after this file was loaded
        options={"require": ["exp", "iss"]},
    )
    return found


@settings(max_examples=200)
@given(header=_headers, said=_claims, rule=st.sampled_from([WITH_AUDIENCE, WITH_CLIENT]))
def test_whatever_we_take_pyjwt_takes_by_the_same_rule(
    header: Mapping[str, Any], said: Mapping[str, Any], rule: Rule
) -> None:
    usual = claims(iat=NOW - 10, exp=NOW + 600, aud=AUDIENCE if rule.audiences else None, client_id="app")
    token = signed({"alg": "RS256", "kid": "one", **header}, {**usual, **said})
    taken = held(rule)(token)
    event(f"taken: {taken}")
    if taken:
        read = judged(token, rule)
        assert read["iss"] == ISSUER
        assert rule.audiences or read["client_id"] == "app"


@settings(max_examples=200)
@given(at=st.integers(0, 10**6), to=st.integers(0, 255), kind=st.sampled_from(["RS256", "ES256", "PS256"]))
def test_no_byte_of_a_token_can_be_changed(at: int, to: int, kind: str) -> None:
    """Not even into another spelling of the same."""
    kid = {"RS256": "one", "ES256": "two", "PS256": "any"}[kind]
    token = signed({"alg": kind, "kid": kid}, claims(iat=NOW - 10, exp=NOW + 600))
    assert held(WITH_AUDIENCE)(token)
    other = changed(token, at, to)
    assert held(WITH_AUDIENCE)(other) == (other == token)


@given(garbage=st.one_of(st.binary(max_size=200), st.text(alphabet="eyJ.-_A1{}", max_size=200).map(str.encode)))
def test_garbage_is_rejected_and_nothing_breaks(garbage: bytes) -> None:
    assert not held(WITH_AUDIENCE)(garbage)


_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
_members = st.one_of(
    st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "P-384", "P-521", "Ed25519", "sig", "enc", "RS256", "ES256"]),
    st.sampled_from([a_jwk()["n"], a_jwk()["e"], SHOWN["two"]["x"], SHOWN["two"]["y"], "AQ", "AA", "", "=", "\ud800"]),
    _anything,
)
_jwks = st.dictionaries(
    st.sampled_from(["kty", "crv", "n", "e", "x", "y", "d", "k", "kid", "alg", "use", "key_ops", "x5c"]), _members
)


@settings(max_examples=150)
@given(document=st.one_of(_anything, st.builds(lambda keys: {"keys": keys}, st.lists(_jwks | _anything, max_size=4))))
def test_whatever_an_issuer_shows_its_keys_are_read_or_it_is_unreadable(document: object) -> None:
    try:
        keys = read(document)
    except IssuerUnreadable:
        return
    for by_algorithm in keys.values():
        for checks in by_algorithm.values():
            assert not any(check(b"signed", b"no signature") for check in checks)


@given(
    where=st.one_of(
        st.text(max_size=40), st.sampled_from(["https://[bad", "http://[::1", "https://a:99999/"]), _anything
    )
)
def test_wherever_an_issuer_sends_us_we_go_over_https_or_nowhere(where: object) -> None:
    web = FakeWeb()
    web.documents[DISCOVERY] = {"issuer": ISSUER, "jwks_uri": where}
    keys = PublishedKeys(ISSUER, web, clock=FakeClock(), report=Reported())
    try:
        asyncio.run(keys.look_up("one"))
    except IssuerUnreadable:
        assert all(url.startswith("https://") for url in web.asked)
