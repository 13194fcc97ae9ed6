from datetime import timedelta

import pytest

from agent.doctor.clock import Probe, answered, compared, unreachable
from agent.errors import CredentialsUnavailable

NOW = timedelta(0)


def test_an_answer_with_the_time_is_all_that_is_wanted_of_sts() -> None:
    tried = answered(Probe("InvalidIdentityToken", NOW), "AWS, region eu-central-1")
    assert (tried.good, tried.findings) == ("STS answers: AWS, region eu-central-1", ())


def test_what_does_not_sign_as_sts_does_is_likely_none() -> None:
    (finding,) = answered(Probe("403", None), "https://sts.example.com").findings
    assert (finding.severity, finding.sure) == ("error", "likely")
    assert "does not sign its answers" in finding.what


@pytest.mark.parametrize(("passes", "sure"), [(True, "likely"), (False, "certain")])
def test_trouble_of_sts_itself_is_told_in_its_words(*, passes: bool, sure: str) -> None:
    (finding,) = answered(Probe("RegionDisabled", NOW, "STS is off", "switch it on", passes), "AWS").findings
    assert (finding.what, finding.hint, finding.sure) == ("STS is off", "switch it on", sure)


def test_no_answer_is_an_error() -> None:
    (finding,) = unreachable(CredentialsUnavailable("no way", hint="see the proxy"), "sts.ca_bundle").findings
    assert (finding.link, finding.what, finding.about) == ("sts", "no way", "sts.ca_bundle")


@pytest.mark.parametrize(
    ("seconds", "severity", "what"),
    [
        (31, "warning", "31 s behind"),
        (-31, "warning", "31 s ahead of"),
        (300, "warning", "5 min behind"),
        (301, "error", "5 min behind"),
        (-7300, "error", "2 h ahead of"),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_from_that_of_sts(seconds: int, severity: str, what: str) -> None:
    (finding,) = compared(timedelta(seconds=seconds)).findings
    assert finding.severity == severity
    assert what in finding.what
    assert "timedatectl" in finding.hint


@pytest.mark.parametrize("seconds", [0, 0.4, -29, 30])
def test_half_a_minute_is_nothing(seconds: float) -> None:
    tried = compared(timedelta(seconds=seconds))
    assert tried.findings == ()
    assert tried.good


def test_without_the_time_of_sts_there_is_nothing_to_compare() -> None:
    assert compared(None).not_tried == "STS has not told the time"
