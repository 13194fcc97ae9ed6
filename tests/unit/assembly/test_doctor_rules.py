"""What is made of an issuer that answers is in tests/live/test_verifying_alone.py."""

from pathlib import Path

from agent.assembly.doctor_rules import rules_link
from agent.clock import SystemClock
from agent.errors import AgentUnreachable
from agent.settings import Settings, load

NOBODY = AgentUnreachable("no agent answers", hint="start it")
OURS = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[verify.own]
issuer = "own"
audiences = ["a"]
"""


def settings(home: Path, text: str) -> Settings:
    path = home / "rolecall.toml"
    path.write_text(text)
    return load(path, environ={}, host="web-1")


async def test_an_issuer_that_cannot_be_read_is_told_with_the_rule_that_needs_it(tmp_path: Path) -> None:
    words = settings(tmp_path, f'{OURS}[verify.api]\nissuer = "http://127.0.0.1:1"\naudiences = ["a"]\n')
    tried = await rules_link(words, NOBODY, SystemClock(), has_key=True)
    (finding,) = tried.findings
    assert finding.what.startswith("no token can be verified by the rule api: http://127.0.0.1:1/")
    assert finding.hint


async def test_our_own_tokens_can_be_verified_where_our_key_is_good(tmp_path: Path) -> None:
    words = settings(tmp_path, OURS)
    tried = await rules_link(words, NOBODY, SystemClock(), has_key=True)
    assert (tried.good, tried.not_tried) == ("tokens can be verified by the rule own", "")
    tried = await rules_link(words, NOBODY, SystemClock(), has_key=False)
    assert (tried.good, tried.not_tried) == ("", "there is no key of ours that was seen to sign")


async def test_an_agent_with_other_rules_is_told(tmp_path: Path) -> None:
    tried = await rules_link(settings(tmp_path, OURS), {"rules": []}, SystemClock(), has_key=True)
    assert [one.what for one in tried.findings] == [
        "the agent that runs has other rules (none) than the configuration (own)"
    ]
