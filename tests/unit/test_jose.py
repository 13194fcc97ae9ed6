import math

import pytest

from agent.jose import b64url, b64url_uint, compact, signing_input, thumbprint, unverified

# RFC 7638 §3.1
EXAMPLE_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o"
    "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
    "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJ"
    "zKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}


def test_the_thumbprint_is_that_of_the_rfc() -> None:
    assert thumbprint(EXAMPLE_KEY) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_order_of_members_does_not_change_a_thumbprint() -> None:
    assert thumbprint(dict(reversed(EXAMPLE_KEY.items()))) == thumbprint(EXAMPLE_KEY)


@pytest.mark.parametrize(
    ("data", "text"),  # RFC 4648 §10, without the padding; and the two characters that differ from base64
    [(b"", ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"foobar", "Zm9vYmFy"), (b"\xfb\xff", "-_8")],
)
def test_base64url_has_no_padding(data: bytes, text: str) -> None:
    assert b64url(data) == text


@pytest.mark.parametrize(
    ("number", "length", "text"), [(65537, None, "AQAB"), (1, None, "AQ"), (1, 4, "AAAAAQ"), (256, None, "AQA")]
)
def test_numbers_take_no_more_bytes_than_asked_for(number: int, length: int | None, text: str) -> None:
    assert b64url_uint(number, length) == text


def test_header_and_claims_are_compact_json_in_the_order_given() -> None:
    signed = signing_input({"alg": "RS256", "typ": "JWT"}, {"sub": "häuschen", "aud": "a"})

    assert signed == b"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJow6R1c2NoZW4iLCJhdWQiOiJhIn0"


def test_a_token_is_what_was_signed_and_the_signature() -> None:
    assert compact(b"a.b", b"\xfb\xff") == "a.b.-_8"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_json_cannot_say_is_not_signed(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        signing_input({}, {"n": value})


def test_a_token_is_read_back_without_asking_for_its_key() -> None:
    header, claims = {"alg": "ES256", "kid": "k"}, {"sub": "host:web-1", "exp": 12}

    assert unverified(compact(signing_input(header, claims), b"any")) == (header, claims)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "canary",
        "canary.canary",
        "canary.canary.canary",
        "e30.e30.c2ln\n",
        " e30.e30.c2ln",
        "e30.e30.c2ln.e30.e30",  # five parts: an encrypted token
        "e30..c2ln",
        "e30.e30.",  # not signed
        "e30=.e30=.c2ln",
        "W10.e30.c2ln",  # a list
        "e30.MQ.c2ln",  # a number
        "e30.gICA.c2ln",  # not UTF-8
        "e30.e.c2ln",  # no number of characters that base64 can have
        "e30." + b64url(b"[" * 100_000) + ".c2ln",  # deeper than a parser goes
        "e30." + b64url(b'{"n":' + b"1" * 10_000 + b"}") + ".c2ln",  # a longer number than Python reads
    ],
)
def test_what_is_no_signed_jwt_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ValueError, match=r"^(not three parts|a part is not)") as caught:
        unverified(token)

    assert type(caught.value) is ValueError  # a JSONDecodeError or UnicodeDecodeError would carry the text
    assert caught.value.__cause__ is None
    assert "canary" not in str(caught.value)
