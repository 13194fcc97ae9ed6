import logging
from datetime import timedelta

import pytest

from agent.errors import AgentError, CredentialsUnavailable, KeyUnavailable
from agent.events import RenewalFailed, SessionRenewed, TokenRenewalFailed, TokenRenewed
from agent.telemetry.key_lines import Line
from agent.telemetry.renewal_lines import RenewalLines
from tests.fakes.clock import FakeClock

DOWN = CredentialsUnavailable("STS does not answer", hint="is the network up?")
LOCKED = KeyUnavailable("the key is locked", hint="unlock it")
SLOW = CredentialsUnavailable("the key takes its time", hint="wait")
SOON = timedelta(seconds=1)


class Told:
    """What has been told since the start."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.lines = RenewalLines(self.clock)

    def role_failed(self, about: str = "") -> Line | None:
        until = self.clock.now() + timedelta(hours=1)
        return self.lines.line(RenewalFailed("backup", DOWN, 1, SOON, SOON, until, about))

    def role_renewed(self, about: str = "") -> Line | None:
        return self.lines.line(SessionRenewed("backup", "ASIAABCDEFGHIJKLWXYZ", self.clock.now(), SOON, SOON, about))

    def token_failed(self, error: AgentError = SLOW, left: timedelta | None = timedelta(minutes=4)) -> Line | None:
        until = None if left is None else self.clock.now() + left
        return self.lines.line(TokenRenewalFailed("vault", error, 1, SOON, SOON, until))

    def token_renewed(self) -> Line | None:
        return self.lines.line(TokenRenewed("vault", "jti-1", self.clock.now(), SOON, SOON))


@pytest.fixture
def told() -> Told:
    return Told()


def test_the_sessions_of_one_role_are_told_apart(told: Told) -> None:
    lines = []
    for _ in range(3):
        lines += [told.role_failed("grants#2: unit a.service"), told.role_renewed("grants#2: unit b.service")]
    failed = [line for line in lines if line is not None and line.event == "renewal_failed"]
    assert [line.fields["about"] for line in failed] == ["grants#2: unit a.service"]  # once, though another is well
    well = told.role_renewed("grants#2: unit a.service")
    assert well is not None
    assert well.fields["after_failures"] == 1


def test_sessions_that_fail_and_go_are_forgotten(told: Told) -> None:
    for number in range(10_000):
        assert told.role_failed(f"unit {number}") is not None
    assert len(told.lines._failures) == len(told.lines._told) == 4096


def test_a_token_is_told_of_quietly_and_aloud_after_failures(told: Told) -> None:
    quiet = told.token_renewed()
    assert quiet is not None
    assert (quiet.level, quiet.event, quiet.fields["audience"], quiet.fields["jti"]) == (
        logging.DEBUG,
        "token_renewed",
        "vault",
        "jti-1",
    )
    told.token_failed()
    aloud = told.token_renewed()
    assert aloud is not None
    assert (aloud.level, aloud.fields["after_failures"]) == (logging.INFO, 1)


def test_a_token_that_cannot_be_made_is_a_warning_while_another_is_held_and_then_an_error(told: Told) -> None:
    first, again, ending = told.token_failed(), told.token_failed(), told.token_failed(left=timedelta(seconds=30))
    assert first is not None
    assert (first.level, first.event, first.fields["held"]) == (logging.WARNING, "token_renewal_failed", "good")
    assert again is None
    assert ending is not None
    assert (ending.level, ending.fields["held"]) == (logging.ERROR, "ending")
    assert ending.fields["role" if "role" in ending.fields else "audience"] == "vault"


async def test_what_lasts_is_told_every_quarter_of_an_hour(told: Told) -> None:
    lines = []
    for _ in range(60):
        lines.append(told.token_failed(left=None))
        await told.clock.advance(timedelta(minutes=1))
    assert sum(line is not None for line in lines) == 4


def test_what_somebody_must_mend_is_told_each_time(told: Told) -> None:
    refused = AgentError("it is wrong", hint="mend it")
    assert not refused.retryable
    assert all(told.token_failed(refused) is not None for _ in range(3))


def test_a_role_and_an_audience_of_one_name_are_two(told: Told) -> None:
    assert told.lines.line(RenewalFailed("vault", DOWN, 1, SOON, SOON, None)) is not None
    other = told.lines.line(TokenRenewalFailed("vault", DOWN, 1, SOON, SOON, None))
    assert other is not None
    assert "role" not in other.fields
