"""The samples and the reference table are true: they load, show real defaults and leave no setting out."""

import re
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from pydantic_core import PydanticUndefined

from agent.settings import (
    S3,
    Address,
    AwsCallers,
    AwsKms,
    Callers,
    Cognito,
    Containers,
    CredentialsFile,
    Directory,
    FromFile,
    Grant,
    Https,
    IdentityCenter,
    IdentityCenterRole,
    IdentityPoolRole,
    Infrastructure,
    Issuer,
    Listen,
    Log,
    OAuth2,
    Pem,
    Pkcs11,
    Rotation,
    SelfSigned,
    Settings,
    Sts,
    StsRole,
    TokenFile,
    Tpm2,
    UnitTokens,
    VaultTransit,
    Verify,
    WebIdentityTokenFile,
    load,
)
from agent.settings.doubts import warnings
from agent.settings.section import Section
from agent.spans import spell_duration

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "docs" / "configuration.md").read_text("utf-8")
#: Each sample, and the sections of which it shows every setting.
SHOWN: dict[str, list[tuple[str, type[Section]]]] = {
    "rolecall.toml": [
        ("issuer", Issuer), ("key", Pem), ("rotation", Rotation), ("identity", SelfSigned), ("identity", FromFile),
        ("sts", Sts), ("roles.NAME", StsRole), ("grants", Grant), ("callers", Callers),
        ("publishing", Directory),
        ("infrastructure", Infrastructure), ("listen", Listen), ("log", Log),
    ],
    "pkcs11.toml": [("key", Pkcs11)],
    "tpm2.toml": [("key", Tpm2)],
    "aws-kms.toml": [("key", AwsKms)],
    "vault-transit.toml": [("key", VaultTransit)],
    "s3.toml": [("publishing", S3)],
    "https.toml": [("publishing", Https)],
    "machine.toml": [("unit_tokens", UnitTokens), ("files", CredentialsFile), ("files", WebIdentityTokenFile)],
    "containers.toml": [("containers", Containers)],
    "tokens.toml": [("files", TokenFile)],
    "oauth2.toml": [("identity", OAuth2)],
    "cognito.toml": [("identity", Cognito), ("roles.NAME", IdentityPoolRole)],
    "identity-center.toml": [("identity_center", IdentityCenter), ("roles.NAME", IdentityCenterRole)],
    "verify.toml": [("verify.NAME", Verify)],
    "aws-callers.toml": [("aws_callers", AwsCallers)],
}  # fmt: skip
SAMPLES = {name: (ROOT / "config" / name).read_text("utf-8") for name in SHOWN}
SECTIONS = [(name, path, kind) for name, sections in SHOWN.items() for path, kind in sections]
FIELDS = [(name, path, kind, word) for name, path, kind in SECTIONS for word in kind.words()]
EXAMPLES = [(name, line) for name, text in SAMPLES.items() for line in text.splitlines() if line.startswith("#e.g. ")]
#: The tables of which there may be several.
SEVERAL = {"grants", "files"}


def load_text(text: str, tmp_path: Path) -> Settings:
    path = tmp_path / "rolecall.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ={"CREDENTIALS_DIRECTORY": "/run/credentials/rolecall.service"}, host="web-1")


def test_there_is_no_sample_that_nobody_loads() -> None:
    assert {path.name for path in (ROOT / "config").glob("*.toml")} == SHOWN.keys()


@pytest.mark.parametrize("name", SHOWN)
def test_every_sample_loads_and_leaves_no_doubt(name: str, tmp_path: Path) -> None:
    settings = load_text(SAMPLES[name], tmp_path)
    assert "backup" in (settings.verify if name == "verify.toml" else settings.roles)
    assert warnings(settings) == []


@pytest.mark.parametrize("name", SHOWN)
def test_what_a_sample_shows_as_defaults_are_the_defaults(name: str, tmp_path: Path) -> None:
    shown = re.sub(r"^#(?=[a-z_]+ = )", "", SAMPLES[name], flags=re.MULTILINE)
    assert shown.count("\n#") < SAMPLES[name].count("\n#")
    assert load_text(shown, tmp_path) == load_text(SAMPLES[name], tmp_path)


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_what_a_sample_shows_as_examples_is_taken(name: str, line: str, tmp_path: Path) -> None:
    """Beside the examples that it goes with, and instead of what its comment says."""
    (tmp_path / "backup.json").write_text('{"Version": "2012-10-17", "Statement": []}')
    text = _taken(line, SAMPLES[name])
    assert load_text(text, tmp_path) != load_text(SAMPLES[name], tmp_path)


def _taken(line: str, text: str) -> str:
    text = text.replace(line, line.removeprefix("#e.g. "), 1)
    _, _, comment = line.partition(" # ")
    if instead := re.search(r"instead of ([a-z_]+)(?: and ([a-z_]+))?", comment):
        for word in filter(None, instead.groups()):
            text = re.sub(rf"^{word} = .*\n", "", text, count=1, flags=re.MULTILINE)
    if beside := re.search(r"with ([a-z_]+_file|role|scope|client_[a-z]+)\b", comment):
        other = re.search(rf"^#e\.g\. {beside[1]} = .*$", text, flags=re.MULTILINE)
        text = text if other is None else _taken(other[0], text)
    return text


def test_the_main_sample_shows_enough_of_both() -> None:
    assert len([name for name, _ in EXAMPLES if name == "rolecall.toml"]) >= 14
    assert len(re.findall(r"^#[a-z_]+ = ", SAMPLES["rolecall.toml"], flags=re.MULTILINE)) > 25


@pytest.mark.parametrize(("name", "path", "kind", "word"), FIELDS)
def test_the_sample_shows_every_setting(name: str, path: str, kind: type[Section], word: str) -> None:
    sample = SAMPLES[name]
    begin = sample.index(_begun(path, kind))
    end = sample.find("\n[", begin + 3)
    assert re.search(rf"\b{word} = ", sample[begin : end if end > 0 else None])


@pytest.mark.parametrize(("name", "path", "kind", "word"), FIELDS)
def test_the_reference_describes_every_setting_with_its_default(
    name: str, path: str, kind: type[Section], word: str
) -> None:
    chapter = _chapter(path, kind)
    rows = [row for row in chapter.splitlines() if row.startswith(f"| `{word}` |")]
    assert len(rows) == 1, f"{path} {word}"
    assert _spelt(kind, word) in rows[0], rows


@pytest.mark.parametrize(("name", "path", "kind"), SECTIONS)
def test_the_reference_describes_no_setting_that_there_is_not(name: str, path: str, kind: type[Section]) -> None:
    described = re.findall(r"^\| `([a-z_]+)` \|", _chapter(path, kind), flags=re.MULTILINE)
    assert described == list(kind.words())


def _begun(path: str, kind: type[Section]) -> str:
    """How the section begins in a sample."""
    word, field = next(iter(kind.words().items()))
    if path == "files":
        return f'\n[[files]]\n{word} = "{get_args(field.annotation)[0]}"'
    return f"\n[[{path}]]" if path in SEVERAL else f"\n[{path.replace('NAME', 'backup')}]"


def _chapter(path: str, kind: type[Section]) -> str:
    """What is said of a section: of one kind of several, what follows "With `word = "kind"`"."""
    heading = f"[[{path}]]" if path in SEVERAL else f"[{path}]"
    chapter = REFERENCE.split(f"\n## `{heading}`")[1].split("\n## ")[0]
    first, field = next(iter(kind.words().items()))
    marker = f'With `{first} = "{get_args(field.annotation)[0]}"`' if get_args(field.annotation) else ""
    if marker and marker in chapter:
        return chapter.split(marker)[1].split("\nWith `")[0]
    return chapter


def _spelt(kind: type[Section], word: str) -> str:
    """How the reference writes a default."""
    default = kind.words()[word].get_default()
    if default is PydanticUndefined:
        return "| required |"
    if default is None:
        return "| none |"
    return f"| `{_in_toml(default, several=word == 'listen')}` |"


def _in_toml(value: object, *, several: bool) -> str:
    if isinstance(value, timedelta):
        return f'"{spell_duration(value)}"'
    if isinstance(value, bool | int):
        return str(value).lower()
    if value == {}:
        return "{}"
    if isinstance(value, tuple) and not isinstance(value, Address):
        items = [_in_toml(one, several=False) for one in value]
        return items[0] if len(items) == 1 and not several else f"[{', '.join(items)}]"
    return f'"{value}"'
