import pytest

from agent.errors import TokenRejected
from agent.verification import LONGEST
from agent.verification.compact import parts
from tests.fakes.foreign import a_token, b64, claims, forged


def test_a_token_is_taken_apart_into_what_it_says_and_what_is_signed() -> None:
    token = a_token(claims(sub="jürgen"), typ="at+jwt")
    read = parts(token)

    assert (read.algorithm, read.kid) == ("RS256", "one")
    assert read.header["typ"] == "at+jwt"
    assert read.claims == claims(sub="jürgen")
    assert read.signed + b"." + b64(read.signature) == token


def test_what_is_taken_apart_does_not_show_itself() -> None:
    """Claims are about people."""
    assert "alice" not in repr(parts(a_token()))


def test_a_token_of_the_longest_length_is_read_and_one_byte_more_is_not() -> None:
    token = a_token(claims(more=""))
    room = LONGEST - len(token)
    longest = a_token(claims(more="x" * (room * 3 // 4)))
    assert LONGEST - 4 <= len(longest) <= LONGEST
    assert parts(longest).claims["sub"] == "alice"

    with pytest.raises(TokenRejected, match="longer than 16 kB"):
        parts(b"x" * (LONGEST + 1))


def test_a_token_without_a_signature_is_called_so() -> None:
    with pytest.raises(TokenRejected, match="the token is not signed"):
        parts(forged({"alg": "none"}, claims(), sign=False))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_no_json_are_refused_wherever_they_stand(number: str) -> None:
    with pytest.raises(TokenRejected, match="not one object of JSON"):
        parts(forged({"alg": "RS256", "kid": "one"}, b'{"deep": {"er": [' + number.encode() + b"]}}"))


def test_a_member_that_stands_twice_deep_inside_is_refused_as_well() -> None:
    with pytest.raises(TokenRejected, match="has a member twice"):
        parts(forged({"alg": "RS256", "kid": "one"}, b'{"realm": {"role": "user", "role": "admin"}}'))


def test_an_encrypted_token_is_called_so() -> None:
    with pytest.raises(TokenRejected, match="encrypted"):
        parts(b"AAAA.AAAA.AAAA.AAAA.AAAA")
