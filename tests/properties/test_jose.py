"""Our tokens, read by PyJWT, and PyJWT's, read by us."""

from typing import Final

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.jose import b64url_uint, compact, signing_input, unverified
from tests.fakes.memory_key import MemoryKey

KEY: Final = MemoryKey()
VERIFIER: Final = jwt.PyJWK(dict(KEY.public.jwk), "ES256")
#: Claims that PyJWT does not judge; everything else JSON can say, text that is no proper Unicode excepted.
NAMES: Final = st.text(st.characters(codec="utf-8")).map(lambda name: f"x-{name}")
VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)
CLAIMS: Final = st.dictionaries(NAMES, VALUES, max_size=8)


@given(CLAIMS)
def test_whatever_we_sign_another_implementation_reads_and_verifies(claims: dict[str, object]) -> None:
    signed = signing_input({"alg": "ES256", "kid": KEY.public.kid, "typ": "JWT"}, claims)
    token = compact(signed, KEY.sign_now(signed))

    assert jwt.decode(token, VERIFIER, ["ES256"]) == claims
    assert unverified(token) == (jwt.get_unverified_header(token), claims)


@given(CLAIMS)
def test_whatever_another_implementation_signs_we_read(claims: dict[str, object]) -> None:
    token = jwt.encode(claims, "k" * 32, "HS256", headers={"kid": "theirs"})

    assert unverified(token) == (jwt.get_unverified_header(token), claims)


@given(CLAIMS, st.data())
def test_a_token_changed_in_one_place_is_never_taken_for_the_one_signed(
    claims: dict[str, object], data: st.DataObject
) -> None:
    signed = signing_input({"alg": "ES256"}, claims)
    token = compact(signed, KEY.sign_now(signed))
    place = data.draw(st.integers(0, len(signed) - 1))
    changed = (
        token[:place] + data.draw(st.sampled_from("AZaz09-_.").filter(lambda c: c != token[place])) + token[place + 1 :]
    )

    with pytest.raises(jwt.PyJWTError):
        jwt.decode(changed, VERIFIER, ["ES256"])


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}", fullmatch=True))
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    try:
        header, claims = unverified(text)
    except ValueError as error:
        assert str(error) in {  # noqa: PT017 - either outcome is right
            "not three parts of base64url joined by dots",
            "a part is not base64url of JSON",
            "a part is not a JSON object",
        }
    else:
        assert isinstance(header, dict)
        assert isinstance(claims, dict)


@given(st.integers(1, 2**4096))
def test_a_number_comes_back_and_takes_no_byte_too_many(number: int) -> None:
    text = b64url_uint(number)

    decoded = jwt.utils.base64url_decode(text)
    assert int.from_bytes(decoded, "big") == number
    assert decoded[0] != 0
