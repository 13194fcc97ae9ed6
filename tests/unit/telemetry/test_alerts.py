"""Do the alerts speak of metrics that exist, fire when they should, and have their page in the runbook?"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import main
from tests.unit.telemetry.test_metrics import PROMISED

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "config/prometheus-alerts.yml"
HISTORIES = Path(__file__).with_name("alerts.promtool.yml")


def alerts() -> dict[str, str]:
    """The text of each alert, by name."""
    _, *parts = re.split(r"^ *- alert: ", ALERTS.read_text(), flags=re.MULTILINE)
    found = {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}
    assert len(found) == len(parts)
    return found


def test_every_alert_is_about_a_metric_that_exists() -> None:
    bases = {name for name, (kind, _) in PROMISED.items() if kind != "histogram"}
    bases |= {f"{name}_bucket" for name, (kind, _) in PROMISED.items() if kind == "histogram"}
    for name, text in alerts().items():
        expression = text.partition("labels:")[0]
        spoken_of = set(re.findall(r"\brolecall_\w+", expression))
        assert spoken_of <= bases, name
        assert spoken_of or name == "RolecallDown", name


def test_every_alert_says_how_serious_it_is_and_where_to_read_on() -> None:
    for name, text in alerts().items():
        assert re.search(r"labels: { severity: (page|ticket) }", text), name
        assert f"runbook: docs/operations.md#{name.lower()}" in text, name
        assert "summary: " in text, name


def test_every_alert_has_its_section_in_the_runbook_and_no_section_is_left_over() -> None:
    sections = re.findall(r"^### (Rolecall\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(alerts())


def test_every_line_that_is_written_is_in_the_runbook() -> None:
    source = "".join(path.read_text() for path in (ROOT / "agent").rglob("*.py"))
    written = set(re.findall(r"\bwrite\(\s*[\w.]+,\s*[\w.]+,\s*\"(\w+)\"", source))
    for family in ("caller", "provider", "renewal", "signing_in", "verifying"):
        lines = (ROOT / f"agent/telemetry/{family}_lines.py").read_text()
        written |= set(re.findall(r"\bLine\([\w.]+, \"(\w+)\"", lines))
    section = (ROOT / "docs/operations.md").read_text().partition("## Log lines")[2]
    table = section.partition("### What to do about")[0]
    told = {name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    written |= {"credentials_served", "credentials_refused", "token_served", "token_refused"}  # of `audit`
    assert {"session_renewed", "callers_unseen", "file_stuck", "token_renewed", "sign_in_due"} <= written
    made = {"bug", "message", "log_lines_lost"}  # not by `write`
    assert told == written | made | {"event"}  # the last is the head of the table


def test_every_command_in_the_runbook_exists(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs/operations.md").read_text()
    commands = set(re.findall(r"[`$|] ?rolecall ([a-z]+(?: (?:new|list|show|mint|verify))?)(?=[ `\n])(?! \d)", text))
    assert {"status", "check", "token show", "token mint", "token verify", "publish"} <= commands
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            sys.exit(main([*command.split(), "--help"]))
        assert (ended.value.code, capsys.readouterr().err) == (0, ""), command


def test_every_alert_has_a_history_that_raises_it() -> None:
    raised = re.findall(r"alertname: (\w+)\n *exp_alerts:\n", HISTORIES.read_text())
    assert set(raised) == set(alerts())


@pytest.mark.parametrize("command", [("check", "rules", str(ALERTS)), ("test", "rules", str(HISTORIES))])
def test_promtool_takes_the_rules_and_sees_them_fire(command: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    run = subprocess.run([promtool, *command], capture_output=True, check=False)
    assert run.returncode == 0, (run.stdout + run.stderr).decode()
