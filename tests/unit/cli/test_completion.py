import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import VERBS, main
from agent.cli.completion import FILE, next_words


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "rolecall.toml"
    path.write_text("""
[identity_center]
start_url = "https://example.awsapps.com/start"
region = "eu-central-1"
[roles.dev]
source = "identity_center"
account = "123456789012"
permission_set = "Developer"
[roles.deploy]
source = "identity_center"
account = "123456789012"
permission_set = "Deploy"
[[grants]]
roles = ["dev", "deploy"]
anyone = true
""")
    monkeypatch.setenv("ROLECALL_CONFIG", str(path))
    return path


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([""], [*VERBS]),
        (["lo"], ["login"]),
        (["--v"], ["--version"]),
        (["-c", "some.toml", "lo"], ["login"]),
        (["login", "--de"], ["--device"]),
        (["login", "--to", ""], ["identity_center", "cognito"]),
        (["login", "--port", ""], []),
        (["env", ""], ["dev", "deploy"]),
        (["env", "dep"], ["deploy"]),
        (["env", "dev", ""], []),
        (["env", "dev", "--format", "fi"], ["fish"]),
        (["wait", "dev", ""], ["dev", "deploy"]),
        (["exec", "d"], ["dev", "deploy"]),
        (["exec", "dev", "--", "l"], [FILE]),
        (["credentials", ""], ["dev", "deploy"]),
        (["credentials", "--token-file", ""], [FILE]),
        (["status", "-c", ""], [FILE]),
        (["token", "mi"], ["mint"]),
        (["token", "mint", "--role", ""], ["dev", "deploy"]),
        (["token", "mint", "--aud"], ["--audience"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["completion", "--wo"], []),
        (["nonsense", ""], []),
    ],
)
def test_what_may_come_next_is_known(words: list[str], found: list[str]) -> None:
    assert next_words(words) == found


def test_roles_are_those_of_the_configuration_that_is_named(config: Path) -> None:
    assert next_words(["env", "-c", str(config), ""]) == ["dev", "deploy"]
    assert next_words(["env", "-c", "/nowhere.toml", ""]) == []


def test_every_verb_can_be_completed() -> None:
    for verb in VERBS:
        assert "--help" in next_words([verb, "--"]), verb


def test_the_shell_is_that_of_the_user_or_has_to_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert main(["completion"]) == 0
    assert "fish completion" in capsys.readouterr().out
    monkeypatch.setenv("SHELL", "/bin/dash")
    assert main(["completion"]) == 2
    assert "bash or zsh or fish" in capsys.readouterr().err


@pytest.fixture
def on_path(tmp_path: Path, config: Path) -> dict[str, str]:
    """An environment in which rolecall is a command."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "rolecall"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m agent "$@"\n')
    command.chmod(0o755)
    return {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(Path.cwd()),
        "HOME": str(tmp_path),
        "ROLECALL_CONFIG": str(config),
    }


def asked(shell: str, script: str, environ: dict[str, str]) -> list[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    done = subprocess.run([shell, "-c", script], env=environ, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("rolecall lo", ["login"]),
        ("rolecall env de", ["dev", "deploy"]),
        ("rolecall login --dev", ["--device"]),
    ],
)
def test_bash_completes(on_path: dict[str, str], line: str, found: list[str]) -> None:
    script = f"""
        source <(rolecall completion bash)
        COMP_WORDS=({line}); COMP_CWORD=$(({len(line.split())} - 1))
        $(complete -p rolecall | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        echo "${{COMPREPLY[@]}}"
    """
    assert asked("bash", script, on_path) == found


def test_zsh_and_fish_take_their_scripts(on_path: dict[str, str]) -> None:
    if shutil.which("zsh"):
        assert asked("zsh", "autoload -U compinit; compinit -u -D; source <(rolecall completion zsh)", on_path) == []
    if shutil.which("fish"):
        fish = "rolecall completion fish | source; complete -C 'rolecall env de'"
        assert sorted(asked("fish", fish, on_path)) == ["deploy", "dev"]
    for shell in ("zsh", "fish"):
        done = subprocess.run(
            ["rolecall", "completion", shell], env=on_path, capture_output=True, text=True, check=True
        )
        assert "rolecall completion --words" in done.stdout
