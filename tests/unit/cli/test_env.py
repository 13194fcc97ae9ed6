"""Every format is read back by what reads it for its users."""

import ctypes.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli import main
from agent.cli.env import as_docker, as_dotenv, as_environment, as_fish, as_json, as_shell, as_systemd
from agent.cli.environment import TOKEN, TOKEN_FILE, UNSET, Environment
from agent.errors import ConfigurationError
from tests.fakes.written import TOKEN as VALUE
from tests.fakes.written import write_configuration

AWKWARD = {
    "blanks": "/srv/my tokens/back up",
    "double quotes": '/srv/"backup"',
    "single quotes": "/srv/it's mine",
    "a dollar": "/srv/$HOME/$(id)/${PATH}",
    "backticks": "/srv/`id`",
    "per cent": "/srv/100%/%h",
    "a backslash": "/srv/a\\b\\",
    "a number sign": "/srv/a #b",
    "exclamation": "/srv/!!",
    "letters": "/srv/Zürich",
    "everything": "/srv/ '\"$%\\`#;&|<>*?~!{}[]()=\t",
}
STALE = dict.fromkeys(UNSET, "stale")


def env_of(value: str) -> Environment:
    return Environment({TOKEN: "a-token", TOKEN_FILE: value, "NO_PROXY": "a,127.0.0.1"}, UNSET)


def printed(words: list[str], script: str) -> dict[str, str]:
    """The environment of `env -0` after a script of `words`."""
    done = subprocess.run(
        [*words, f"{script}\nenv -0"], env={"PATH": os.environ["PATH"], **STALE}, capture_output=True, check=True
    )
    assert done.stderr == b""
    return dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)


def of_fish(script: str) -> dict[str, str]:
    """What fish makes of it; where there is none, by its two rules for single quotes."""
    if fish := shutil.which("fish"):
        return printed([fish, "--no-config", "-c"], script)
    found = dict(STALE)
    for line in script.splitlines():
        match line.split(" ", 3):
            case ["set", "-e", name]:
                del found[name]
            case ["set", "-gx", name, value]:
                assert re.fullmatch(r"'(?:[^'\\]|\\['\\])*'", value)
                found[name] = re.sub(r"\\(['\\])", r"\1", value[1:-1])
            case _:
                raise AssertionError(line)
    return found


@pytest.mark.parametrize("value", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize(
    "read",
    [
        lambda env: printed(["sh", "-euc"], as_shell(env)),
        lambda env: printed(["bash", "-euc"], as_shell(env)),
        lambda env: of_fish(as_fish(env)),
    ],
    ids=["sh", "bash", "fish"],
)
def test_a_shell_reads_back_what_was_meant(read: Callable[[Environment], dict[str, str]], value: str) -> None:
    env = env_of(value)
    found = read(env)
    assert {name: found.get(name) for name in env.settings} == env.settings
    assert not found.keys() & set(UNSET)


def by_node(text: str, path: Path) -> dict[str, str]:
    """What Node's own reader of .env files makes of it."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    path.write_text(text)
    done = subprocess.run(
        [node, f"--env-file={path}", "-e", "console.log(JSON.stringify(process.env))"],
        env={},
        capture_output=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def by_sh(text: str, path: Path) -> dict[str, str]:
    """Many source such a file."""
    path.write_text(text)
    return printed(["sh", "-euc"], f"set -a; . {path}; set +a")


@pytest.mark.parametrize("read", [by_node, by_sh])
@pytest.mark.parametrize("name", [name for name in AWKWARD if name not in {"everything", "a backslash", "a dollar"}])
def test_readers_of_dotenv_files_agree_on_what_we_write(
    name: str, read: Callable[[str, Path], dict[str, str]], tmp_path: Path
) -> None:
    env = env_of(AWKWARD[name])
    found = read(as_dotenv(env), tmp_path / "env")
    assert {name: found.get(name) for name in env.settings} == env.settings


@pytest.mark.parametrize("name", ["everything", "a backslash", "a dollar"])
def test_what_readers_of_dotenv_files_do_not_agree_on_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{TOKEN_FILE} has characters that no dotenv file can hold"):
        as_dotenv(env_of(AWKWARD[name]))


@pytest.mark.parametrize("write", [as_dotenv, as_docker, as_systemd])
def test_no_value_can_add_a_line_of_its_own(write: Callable[[Environment], str]) -> None:
    with pytest.raises(ConfigurationError, match="can hold"):
        write(env_of("/srv/a\nLD_PRELOAD=/evil"))


@pytest.mark.parametrize("value", AWKWARD.values(), ids=AWKWARD)
def test_docker_takes_each_line_as_it_stands_and_needs_no_file(value: str) -> None:
    env = Environment({TOKEN: value, TOKEN_FILE: "/only/on/the/host", "NO_PROXY": "*"}, UNSET)
    lines = [line for line in as_docker(env).splitlines() if not line.startswith("#")]
    assert dict(line.split("=", 1) for line in lines) == {TOKEN: value, "NO_PROXY": "*"}


def test_a_unit_gets_the_token_as_a_credential_and_never_its_value() -> None:
    lines = as_systemd(env_of("/etc/rolecall/tokens/100% mine")).splitlines()
    assert "LoadCredential=rolecall-token:/etc/rolecall/tokens/100%% mine" in lines
    assert f'Environment="{TOKEN_FILE}=%d/rolecall-token"' in lines
    assert not [line for line in lines if "a-token" in line]
    assert f"UnsetEnvironment={' '.join(UNSET)}" in lines


def test_a_unit_reads_back_what_was_meant() -> None:
    env = Environment({"NO_PROXY": AWKWARD["everything"]}, UNSET)
    line = next(line for line in as_systemd(env).splitlines() if line.startswith('Environment="NO_PROXY'))
    inner = line.removeprefix('Environment="').removesuffix('"')
    assert re.fullmatch(r'(?:[^"\\%]|\\["\\]|%%)*', inner)  # nothing else means anything between double quotes
    assert re.sub(r'\\(["\\])|%(%)', r"\1\2", inner) == f"NO_PROXY={AWKWARD['everything']}"


@pytest.mark.parametrize("name", [name for name in AWKWARD if name != "a backslash"])
def test_systemd_finds_nothing_wrong_with_the_drop_in(name: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "made-up-backup.service"
    unit.write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    (tmp_path / "rolecall.service").write_text("[Service]\nExecStart=/bin/true\n")
    drop_in = tmp_path / f"{unit.name}.d"
    drop_in.mkdir()
    env = Environment({TOKEN: "a-token", TOKEN_FILE: "/etc/token", "NO_PROXY": AWKWARD[name]}, UNSET)
    (drop_in / "rolecall.conf").write_text(as_systemd(env) + "\n")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)],
        env={"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "rolecall" in line or "made-up" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_json_says_what_to_set_and_what_must_not_be_there() -> None:
    env = env_of(AWKWARD["everything"])
    assert json.loads(as_json(env)) == {"set": env.settings, "unset": list(UNSET)}


def test_everybody_s_environment_has_bare_words_alone() -> None:
    env = Environment({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1]:9170/v1/credentials"}, UNSET)
    with pytest.raises(ConfigurationError, match="no environment file can hold"):
        as_environment(replace(env, settings={"NO_PROXY": "a b"}))
    lines = as_environment(replace(env, settings={"NO_PROXY": "a,127.0.0.1"})).splitlines()
    assert (lines[0][0], lines[1:]) == ("#", ["NO_PROXY=a,127.0.0.1"])


#: Has the module of PAM that sets everybody's environment read a file.
BY_PAM = """
import ctypes, ctypes.util, sys
pam = ctypes.CDLL(ctypes.util.find_library("pam"))
talk = (ctypes.c_void_p * 2)(ctypes.cast(ctypes.CFUNCTYPE(ctypes.c_int)(lambda *_: 19), ctypes.c_void_p), None)
handle = ctypes.c_void_p()
assert pam.pam_start_confdir(b"made-up", b"root", talk, sys.argv[1].encode(), ctypes.byref(handle)) == 0
assert pam.pam_open_session(handle, 0) == 0
pam.pam_getenv.restype = ctypes.c_char_p
for name in sys.argv[2:]:
    print((pam.pam_getenv(handle, name.encode()) or b"").decode())
"""


def by_pam(folder: Path, text: str, names: list[str]) -> list[str]:
    (folder / "environment").write_text(text)
    how = f"readenv=1 envfile={folder}/environment conffile={folder}/none"
    (folder / "none").write_text("")
    (folder / "made-up").write_text(f"session required pam_env.so {how}\n")
    words = [sys.executable, "-c", BY_PAM, str(folder), *names]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.skipif(ctypes.util.find_library("pam") is None, reason="PAM is not installed")
def test_pam_reads_back_everybody_s_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = granted_by_unit(tmp_path)
    assert main(["env", "--format", "environment", "-c", str(config)]) == 0
    text = capsys.readouterr().out
    (plain,) = re.findall("^AWS_CONTAINER_CREDENTIALS_FULL_URI=(.*)$", text, re.MULTILINE)
    assert plain == "http://127.0.0.1:9170/v1/credentials"
    found = by_pam(tmp_path, text, ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "NO_PROXY", "AWS_EC2_METADATA_DISABLED"])
    assert found == [plain, "127.0.0.1,localhost", "true"]
    # What a dotenv file may hold is something else to PAM:
    assert by_pam(tmp_path, as_dotenv(Environment({"NO_PROXY": "a #b"}, ())), ["NO_PROXY"]) != ["a #b"]


def granted_by_unit(home: Path, grant: str = 'unit = "backup.service"') -> Path:
    """A configuration in which `backup` is granted so, and nothing to anybody else."""
    config = write_configuration(home, credentials="127.0.0.1:9170").config
    before, _, after = config.read_text().partition("[[grants]]")
    both = f'[[grants]]\nroles = ["backup", "reports"]\n{grant}\n'
    config.write_text(before + both + after[after.index("[listen]") :] + '[unit_tokens]\nsocket = "/run/t.sock"\n')
    return config


class TestForUnits:
    def written(self, capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[str]:
        assert main(["env", "--format", "systemd", *map(str, words)]) == 0
        return capsys.readouterr().out.splitlines()

    @pytest.mark.parametrize("role", [(), ("backup",)], ids=["one URL", "a role"])
    @pytest.mark.parametrize("grant", ['unit = "backup.service"', 'user = "backup"', 'slice = "a.slice"'])
    def test_one_that_is_known_by_what_it_is_has_no_token(
        self, role: tuple[str, ...], grant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines = self.written(capsys, *role, "-c", granted_by_unit(tmp_path, grant))
        url = "/".join(["http://127.0.0.1:9170/v1/credentials", *role])
        assert f'Environment="AWS_CONTAINER_CREDENTIALS_FULL_URI={url}"' in lines
        assert not [
            line for line in lines if "LoadCredential" in line or line.startswith('Environment="AWS_CONTAINER_A')
        ]
        (unset,) = [line for line in lines if line.startswith("UnsetEnvironment=")]
        assert {TOKEN, TOKEN_FILE} <= set(unset.split("=")[1].split())

    def test_what_the_shell_of_the_administrator_shows_is_nothing_to_it(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = granted_by_unit(tmp_path, 'unit_token = "backup.service"')
        monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "backup.token"))
        assert "LoadCredential=rolecall-token:/run/t.sock" in self.written(capsys, "-c", config)

    @pytest.mark.parametrize("role", [(), ("backup",)], ids=["one URL", "a role"])
    def test_one_with_a_token_of_its_own_fetches_it_at_the_socket(
        self, role: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines = self.written(capsys, *role, "-c", granted_by_unit(tmp_path, 'unit_token = "backup.service"'))
        assert "LoadCredential=rolecall-token:/run/t.sock" in lines
        assert f'Environment="{TOKEN_FILE}=%d/rolecall-token"' in lines
        (unset,) = [line for line in lines if line.startswith("UnsetEnvironment=")]
        assert TOKEN_FILE not in unset.split("=")[1].split()

    def test_one_with_a_token_in_a_file_has_it_as_a_credential(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        token = tmp_path / "backup.token"
        lines = self.written(capsys, "-c", granted_by_unit(tmp_path, f'token_file = "{token}"'), "backup")
        assert f"LoadCredential=rolecall-token:{token}" in lines

    @pytest.mark.parametrize("name", ["sh", "json", "docker", "dotenv", "environment"])
    def test_a_token_that_only_systemd_can_fetch_is_for_no_shell(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        config = granted_by_unit(tmp_path, 'unit_token = "backup.service"')
        assert main(["env", "--format", name, "-c", str(config)]) == 2
        assert "hint: write a drop-in for the unit: rolecall env --format systemd" in capsys.readouterr().err


class TestTheCommand:
    def test_prints_for_a_shell_unless_told_otherwise(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = write_configuration(tmp_path, credentials="127.0.0.1:9170")
        monkeypatch.setenv("NO_PROXY", "internal")
        assert main(["env", "backup", "-c", str(written.config)]) == 0
        out, err = capsys.readouterr()
        found = printed(["sh", "-euc"], out)
        assert found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://127.0.0.1:9170/v1/credentials/backup"
        assert (found[TOKEN], found[TOKEN_FILE]) == (VALUE, str(written.token))
        assert found["no_proxy"] == "internal,127.0.0.1,localhost"
        assert err == ""

    @pytest.mark.parametrize("name", ["sh", "fish", "dotenv", "docker", "systemd", "json"])
    def test_knows_six_formats_and_needs_no_running_agent(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        written = write_configuration(tmp_path)
        assert main(["env", "backup", "--format", name, "-c", str(written.config)]) == 0
        assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in capsys.readouterr().out

    def test_puts_no_token_where_everybody_can_read_it(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        written = write_configuration(tmp_path)
        assert main(["env", "backup", "--format", "environment", "-c", str(written.config)]) == 2
        out, err = capsys.readouterr()
        assert (out, VALUE in err) == ("", False)
        assert "everybody can read /etc/environment\nhint: grant it by unit, user or group" in err

    def test_takes_json_as_every_verb_does(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        written = write_configuration(tmp_path)
        assert main(["env", "reports", "--json", "-c", str(written.config)]) == 0
        document = json.loads(capsys.readouterr().out)
        assert {TOKEN, TOKEN_FILE} <= set(document["unset"])

    def test_warns_of_a_newline_in_the_token_file_and_what_it_advises_helps(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        written = write_configuration(tmp_path / "a host", token=f"{VALUE}\n")
        words = ["env", "backup", "-c", str(written.config)]
        assert main(words) == 0
        out, err = capsys.readouterr()
        assert TOKEN_FILE not in printed(["sh", "-euc"], out)
        assert err.startswith("warning: ")
        assert main([*words, "--format", "systemd"]) == 2
        assert capsys.readouterr().out == ""
        advised = err.splitlines()[1].partition(": ")[2].partition(": ")[2]
        subprocess.run(["sh", "-c", advised], check=True)
        assert (written.token.read_text(), written.token.stat().st_mode & 0o777) == (VALUE, 0o600)
        assert main([*words, "--format", "systemd"]) == 0
        assert capsys.readouterr().err == ""
