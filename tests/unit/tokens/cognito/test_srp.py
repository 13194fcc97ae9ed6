"""SRP against another implementation's numbers, and against a server's half that shares no line with it."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agent.sandbox.cognito import srp as server
from agent.secret import Secret
from agent.tokens.cognito import srp

#: What amazon-cognito-identity-js makes of fixed random numbers.
KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "srp_vectors.json").read_text())
STAMP = "Sat Nov 21 09:03:07 UTC 2026"


@pytest.mark.parametrize("vector", KNOWN["vectors"], ids=lambda one: one["user"])
def test_a_proof_is_what_another_implementation_makes_of_the_same_numbers(vector: dict[str, str]) -> None:
    own = srp.begin(bytes.fromhex(vector["a"]))
    posed = srp.Posed(int(vector["salt"], 16), int(vector["B"], 16), vector["block"].encode())

    made = srp.proof(
        own,
        posed,
        pool=vector["pool"],
        user=vector["user"],
        password=Secret(vector["password"]),
        stamp=vector["stamp"],
    )

    assert own.shown.startswith(vector["A"])
    assert made == vector["sig"]


def test_the_multiplier_is_that_of_every_client_of_cognito() -> None:
    assert f"{srp.multiplier():x}" == KNOWN["multiplier"]
    assert KNOWN["multiplier"] == "538282c4354742d7cbbde2359fcf67f9f5b3a6b08791e5011b43b8a5b66d9ee6"


def test_the_group_is_that_of_rfc_5054_computed_from_pi() -> None:
    """RFC 3526 §4: 2^3072 - 2^3008 - 1 + 2^64 * (floor(2^2942 * pi) + 1690314)."""

    def arctan(x: int, one: int) -> int:
        total, power, sign, odd = 0, one // x, 1, 1
        while power:
            total += sign * (power // odd)
            power, sign, odd = power // (x * x), -sign, odd + 2
        return total

    one = 1 << (2942 + 64)
    pi = (4 * (4 * arctan(5, one) - arctan(239, one))) >> 64
    assert 2**3072 - 2**3008 - 1 + 2**64 * (pi + 1690314) == srp.PRIME
    assert server.PRIME == srp.PRIME


def proven(password: str, *, known: str, user: str = "machine", seed: int = 0) -> bool:
    rng = Random(seed)
    own = srp.begin(rng.randbytes(srp.RANDOM_BYTES))
    exchange = server.begin(own.public, "Ab129faBb", "machine", known, rng)
    block = rng.randbytes(64)
    made = srp.proof(
        own,
        srp.Posed(exchange.salt, exchange.public, block),
        pool="Ab129faBb",
        user=user,
        password=Secret(password),
        stamp=STAMP,
    )
    return server.is_proven(exchange, b"Ab129faBbmachine" + block + STAMP.encode(), made)


@settings(max_examples=12)
@given(some.text(max_size=30), some.integers(0, 2**32))
def test_whoever_knows_the_password_is_believed_whatever_the_numbers(password: str, seed: int) -> None:
    password = password.encode("utf-8", "ignore").decode()
    assert proven(password, known=password, seed=seed)


@pytest.mark.parametrize("password", ["", "canarx", "canary ", "Canary"])
def test_nobody_else_is(password: str) -> None:
    assert not proven(password, known="canary")
    assert not proven("canary", known="canary", user="Machine")


@pytest.mark.parametrize(
    ("salt", "public"), [(1, 0), (1, srp.PRIME), (1, 2 * srp.PRIME), (1, -1), (-1, 5), (srp.PRIME, 5)]
)
def test_numbers_with_which_a_server_could_cheat_are_refused(salt: int, public: int) -> None:
    own = srp.begin(b"\x01" * srp.RANDOM_BYTES)
    with pytest.raises(ValueError, match="bounds"):
        srp.proof(own, srp.Posed(salt, public, b""), pool="p", user="u", password=Secret("canary"), stamp=STAMP)


def test_an_exchange_of_zeros_is_one_all_the_same() -> None:
    assert srp.begin(bytes(srp.RANDOM_BYTES)).public == srp.GENERATOR


@pytest.mark.parametrize(
    ("number", "data"), [(0, "00"), (1, "01"), (127, "7f"), (128, "0080"), (255, "00ff"), (256, "0100")]
)
def test_numbers_are_written_as_java_writes_them(number: int, data: str) -> None:
    assert srp.written(number).hex() == data
    assert server.written(number).hex() == data


def test_the_day_of_a_timestamp_is_not_padded_and_all_of_it_is_english_and_utc() -> None:
    assert srp.timestamp(datetime(2026, 9, 5, 9, 3, 7, 999_999, tzinfo=UTC)) == "Sat Sep 5 09:03:07 UTC 2026"
    east = timezone(timedelta(hours=2))
    assert srp.timestamp(datetime(2026, 1, 1, 1, 0, 0, tzinfo=east)) == "Wed Dec 31 23:00:00 UTC 2025"


def test_nothing_that_is_secret_shows() -> None:
    own = srp.begin(b"\x07" * srp.RANDOM_BYTES)
    assert str(own.secret) not in repr(own)
