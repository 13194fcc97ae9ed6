import json

import pytest

from agent import errors
from agent.errors import AgentError
from agent.web import problems
from agent.web.problems import Problem, problem_of

TABLE = [
    (errors.CallerUnknown, 401, "CallerUnknown", {}),
    (errors.CallerDenied, 403, "CallerDenied", {}),
    (errors.RoleUnknown, 404, "RoleUnknown", {}),
    (errors.RoleAmbiguous, 409, "RoleAmbiguous", {}),
    (errors.CredentialsNotReady, 503, "CredentialsNotReady", {"Retry-After": "1"}),
    (errors.CredentialsUnavailable, 503, "ServiceUnavailable", {"Retry-After": "5"}),
    (errors.CredentialsRefused, 503, "ServiceUnavailable", {"Retry-After": "5"}),
    (errors.TokenUnavailable, 503, "ServiceUnavailable", {"Retry-After": "5"}),
    (errors.KeyUnavailable, 503, "ServiceUnavailable", {"Retry-After": "5"}),
    (errors.ConfigurationError, 500, "InternalError", {}),
    (errors.PublishingFailed, 500, "InternalError", {}),
    (errors.IssuerUnreadable, 500, "InternalError", {}),
    (errors.ListenerUnavailable, 500, "InternalError", {}),
    (errors.SignInNeeded, 503, "SignInNeeded", {"Retry-After": "5"}),
    (errors.TokenRejected, 500, "InternalError", {}),
    (errors.ProofUnchecked, 503, "ServiceUnavailable", {"Retry-After": "5"}),
    (errors.TokenRefused, 503, "ServiceUnavailable", {"Retry-After": "5"}),
    (errors.AgentUnreachable, 500, "InternalError", {}),
]
FIXED = [value for value in vars(problems).values() if isinstance(value, Problem)]


@pytest.mark.parametrize(("kind", "status", "code", "headers"), TABLE)
def test_every_error_has_its_answer(kind: type[AgentError], status: int, code: str, headers: dict[str, str]) -> None:
    problem = problem_of(kind("what", hint="hint"))
    assert (problem.status, problem.code, dict(problem.headers)) == (status, code, headers)


def test_no_error_has_been_forgotten_in_the_table() -> None:
    assert {kind for kind, *_ in TABLE} == {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, AgentError) and kind is not AgentError
    }


@pytest.mark.parametrize(
    "kind", [kind for kind, *_ in TABLE if kind not in {errors.RoleAmbiguous, errors.SignInNeeded}]
)
def test_a_caller_is_not_told_the_operators_reasons(kind: type[AgentError]) -> None:
    body = problem_of(kind("STS said X of key 17", hint="mend the trust policy")).body()
    assert b"STS" not in body
    assert b"policy" not in body


def test_whoever_waits_for_a_person_is_told_what_that_person_has_to_do() -> None:
    error = errors.SignInNeeded("the sign-in has ended", hint="run: rolecall login")
    assert b"the sign-in has ended; run: rolecall login" in problem_of(error).body()


def test_a_caller_of_several_roles_is_told_their_names() -> None:
    assert b"web, backup" in problem_of(errors.RoleAmbiguous("several roles: web, backup.")).body()


@pytest.mark.parametrize("problem", [*FIXED, problems.method_not_allowed("GET")], ids=lambda problem: problem.code)
def test_both_spellings_of_code_and_message_say_the_same_and_something(problem: Problem) -> None:
    told = json.loads(problem.body())
    assert list(told) == ["code", "message", "Code", "Message"]
    assert told["code"] == told["Code"] == problem.code
    assert told["message"] == told["Message"] != ""


def test_every_503_says_when_to_try_again_and_nothing_is_429_or_502() -> None:
    everything = [*FIXED, *(problem_of(kind("x")) for kind, *_ in TABLE)]
    assert all(("Retry-After" in dict(problem.headers)) == (problem.status == 503) for problem in everything)
    assert not {429, 502} & {problem.status for problem in everything}
