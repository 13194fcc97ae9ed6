"""What a relying party can be told, and what cannot work there."""

from collections.abc import Callable

import pytest

from agent.errors import ConfigurationError
from agent.infrastructure.relying_parties import Side
from agent.relying_parties import PARTIES
from tests.unit.infrastructure.relying_parties.side import ISSUER, side


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: side("gcp", "h" * 128), "the subject is 128 bytes long; Google Cloud takes 127"),
        (lambda: side("gcp", "é" * 64), "the subject is 128 bytes long; Google Cloud takes 127"),
        (lambda: side("gcp", audience="a,b"), "Google Cloud takes no audience 'a,b'"),
        (lambda: side("gcp", audience="a" * 257), "Google Cloud takes no audience"),
        (lambda: side("azure", "h" * 601), "the subject is 601 characters long; Microsoft Entra ID takes 600"),
        (lambda: side("azure", audience="a" * 601), "the audience is 601 characters long"),
        (
            lambda: Side(PARTIES["azure"], f"https://{'i' * 600}", "a", "host:web-1"),
            "the issuer is 608 characters long",
        ),
        (lambda: side("vault", "host:e\u0301"), "has letters composed of several characters"),
    ],
)
def test_what_cannot_work_there_is_refused_with_why(made: Callable[[], Side], why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made()
    assert why in caught.value.what
    assert caught.value.hint


def test_what_just_fits_is_not_refused() -> None:
    assert side("gcp", "h" * 127).issuer == ISSUER
    assert side("azure", "h" * 600).subject == "h" * 600


@pytest.mark.parametrize(
    ("subject", "label"),
    [("host:web-1", "host-web-1"), ("/é/", "rolecall"), ("a" * 40, "a" * 20), ("a" * 19 + "::b", "a" * 19)],
)
def test_a_subject_gives_things_their_names(subject: str, label: str) -> None:
    assert side("vault", subject).label(20) == label
