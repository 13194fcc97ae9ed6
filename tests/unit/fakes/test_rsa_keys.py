"""Keys that are found once."""

import jwt

from agent.jose import compact, signing_input
from tests.fakes.rsa_keys import RsaKey


async def test_the_same_number_is_the_same_key_and_signs() -> None:
    key = RsaKey(0)
    assert key.public == RsaKey(0).public != RsaKey(1).public
    message = signing_input({"alg": "RS256"}, {"sub": "host:web-1"})
    token = compact(message, await key.sign(message))
    assert jwt.decode(token, jwt.PyJWK(dict(key.public.jwk), "RS256"), ["RS256"]) == {"sub": "host:web-1"}
