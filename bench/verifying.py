"""What does it cost to verify a token whose key is at hand, and one whose key there is not, beside PyJWT's own time?"""

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from agent.clock import SystemClock
from agent.errors import TokenRejected
from agent.verification import Rule
from agent.verification.published import Fetched, PublishedKeys
from agent.verification.verifier import RuleVerifier

ISSUER, AUDIENCE = "https://login.example.com/pool", "https://api.example.com"

#: How many tokens are verified in one measurement.
TOKENS = 500


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one token, in seconds, at the median of the rounds: ours, PyJWT's, and ours for a key that is not there."""

    ours: float
    theirs: float
    unknown: float


class _Web:
    """An issuer that shows one key."""

    def __init__(self, jwk: dict[str, object]) -> None:
        self._body = json.dumps({"keys": [jwk]}).encode()

    async def get(self, url: str, longest: int) -> Fetched:
        assert len(self._body) < longest, url
        return Fetched(self._body)


def costs(rounds: int = 5) -> Cost:
    """Verify by the same rules, turn by turn, so that a busy moment of the machine counts for both."""
    private = rsa.generate_private_key(65537, 2048)
    jwk = {**jwt.get_algorithm_by_name("RS256").to_jwk(private.public_key(), as_dict=True), "kid": "one"}
    jwk.pop("key_ops", None)
    jwk["alg"] = "RS256"
    now = int(time.time())  # noqa: TID251 - PyJWT reads the machine's clock, and so has the token to
    claims = {
        "iss": ISSUER, "sub": "host:web-1", "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 3600,
        "jti": "5f3a1c9e-8f1e-4c52-9d0b-2f6a4a2a7c11", "client_id": "1h57kf5cpq17m0eml12EXAMPLE", "scope": "read write",
    }  # fmt: skip
    token = jwt.encode(claims, private, "RS256", {"kid": "one"}).encode()
    stranger = jwt.encode(claims, private, "RS256", {"kid": "another"}).encode()
    clock = SystemClock()
    keys = PublishedKeys(ISSUER, _Web(jwk), clock=clock, report=lambda _: None, jwks_url=f"{ISSUER}/jwks.json")
    asyncio.run(_drained(keys))
    verifier = RuleVerifier(Rule(ISSUER, (AUDIENCE,)), keys, clock)
    key = jwt.PyJWK(jwk)

    def ours() -> None:
        assert verifier.ready(token)

    def theirs() -> None:
        assert jwt.decode(token, key, ["RS256"], audience=AUDIENCE, issuer=ISSUER, leeway=30)

    def unknown() -> None:
        with suppress(TokenRejected):
            verifier.ready(stranger)

    took: dict[Callable[[], None], list[float]] = {ours: [], theirs: [], unknown: []}
    for _ in range(rounds):
        for work, times in took.items():
            times.append(_timed(work))
    return Cost(*(statistics.median(times) for times in took.values()))


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    for _ in range(TOKENS):
        work()
    return (time.perf_counter() - began) / TOKENS


async def _drained(keys: PublishedKeys) -> None:
    """Read the keys, and go on asking for one that is not there until that is no longer asked of the issuer."""
    for _ in range(10):
        await keys.look_up("another")
