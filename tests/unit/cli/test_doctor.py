"""The doctor's words; what it tries is in tests/live/test_doctor.py."""

import json
from pathlib import Path

import pytest

from agent.cli import main
from agent.cli.doctor import show
from agent.doctor import Finding, Tried
from agent.doctor.diagnosis import Diagnosis

SICK = Diagnosis(
    (
        Tried("configuration", "rolecall.toml can be used"),
        Tried("key", "the key kid-1 (ES256) signs", (Finding("key", "note", "it is EC", "nothing"),)),
        Tried("issuer", findings=(Finding("issuer", "error", "a web page\x1b[2J", "see the firewall", "likely"),)),
        Tried("token", not_tried="the keys could not be had"),
        Tried("environment", findings=(Finding("environment", "warning", "AWS_PROFILE is set", "unset it"),)),
    )
)
WELL = Diagnosis((Tried("key", "the key kid-1 (ES256) signs"),))


def test_a_person_reads_the_worst_first_and_a_verdict_last(capsys: pytest.CaptureFixture[str]) -> None:
    show(SICK, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "✗ issuer: a web page?[2J (likely)",
        "    see the firewall",
        "! environment: AWS_PROFILE is set",
        "    unset it",
        "· key: it is EC",
        "    nothing",
        "✓ configuration: rolecall.toml can be used",
        "✓ key: the key kid-1 (ES256) signs",
        "- token: not tried, because the keys could not be had",
        "The chain is broken at its link issuer: mend that first.",
    ]


def test_what_is_in_order_is_said_in_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show(WELL, as_json=False)
    assert capsys.readouterr().out == "✓ key: the key kid-1 (ES256) signs\nEverything is in order.\n"


def test_a_program_reads_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    show(SICK, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["good"] is False
    assert told["verdict"] == "the chain is broken at its link issuer: mend that first"
    assert told["findings"][0] == {
        "link": "issuer",
        "severity": "error",
        "sure": "likely",
        "what": "a web page\x1b[2J",
        "hint": "see the firewall",
    }
    assert [(one["link"], one["state"]) for one in told["links"]] == [
        ("configuration", "good"),
        ("key", "good"),
        ("issuer", "broken"),
        ("token", "not tried"),
        ("environment", "doubtful"),
    ]


def test_a_configuration_that_cannot_be_used_is_the_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "rolecall.toml"
    config.write_text('[sts]\nregion = "nowhere"\n')
    assert main(["doctor", "-c", str(config)]) == 2
    out = capsys.readouterr().out
    assert out.startswith("✗ configuration: sts.region: ")
    assert out.splitlines()[-1].startswith("The chain is broken at its link configuration")
    assert main(["doctor", "--json", "-c", str(config)]) == 2
    assert json.loads(capsys.readouterr().out)["good"] is False


def test_without_a_configuration_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "-c", str(tmp_path / "none.toml")]) == 2
    assert capsys.readouterr().out.startswith("✗ configuration: ")
