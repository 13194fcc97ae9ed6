import json
from pathlib import Path

import pytest

from agent.cli.login_list import show_list
from agent.settings import IdentityCenter, Settings, load
from agent.settings.identity_center import identity_center_of
from agent.sign_in.assignments import Account

ACCOUNTS = [
    Account("123456789012", "main\x1b[31m", ("Developer", "Read.Only")),
    Account("210987654321", "other", ()),
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "rolecall.toml"
    path.write_text("""
[identity_center]
start_url = "https://example.awsapps.com/start"
region = "eu-central-1"
[roles.dev]
source = "identity_center"
account = "123456789012"
permission_set = "Developer"
[[grants]]
roles = ["dev"]
anyone = true
""")
    return load(path, environ={}, host="web-1")


def words() -> IdentityCenter:
    about = {"start_url": "https://example.awsapps.com/start", "region": "eu-central-1", "session": "work"}
    return identity_center_of(about)


def test_what_is_a_role_already_is_told_and_how_to_have_another(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    show_list(ACCOUNTS, words(), settings, as_json=False)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "123456789012  main?[31m",
        "  Developer  the role dev",
        "  Read.Only",
        "210987654321  other",
    ]
    assert f"write into {settings.path}" in err
    assert "[identity_center]" not in err


def test_what_it_says_to_write_is_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_list(ACCOUNTS[:1], words(), None, as_json=False)
    _, err = capsys.readouterr()
    written = "\n".join(line.strip() for line in err.splitlines() if line.startswith("  "))
    (tmp_path / "new.toml").write_text(written)
    known = load(tmp_path / "new.toml", environ={}, host="web-1")
    assert known.identity_center == words()
    assert [*known.roles] == ["developer"]
    assert known.grants[0].roles == ("developer",)


def test_programs_get_all_of_it(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    show_list(ACCOUNTS, words(), settings, as_json=True)
    out, err = capsys.readouterr()
    first, second = json.loads(out)
    assert first["account"] == "123456789012"
    assert first["permission_sets"] == [{"name": "Developer", "roles": ["dev"]}, {"name": "Read.Only", "roles": []}]
    assert second["permission_sets"] == []
    assert err == ""


def test_who_may_have_nothing_is_told_whom_to_ask(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    show_list([], words(), settings, as_json=False)
    assert "ask its administrator" in capsys.readouterr().err
