"""Does kill -9 at any moment leave anything half-written?"""

import json
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.cli import main
from agent.keys.pem import PemKey
from agent.settings import load

pytestmark = pytest.mark.long

ISSUER, ARN = "https://oidc.example.com", "arn:aws:iam::123456789012:role/backup"


def init(place: Path) -> list[str]:
    at = ["--directory", str(place), "--issuer", ISSUER, "--region", "eu-central-1", "--role", f"backup={ARN}"]
    return ["init", *at, "--key-kind", "ec-p256", "--yes"]


def left_by(home: Path, words: Sequence[str]) -> list[Path]:
    """The places that the command has left, killed at each of its steps; in the last it came to its end."""
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.live.killed", str(home), *words]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [home.with_name(f"{home.name}-{step}") for step in range(1, int(done.stdout) + 1)]


def check_whole(place: Path) -> None:
    """Whatever has its final name is all there; what is private was never for others."""
    for path in place.rglob("*"):
        if not path.is_file():
            continue
        if path.suffix == ".pem" or "tokens" in path.parts or ".pem." in path.name:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        if path.name.startswith("."):
            continue
        assert path.stat().st_size, path
        match path.suffix:
            case ".pem":
                PemKey.read(path)
            case ".json":
                assert json.loads(path.read_text())["keys"]
            case ".toml":
                settings = load(path, environ={}, host="host-1")
                assert (place / "x" / "tokens" / "backup").stat().st_size >= 32
                assert settings.key is not None
    discovery = next(iter(place.rglob("openid-configuration")), None)
    assert discovery is None or json.loads(discovery.read_text())["jwks_uri"]
    assert discovery is None or (discovery.parent / "jwks.json").is_file()  # what it points to was there first


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


def test_init_leaves_nothing_half_written_and_the_configuration_last(home: Path) -> None:
    places = left_by(home, init(home / "x"))
    assert len(places) > 20
    for place in places:
        check_whole(place)
    with_configuration = [place for place in places if (place / "x" / "rolecall.toml").exists()]
    for place in with_configuration:
        assert list((place / "x" / "keys").glob("*.pem"))
        assert (place / "x" / "site" / ".well-known" / "openid-configuration").exists()
    assert places[-1] in with_configuration


def test_a_new_key_is_there_or_not(home: Path) -> None:
    assert main(init(home / "x")) == 0
    (home / "x" / "new").mkdir()
    places = left_by(home, ["keys", "new", "--kind", "ec-p256", "--directory", str(home / "x" / "new")])
    assert len(places) > 3
    found = []
    for place in places:
        check_whole(place)
        found.append(len(list((place / "x" / "new").glob("*.pem"))))
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 1)


def test_what_is_published_is_the_old_or_the_new_and_the_next_publisher_is_not_disturbed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(init(home / "x")) == 0
    site = Path("x", "site", ".well-known")
    new = {path.name: path.read_text() for path in (home / site).iterdir()}
    for name, text in new.items():
        (home / site / name).write_text(text.replace(",", " ,"))
    old = {path.name: path.read_text() for path in (home / site).iterdir()}
    places = left_by(home, ["publish", "-c", str(home / "x" / "rolecall.toml")])
    assert len(places) > 4
    for place in places:
        check_whole(place)
        for name, text in new.items():
            assert (place / site / name).read_text() in {old[name], text}
        assert main(["publish", "-c", str(place / "x" / "rolecall.toml")]) == 0, capsys.readouterr().err
        assert {path.name: path.read_text() for path in (place / site).iterdir()} == new
