"""Does every error say what is wrong, what to do, and whether to ask again?"""

import pytest

from agent import errors
from agent.errors import AgentError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AgentError)]

#: Those after which the same call may work with nobody changing anything.
RETRYABLE = {
    "TokenUnavailable",
    "CredentialsUnavailable",
    "CredentialsNotReady",
    "IssuerUnreadable",
    "AgentUnreachable",
    "ProofUnchecked",
}


def test_each_keeps_what_and_hint_and_shows_what_alone() -> None:
    for kind in KINDS:
        error = kind("The key is gone.", hint="Bring it back.")
        assert (error.what, error.hint, str(error)) == ("The key is gone.", "Bring it back.", "The key is gone.")


def test_a_hint_may_be_missing_but_is_never_given_by_position() -> None:
    assert AgentError("x").hint == ""
    with pytest.raises(TypeError):
        AgentError("x", "y")  # type: ignore[call-arg]  # that is what must not work


def test_what_may_be_retried_is_a_short_list() -> None:
    assert {kind.__name__ for kind in KINDS if kind.retryable} == RETRYABLE


def test_each_says_whose_turn_it_is_in_its_own_words() -> None:
    assert all(kind.__doc__ for kind in KINDS)
    assert len({kind.__doc__ for kind in KINDS}) == len(KINDS)
