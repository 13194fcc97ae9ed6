import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agent.sandbox.cognito import srp

VECTORS = Path(__file__).parents[2] / "tokens" / "cognito" / "srp_vectors.json"


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text())["vectors"], ids=lambda one: one["user"])
def test_the_proof_of_another_implementation_is_believed_or_not(vector: dict[str, Any]) -> None:
    """With the client's A and the server's b of the vector, the exchange is whole without our own client."""
    seed = hashlib.sha512(f"b{json.loads(VECTORS.read_text())['vectors'].index(vector)}".encode()).hexdigest() * 2
    secret, salt = int(seed, 16), int(vector["salt"], 16)
    inner = hashlib.sha256(f"{vector['pool']}{vector['user']}:{vector['password']}".encode()).digest()
    exponent = int.from_bytes(hashlib.sha256(srp.written(salt) + inner).digest(), "big")
    exchange = srp.Exchange(
        salt, pow(2, exponent, srp.PRIME), int(vector["B"], 16), secret, pow(2, int(vector["a"], 16), srp.PRIME)
    )
    statement = f"{vector['pool']}{vector['user']}{vector['block']}{vector['stamp']}".encode()

    assert srp.is_proven(exchange, statement, vector["sig"])
    assert not srp.is_proven(exchange, statement + b" ", vector["sig"])
    assert not srp.is_proven(exchange, statement, "ä")


def test_each_exchange_has_its_own_salt_and_number() -> None:
    rng = Random(1)
    first, second = (srp.begin(5, "pool", "user", "password", rng) for _ in range(2))
    assert first.salt != second.salt
    assert first.public != second.public
    assert 0 < first.public < srp.PRIME
