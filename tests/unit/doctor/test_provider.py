from typing import Any

import pytest

from agent.doctor import Finding
from agent.doctor.provider import audience_of, fitting

ISSUER = "https://login.example.com"
CLAIMS = {"iss": ISSUER, "sub": "rolecall", "aud": "sts.amazonaws.com"}


def found(issuer: str | None = ISSUER, **claims: Any) -> list[Finding]:
    return [*fitting({**CLAIMS, **claims}, issuer)]


def test_a_token_that_fits_gives_nothing_to_say() -> None:
    assert found() == []
    assert found(issuer=None) == []


def test_another_issuer_than_is_configured_is_a_warning_that_names_both() -> None:
    [one] = found(iss="https://sts.example.com/")

    assert (one.severity, one.about) == ("warning", "identity.issuer")
    assert ISSUER in one.what
    assert "https://sts.example.com/" in f"{one.what} {one.hint}"


def test_azp_is_said_to_stand_for_aud() -> None:
    [one] = found(azp="our-client")

    assert one.severity == "note"
    assert "our-client" in one.what
    assert ":oaud" in one.hint


def test_a_token_for_the_provider_itself_is_a_warning() -> None:
    [one] = found(aud=ISSUER)

    assert (one.severity, one.about) == ("warning", "identity.audience")


@pytest.mark.parametrize("subject", [None, "", "x" * 256, 42])
def test_a_subject_that_aws_does_not_take_is_an_error(subject: object) -> None:
    assert [one.severity for one in found(sub=subject)] == ["error"]


@pytest.mark.parametrize(("aud", "one"), [("a", "a"), (["a", "b"], "a"), (None, "None"), ([], "[]")])
def test_one_audience_is_named_for_the_judge(aud: object, one: str) -> None:
    assert audience_of({"aud": aud}) == one
