"""Signing in at a terminal; the questions themselves are asked on a real one in tests/live/test_cognito.py."""

import argparse
import json
import os
import pty
import signal
from pathlib import Path
from typing import Any

import pytest

from agent.cli import login_cognito
from agent.errors import ConfigurationError
from agent.sandbox import Sandbox, in_thread
from agent.settings import Settings, load
from tests.fakes.cognito import CLIENT, PASSWORD, POOL_ID, USER, a_world, pool_keys


def settings_of(home: Path, identity: str) -> Settings:
    path = home / "rolecall.toml"
    path.write_text(
        f'{identity}\n[sts]\nregion = "eu-central-1"\n'
        '[roles.backup]\narn = "arn:aws:iam::123456789012:role/backup"\n'
        '[[grants]]\nroles = ["backup"]\nanyone = true\n'
    )
    return load(path, environ={}, host="web-1")


def test_who_has_no_cognito_has_nothing_to_sign_in_to(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '[identity]\nsource = "file"\nfile = "/run/token"')
    with pytest.raises(ConfigurationError, match="nobody has to sign in"):
        login_cognito.sign_in(argparse.Namespace(json=False), settings)


def test_a_sign_in_is_told_as_json_where_that_is_asked_for_and_has_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all in files there is nobody to be asked, and no terminal is needed."""
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    sandbox = Sandbox(a_world())
    sandbox._cognito.users._keys[POOL_ID] = pool_keys()
    with in_thread(sandbox):
        identity = (
            f'[identity]\nsource = "cognito"\nregion = "eu-central-1"\nuser_pool = "{POOL_ID}"\n'
            f'client_id = "{CLIENT}"\nuser = "{USER}"\npassword_file = "{password}"\n'
            f'state = "state.json"\nendpoint_url = "{sandbox.endpoint_url}"'
        )
        settings = settings_of(tmp_path, identity)
        assert login_cognito.sign_in(argparse.Namespace(json=True), settings) == 0
        assert login_cognito.sign_in(argparse.Namespace(json=False), settings) == 0
    out, told = capsys.readouterr()
    assert json.loads(out) == {"user": USER, "user_pool": POOL_ID, "state": str(tmp_path / "state.json")}
    assert told == "signed in as machine; an agent that runs goes on at once\n"


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is typed, in the order in which it is asked for; the questions, and a terminal to ask at."""
    asked: list[str] = []
    typed: list[str] = []

    def getpass(question: str) -> str:
        asked.append(question)
        return typed.pop(0)

    ours, theirs = pty.openpty()
    monkeypatch.setattr("getpass.getpass", getpass)
    yield typed, asked, login_cognito._Terminal(Path(os.ttyname(theirs)))
    os.close(ours)
    os.close(theirs)


def test_codes_are_asked_for_with_where_they_went_and_blanks_do_not_matter(typing: Any) -> None:
    typed, asked, terminal = typing
    typed += [" 123456 ", "1", "2"]
    assert terminal.answer("SMS_MFA", "+********4567\x1b[31m").reveal() == "123456"
    terminal.answer("EMAIL_OTP", "")
    terminal.answer("SOFTWARE_TOKEN_MFA", "")
    assert asked == [
        "Code that was sent to +********4567[31m by SMS: ",
        "Code that was sent by mail: ",
        "Code of your authenticator: ",
    ]
    assert not terminal.has_changed_password


def test_a_new_password_is_asked_for_until_it_is_the_same_twice(
    typing: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, asked, terminal = typing
    typed += ["one", "other", "one", "one"]
    assert terminal.answer("NEW_PASSWORD_REQUIRED", "").reveal() == "one"
    assert terminal.has_changed_password
    assert len(asked) == 4
    assert "The two are not the same." in capsys.readouterr().err


def test_ctrl_c_is_what_it_was_before_and_ends_a_question(typing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupted(_: str) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "never"

    monkeypatch.setattr("getpass.getpass", interrupted)
    with pytest.raises(KeyboardInterrupt):
        typing[2].password("machine")
    assert signal.getsignal(signal.SIGINT) is before


def test_the_end_of_input_is_no_password(typing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", ended)
    with pytest.raises(KeyboardInterrupt):
        typing[2].password("machine")


def test_without_a_terminal_nobody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no terminal"):
        login_cognito._Terminal(tmp_path / "gone").password("machine")
