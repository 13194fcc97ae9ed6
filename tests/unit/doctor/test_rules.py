from typing import Any

import pytest

from agent.doctor.rules import Seen, examined

GOOD = Seen("api", "https://login.example.com", ("RS256",), ("RS256", "RS384"))


def saying(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"rules": [*rules]}


def test_rules_whose_keys_are_there_are_in_order_with_an_agent_and_without() -> None:
    for status in (None, saying({"rule": "api", "problem": None})):
        tried = examined([GOOD], status)
        assert (tried.good, tried.findings) == ("tokens can be verified by the rule api", ())
    other = Seen("web", "own", ("ES256",))
    assert examined([GOOD, other], None).good == "tokens can be verified by the rules api, web"


def test_an_issuer_that_cannot_be_read_is_told_once_for_all_its_rules() -> None:
    away = [Seen(name, GOOD.issuer, ("RS256",), problem="no answer", hint="look there") for name in ("api", "web")]
    tried = examined(away, saying({"rule": "api", "problem": "no answer"}, {"rule": "web", "problem": "no answer"}))
    assert (tried.good, tried.is_broken) == ("", True)
    assert [(one.what, one.hint) for one in tried.findings] == [
        ("no token can be verified by the rule api: no answer", "look there"),
        ("no token can be verified by the rule web: no answer", "look there"),
    ]
    assert len({one.about for one in tried.findings}) == 1


def test_an_issuer_that_signs_otherwise_than_the_rule_takes_is_told() -> None:
    (finding,) = examined([Seen("api", GOOD.issuer, ("RS256",), ("ES256",))], None).findings
    assert finding.what == "https://login.example.com has keys for ES256 alone, and the rule api takes RS256"
    assert "verify.api.algorithms" in finding.hint


def test_our_own_key_is_left_to_its_own_link() -> None:
    tried = examined([Seen("own", "own", ("RS256",), untried="there is no key")], None)
    assert (tried.good, tried.findings, tried.not_tried) == ("", (), "there is no key")


@pytest.mark.parametrize("status", [{}, {"rules": "x"}, {"rules": [1]}, saying({"rule": "web"})])
def test_an_agent_with_other_rules_is_told_to_restart(status: dict[str, Any]) -> None:
    (finding,) = examined([GOOD], status).findings
    assert (finding.severity, finding.what.startswith("the agent that runs has other rules (")) == ("error", True)


def test_an_agent_that_could_not_read_what_can_be_read_from_here_is_doubted() -> None:
    tried = examined([GOOD], saying({"rule": "api", "problem": "no answer"}))
    (finding,) = tried.findings
    assert (finding.severity, finding.sure) == ("warning", "likely")
    assert tried.good == "tokens can be verified by the rule api"
