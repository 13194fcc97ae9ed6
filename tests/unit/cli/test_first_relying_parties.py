"""What init writes for other relying parties, with a first configuration and beside one."""

import json
import re
import stat
import tomllib
from pathlib import Path

import pytest

from agent.cli import main
from agent.settings import load

ARN = "arn:aws:iam::123456789012:role/backup"
FLAGS = ["--yes", "--issuer", "https://oidc.example.com", "--region", "eu-central-1", "--role", f"backup={ARN}"]
ALL = ["apigateway", "azure", "gcp", "vault"]


def parties(*names: str) -> list[str]:
    return [word for name in names for word in ("--relying-party", name)]


def written(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("relying-parties/*/*"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "rolecall"


def init(home: Path, *words: str) -> int:
    return main(["init", "--directory", str(home), *words])


Said = pytest.CaptureFixture[str]


def test_with_a_first_configuration_their_side_is_written_as_well(home: Path, capsys: Said) -> None:
    assert init(home, *FLAGS, *parties(*ALL)) == 0
    names = ["commands.sh", "grant.toml", "main.tf"]
    assert written(home) == [f"relying-parties/{party}/{name}" for party in ALL for name in names]
    for party in ALL:
        mode = (home / "relying-parties" / party / "commands.sh").stat().st_mode
        assert stat.S_IMODE(mode) == 0o755
    told = capsys.readouterr().out
    assert re.search(r"5\. Tell API Gateway .*\n.*apigateway/commands\.sh", told)
    assert "8. Tell Vault" in told


def test_the_grants_are_such_as_the_configuration_takes(home: Path) -> None:
    assert init(home, *FLAGS, *parties(*ALL)) == 0
    with (home / "rolecall.toml").open("a") as configuration:
        for party in ALL:
            configuration.write((home / "relying-parties" / party / "grant.toml").read_text())
    settings = load(home / "rolecall.toml", environ={}, host="web-1")
    granted = [grant.audiences for grant in settings.grants if grant.audiences]
    assert granted == [("apigateway",), ("api://AzureADTokenExchange",), ("gcp",), ("vault",)]


def test_beside_a_configuration_that_is_there_nothing_else_is_written_or_changed(home: Path, capsys: Said) -> None:
    assert init(home, *FLAGS) == 0
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert init(home, *parties("gcp")) == 0
    told = capsys.readouterr().out
    assert "1. Tell Google Cloud" in told
    assert f"{home}/rolecall.toml" in told
    assert written(home) == [f"relying-parties/gcp/{name}" for name in ("commands.sh", "grant.toml", "main.tf")]
    assert {path: path.read_bytes() for path in before} == before
    assert len([path for path in home.rglob("*") if path.is_file()]) == len(before) + 3

    assert init(home, *parties("gcp", "vault")) == 2
    assert "there is already" in capsys.readouterr().err
    assert len(written(home)) == 3


def test_a_configuration_is_found_as_every_command_finds_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    assert init(home, *FLAGS) == 0
    capsys.readouterr()
    monkeypatch.setenv("ROLECALL_CONFIG", str(home / "rolecall.toml"))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--json", *parties("azure")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["written"] == [
        f"{home}/relying-parties/azure/{name}" for name in ("main.tf", "commands.sh", "grant.toml")
    ]
    assert main(["init", "-c", str(home / "rolecall.toml"), *parties("vault")]) == 0


def test_the_files_go_where_the_configuration_has_all_such_files(home: Path, tmp_path: Path) -> None:
    assert init(home, *FLAGS) == 0
    configuration = home / "rolecall.toml"
    text = configuration.read_text()
    assert f'[infrastructure]\ndirectory = "{home}"' in text
    configuration.write_text(
        text.replace(f'[infrastructure]\ndirectory = "{home}"', '[infrastructure]\ndirectory = "out"')
    )
    assert init(home, *parties("vault")) == 0
    assert written(home / "out") == [
        f"relying-parties/vault/{name}" for name in ("commands.sh", "grant.toml", "main.tf")
    ]


def test_another_audience_may_be_said(home: Path) -> None:
    assert init(home, *FLAGS, *parties("vault=https://vault.example.com")) == 0
    (granted,) = tomllib.loads((home / "relying-parties/vault/grant.toml").read_text())["grants"]
    assert granted["audiences"] == ["https://vault.example.com"]
    assert "https://vault.example.com" in (home / "relying-parties/vault/commands.sh").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (parties("aws"), "no relying party 'aws' is known"),
        (parties("gcp", "gcp=other"), "the relying party gcp is named twice"),
        (parties("gcp="), "'' is no audience"),
        (parties("vault=a b"), "'a b' is no audience"),
        (parties("vault=sts.amazonaws.com"), "is the audience of the tokens for AWS, which open every role"),
        ([*parties("azure"), "--key-kind", "ec-p256"], "takes RS256 alone; what ES256 has signed is refused there"),
        ([*parties("apigateway"), "--key-kind", "ec-p256"], "takes RSA keys alone; what ES256 has signed"),
        ([*parties("gcp"), "--key-kind", "ec-p384"], "takes RS256 and ES256 alone; what ES384 has signed"),
        ([*parties("gcp"), "--subject", "h" * 128], "it must be 6 to 127 bytes long, and is 128"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    words: list[str], said: str, home: Path, capsys: Said
) -> None:
    assert init(home, *FLAGS, *words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "hint: " in told
    assert not home.exists()


@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384"])
def test_vault_takes_every_key_and_google_the_usual_curve(kind: str, home: Path) -> None:
    assert init(home, *FLAGS, "--key-kind", kind, *parties("vault", *(["gcp"] if kind == "ec-p256" else []))) == 0


def test_beside_a_configuration_its_key_decides(home: Path, capsys: Said) -> None:
    assert init(home, *FLAGS, "--key-kind", "ec-p256") == 0
    assert init(home, *parties("azure")) == 2
    assert "what ES256 has signed is refused there" in capsys.readouterr().err
    assert init(home, *parties("gcp")) == 0


def test_the_kind_of_the_next_key_counts_as_well(home: Path, capsys: Said) -> None:
    assert init(home, *FLAGS) == 0
    configuration = home / "rolecall.toml"
    configuration.write_text(configuration.read_text().replace("[rotation]", '[rotation]\nkind = "ec-p256"'))
    assert init(home, *parties("azure")) == 2
    assert "what ec-p256 has signed is refused there" in capsys.readouterr().err


def test_tokens_of_somebody_else_are_nobodys_to_introduce(tmp_path: Path, capsys: Said) -> None:
    configuration = tmp_path / "rolecall.toml"
    configuration.write_text(
        '[identity]\nsource = "file"\nfile = "/token"\n[sts]\nregion = "eu-central-1"\n'
        f'[roles.backup]\narn = "{ARN}"\n[[grants]]\nroles = ["backup"]\nanyone = true\n'
    )
    assert main(["init", "-c", str(configuration), *parties("vault")]) == 2
    assert "are not our own" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--require-pinning"], ["--grant-unit", "backup=a.service"], ["--state", "x"]])
def test_options_of_a_first_configuration_are_not_passed_over_in_silence(
    option: list[str], home: Path, capsys: Said
) -> None:
    assert init(home, *FLAGS) == 0
    assert init(home, *parties("vault"), *option) == 2
    assert f"{option[0]} means nothing here" in capsys.readouterr().err
    assert written(home) == []


def test_a_place_where_nothing_can_be_written_is_told(home: Path, capsys: Said) -> None:
    assert init(home, *FLAGS) == 0
    (home / "relying-parties").write_text("in the way")
    assert init(home, *parties("vault")) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_where_there_is_no_configuration_it_is_said_that_a_first_one_is_made(home: Path, capsys: Said) -> None:
    assert init(home, "--yes", *parties("vault")) == 2
    told = capsys.readouterr().err
    assert f"There is no configuration at {home}/rolecall.toml to write this beside" in told
    assert "error: --issuer is missing" in told
