import json
import stat
import subprocess
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.cli import main
from agent.keys.files import write_new
from agent.keys.pem import PemKey, generate
from agent.publishing.discovery import JWKS_PATH
from agent.secret import Secret

CONFIGURATION = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
{key}
[identity]
source = "self_signed"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
anyone = true
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    return configured(tmp_path, 'directory = "keys"')


def configured(directory: Path, key: str) -> Path:
    path = directory / "rolecall.toml"
    path.write_text(CONFIGURATION.format(key=key))
    return path


def keys(config: Path, *words: str) -> int:
    return main(["keys", *words, "-c", str(config)])


def test_a_new_key_lies_where_the_configuration_says_under_its_own_name(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys(config, "new", "--kind", "ec-p256", "--json") == 0

    made = json.loads(capsys.readouterr().out)
    path = Path(made["file"])
    assert path == config.parent / "keys" / f"{made['kid']}.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PemKey.read(path).public.kid == made["kid"]


def test_a_key_is_rsa_2048_unless_told_otherwise(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keys(config, "new") == 0

    kid, algorithm, path = capsys.readouterr().out.split()
    assert algorithm == "RS256"
    assert path.endswith(f"/{kid}.pem")


def test_a_second_key_is_not_made_beside_the_first(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys(config, "new", "--kind", "ec-p256")

    assert keys(config, "new", "--kind", "ec-p256") == 2

    assert "there is a key in" in capsys.readouterr().err
    assert len(list((config.parent / "keys").iterdir())) == 1


def test_a_second_key_can_be_made_elsewhere(config: Path, tmp_path: Path) -> None:
    keys(config, "new", "--kind", "ec-p256")
    (tmp_path / "next").mkdir()

    assert keys(config, "new", "--kind", "ec-p256", "--directory", str(tmp_path / "next")) == 0
    assert len(list((tmp_path / "next").iterdir())) == 1


def test_a_key_is_made_in_the_one_file_that_is_configured_and_never_over_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, f'file = "{tmp_path}/only.pem"')

    assert keys(config, "new", "--kind", "ec-p256") == 0
    made = (tmp_path / "only.pem").read_bytes()
    assert keys(config, "new", "--kind", "ec-p256") == 2

    assert (tmp_path / "only.pem").read_bytes() == made
    assert "a key is never overwritten" in capsys.readouterr().err


def test_where_a_passphrase_is_configured_a_new_key_is_encrypted_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "passphrase").touch(mode=0o600)
    (tmp_path / "passphrase").write_text("opensesame\n")
    config = configured(tmp_path, f'directory = "keys"\npassphrase_file = "{tmp_path}/passphrase"')

    assert keys(config, "new", "--kind", "ec-p256") == 0

    (path,) = (tmp_path / "keys").iterdir()
    assert path.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert PemKey.read(path, passphrase=Secret("opensesame")).public.kid == path.stem
    assert keys(config, "list") == 0
    assert path.stem in capsys.readouterr().out


def test_a_list_names_every_key_and_says_what_is_wrong_with_others(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = config.parent / "keys" / "good.pem"
    write_new(good, generate("ec-p384"))
    (config.parent / "keys" / "open.pem").write_bytes(generate("ec-p256"))
    (config.parent / "keys" / "open.pem").chmod(0o644)
    (config.parent / "keys" / "notes.txt").write_text("no key")

    assert keys(config, "list", "--json", "--directory", str(config.parent / "keys")) == 1

    listed = json.loads(capsys.readouterr().out)
    assert listed[0] == {"kid": PemKey.read(good).public.kid, "algorithm": "ES384", "file": str(good)}
    assert "is open to others than its owner (mode 0644)" in listed[1]["error"]
    assert len(listed) == 2


def test_an_empty_directory_is_no_error_but_a_host_without_a_key_is_one(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, code in [(["--directory", str(config.parent / "keys")], 0), ([], 1)]:
        assert keys(config, "list", *words) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "rolecall keys new" in captured.err


def test_a_key_for_a_directory_that_is_not_there_comes_with_the_command_that_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "it's new"
    assert main(["keys", "new", "--kind", "ec-p256", "--directory", str(place)]) == 1
    advice = capsys.readouterr().err.partition("hint: make the directory: ")[2]
    subprocess.run(["sh", "-euc", advice], check=True)
    assert main(["keys", "new", "--kind", "ec-p256", "--directory", str(place)]) == 0
    assert place.stat().st_mode & 0o777 == 0o700


def test_the_key_of_a_service_is_seen_only_while_that_runs_and_made_where_it_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    config = configured(tmp_path, 'file = "credential:signing-key"')
    assert keys(config, "list") == 1
    told = capsys.readouterr().err
    assert f"the private key file {tmp_path}/credentials/signing-key does not exist\nhint: systemd shows" in told
    assert keys(config, "new") == 2
    assert "is systemd's copy of the key, and no key is made there\nhint: make it elsewhere" in capsys.readouterr().err


def test_a_directory_that_is_not_there_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "keys").rmdir()

    assert keys(config, "list") == 1
    assert "the directory of keys" in capsys.readouterr().err


def test_the_public_half_is_shown_as_it_is_published_and_as_pem(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys(config, "new", "--kind", "ec-p256")
    capsys.readouterr()

    assert keys(config, "show") == 0
    jwk = json.loads(capsys.readouterr().out)
    assert keys(config, "show", "--format", "pem") == 0
    pem = capsys.readouterr().out

    assert [jwk] == keys_of(config)
    assert jwk.keys() == {"kty", "use", "alg", "kid", "crv", "x", "y"}
    assert pem.startswith("-----BEGIN PUBLIC KEY-----\n")
    same = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).prepare_key(pem)
    assert jwt.algorithms.ECAlgorithm.to_jwk(same, as_dict=True)["x"] == jwk["x"]


def keys_of(config: Path) -> list[dict[str, str]]:
    """The key set that the world is shown."""
    site = config.parent / "site"
    site.mkdir()
    assert main(["publish", "-c", str(config), "--directory", str(site)]) == 0
    shown: list[dict[str, str]] = json.loads((site / JWKS_PATH).read_text())["keys"]
    return shown


def test_of_several_keys_one_is_shown_by_how_its_name_begins(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = config.parent / "keys"
    for name in ("a", "b"):
        write_new(directory / f"{name}.pem", generate("ec-p256"))
    kid, there = PemKey.read(directory / "b.pem").public.kid, ["--directory", str(directory)]

    assert keys(config, "show", kid[:12], *there) == 0
    assert json.loads(capsys.readouterr().out)["kid"] == kid
    assert keys(config, "show", *there) == 2
    assert "there are 2 keys that this could mean" in capsys.readouterr().err
    assert keys(config, "show", "none-such", *there) == 2
    assert "there is no key whose name begins with none-such" in capsys.readouterr().err
    assert keys(config, "show") == 2
    assert "[key] names 2 keys, and nothing says which of them signs: a.pem, b.pem" in capsys.readouterr().err


def test_a_key_of_others_whose_name_begins_with_a_dash_is_named_without_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private = ec.derive_private_key(73, ec.SECP256R1())
    theirs = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new(config.parent / "keys" / "theirs.pem", theirs)

    assert keys(config, "show", "uFpJ2BvViK") == 0
    assert json.loads(capsys.readouterr().out)["kid"].startswith("-uFpJ2BvViK")


def test_a_name_is_for_a_sealed_key(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keys(config, "new", "--name", "mine") == 2
    assert "hint: add --seal" in capsys.readouterr().err
    assert list((config.parent / "keys").iterdir()) == []


def test_nothing_that_is_printed_is_private(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys(config, "new", "--kind", "rsa-2048")
    keys(config, "list")
    keys(config, "show")
    keys(config, "show", "--format", "pem")

    captured = capsys.readouterr()
    (path,) = (config.parent / "keys").iterdir()
    body = path.read_text().splitlines()[1:-1]
    assert len(body) > 20
    assert not [line for line in body if line in captured.out + captured.err]
    assert "PRIVATE" not in captured.out + captured.err


def test_of_several_keys_the_one_that_signs_is_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys(config, "new", "--kind", "ec-p256", "--json")
    first = json.loads(capsys.readouterr().out)["kid"]
    with config.open("a") as file:
        file.write("[rotation]\nautomatic = false\n")
    assert keys(config, "rotate", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 2

    assert keys(config, "show") == 0

    assert json.loads(capsys.readouterr().out)["kid"] == first
