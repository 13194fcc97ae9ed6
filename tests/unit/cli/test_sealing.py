import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from agent.cli import main
from agent.cli.sealing import seal
from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys.pem import PemKey
from agent.secret import Secret

SECRET = Secret("canary horse battery")


@pytest.fixture
def creds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real systemd-creds, with a key of its own instead of this machine's; its path."""
    if (real := shutil.which("systemd-creds")) is None:
        pytest.skip("systemd-creds is not installed")
    if os.geteuid() != 0:
        pytest.skip("only root has a machine's key")
    (programs := tmp_path / "programs").mkdir()
    program = programs / "systemd-creds"
    program.write_text(f'#!/bin/sh\nSYSTEMD_CREDENTIAL_SECRET={tmp_path}/machine.secret exec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return program


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (made := tmp_path / "etc").mkdir()
    return made


def unsealed(creds: Path, path: Path, name: str) -> str:
    """What systemd gives to a unit."""
    words = [str(creds), "decrypt", f"--name={name}", str(path), "-"]
    done: subprocess.CompletedProcess[str] = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout


def new(directory: Path, *words: str) -> int:
    return main(["keys", "new", "--kind", "ec-p256", "--directory", str(directory), *words])


# --- by the real systemd-creds


def test_what_is_written_only_systemd_on_this_machine_can_read(
    creds: Path, place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert new(place, "--seal", "host", "--json") == 0

    made = json.loads(capfd.readouterr().out)
    sealed = place / "signing-key.cred"
    assert [path.name for path in place.iterdir()] == [sealed.name]
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    pem = Secret(unsealed(creds, sealed, "signing-key"))
    assert PemKey.parse(pem, origin="a test").public.kid == made["kid"]
    assert made == {
        "kid": made["kid"],
        "algorithm": "ES256",
        "file": str(sealed),
        "unit": f"LoadCredentialEncrypted=signing-key:{sealed}",
        "key": {"custodian": "pem", "file": "credential:signing-key"},
    }
    with pytest.raises(subprocess.CalledProcessError):
        unsealed(creds, sealed, "another-name")
    (tmp_path / "machine.secret").rename(tmp_path / "another machine")
    with pytest.raises(subprocess.CalledProcessError):
        unsealed(creds, sealed, "signing-key")


def test_a_person_is_told_both_lines_and_no_secret(
    creds: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (place := tmp_path / "100%").mkdir()
    assert new(place, "--seal", "auto", "--name", "signing-key-2") == 0

    told, also = capfd.readouterr()
    key, unit, configuration = told.splitlines()
    assert key.split()[1:] == ["ES256", f"{place}/signing-key-2.cred"]
    assert unit.split() == ["unit", f"LoadCredentialEncrypted=signing-key-2:{tmp_path}/100%%/signing-key-2.cred"]
    assert configuration.split(maxsplit=1) == ["configuration", 'file = "credential:signing-key-2"']
    assert "[key.next]" in also
    body = unsealed(creds, place / "signing-key-2.cred", "signing-key-2").splitlines()[1:-1]
    assert body
    assert not [line for line in body if line in told + also]


def test_the_key_goes_through_a_pipe_and_the_environment_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_its_place(tmp_path, monkeypatch, 'set >&1; echo "$@"; readlink /proc/self/fd/0; exec cat')
    monkeypatch.setenv("SYSTEMD_LOG_LEVEL", "debug")
    told = seal(SECRET, "any", "host+tpm2").decode()
    assert "encrypt --name=any --with-key=host+tpm2 - -\npipe:[" in told
    assert told.count(SECRET.reveal()) == 1  # what it was given on stdin
    assert "SYSTEMD_LOG_LEVEL" not in told


@pytest.mark.parametrize("with_key", ["tpm2", "host+tpm2"])
def test_without_a_tpm_the_other_way_is_named(
    creds: Path, with_key: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    creds.write_text(creds.read_text().replace('"$@"', '"$@" --tpm2-device=/dev/none'))  # also where there is one

    assert new(place, "--seal", with_key) == 1

    told = capsys.readouterr().err
    assert "error: this machine has no TPM 2.0 that systemd can use\nhint: see what is missing with: sys" in told
    assert list(place.iterdir()) == []


def test_a_sealed_key_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "signing-key.cred").symlink_to("nowhere")

    assert new(tmp_path, "--seal", "host") == 2

    told = capsys.readouterr().err
    assert f"{tmp_path}/signing-key.cred exists already, and a key is never overwritten" in told
    assert "--name signing-key-2" in told


# --- where it cannot be


def in_its_place(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program that is found under that name, and fails as the real one does where a machine is not as ours."""
    program = directory / "systemd-creds"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.parametrize(
    ("script", "what", "hint"),
    [
        (
            "echo 'Failed to determine local credential host secret: Read-only file system' >&2; exit 1",
            "this machine has no key to seal with: Failed to determine local credential host secret: Read-only file",
            "systemd-creds setup",
        ),
        (
            "echo /var/lib/systemd/credential.secret is not on encrypted media, TPM2 support not available >&2; exit 1",
            "this machine has no TPM 2.0",
            "--seal host",
        ),
        ("echo 'Failed to parse key: surprise' >&2; exit 1", "does not seal: Failed to parse key: surprise", "by hand"),
        ("exit 1", "does not seal: it gives no reason", "by hand"),
        ("exec cat >/dev/null", "does not seal: it gives no reason", "by hand"),
    ],
)
def test_each_refusal_has_its_sentence(
    script: str, what: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_its_place(tmp_path, monkeypatch, script)
    with pytest.raises(KeyUnavailable) as caught:
        seal(SECRET, "signing-key", "auto")
    assert what in caught.value.what
    assert hint in caught.value.hint


def test_one_that_cannot_be_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_its_place(tmp_path, monkeypatch, "")
    (tmp_path / "systemd-creds").write_bytes(b"\x7fELF no program")
    with pytest.raises(KeyUnavailable, match=r"systemd-creds cannot be run: Exec format error"):
        seal(SECRET, "signing-key", "auto")


def test_one_that_hangs_is_given_up_and_says_nothing_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_its_place(tmp_path, monkeypatch, "exec /bin/sleep 60")
    with pytest.raises(KeyUnavailable, match=r"has not answered within 0\.3 s") as caught:
        seal(SECRET, "signing-key", "auto", patience=0.3)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_without_systemd_creds_it_says_where_that_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="systemd-creds is not installed") as caught:
        seal(SECRET, "signing-key", "auto")
    assert "systemd 250" in caught.value.hint


def test_who_is_not_root_is_told_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_its_place(tmp_path, monkeypatch, "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigurationError, match="only root can seal a key"):
        seal(SECRET, "signing-key", "auto")


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a b", "%n", ".hidden", "-x", "naïve", "n" * 129])
def test_a_name_that_a_unit_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name for a credential"):
        seal(SECRET, name, "auto")
