"""The sample and the reference table are true: they load, show real defaults and leave no setting out."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from agent.settings import Directory, FromFile, Grant, Issuer, Listen, Log, Pem, Role, SelfSigned, Settings, Sts, load
from agent.settings.section import Section
from agent.settings.spelling import spell_duration

ROOT = Path(__file__).parents[3]
SAMPLE = (ROOT / "config" / "rolecall.toml").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "configuration.md").read_text("utf-8")
SECTIONS: list[tuple[str, type[Section]]] = [
    ("issuer", Issuer), ("key", Pem), ("identity", SelfSigned), ("identity", FromFile), ("sts", Sts),
    ("roles.NAME", Role), ("grants", Grant), ("publishing", Directory), ("listen", Listen), ("log", Log),
]  # fmt: skip
FIELDS = [(path, kind, word) for path, kind in SECTIONS for word in kind.model_fields]


def load_text(text: str, tmp_path: Path) -> Settings:
    path = tmp_path / "rolecall.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ={"CREDENTIALS_DIRECTORY": "/run/credentials/rolecall.service"}, host="web-1")


def test_the_sample_loads(tmp_path: Path) -> None:
    assert list(load_text(SAMPLE, tmp_path).roles) == ["backup"]


def test_what_the_sample_shows_as_defaults_are_the_defaults(tmp_path: Path) -> None:
    shown = re.sub(r"^#(?=[a-z_]+ = )", "", SAMPLE, flags=re.MULTILINE)
    assert shown.count("\n#") < SAMPLE.count("\n#") - 20
    assert load_text(shown, tmp_path) == load_text(SAMPLE, tmp_path)


def test_what_the_sample_shows_as_examples_is_taken(tmp_path: Path) -> None:
    examples = re.findall(r"^#e\.g\. ([a-z_]+ = .*)$", SAMPLE, flags=re.MULTILINE)
    assert len(examples) >= 9
    (tmp_path / "backup.json").write_text('{"Version": "2012-10-17", "Statement": []}')
    for example in examples:
        text = SAMPLE.replace(f"#e.g. {example}", example)
        if example.startswith("file = "):
            text = text.replace('directory = "/var/lib/rolecall/keys"', "")
        assert load_text(text, tmp_path) != load_text(SAMPLE, tmp_path), example


@pytest.mark.parametrize(("path", "kind", "word"), FIELDS)
def test_the_sample_shows_every_setting(path: str, kind: type[Section], word: str) -> None:
    begin = SAMPLE.index(f"[{path.replace('NAME', 'backup')}]")
    end = SAMPLE.find("\n[", begin + 1)
    assert re.search(rf"\b{word} = ", SAMPLE[begin : end if end > 0 else None])


@pytest.mark.parametrize(("path", "kind", "word"), FIELDS)
def test_the_reference_describes_every_setting_with_its_default(path: str, kind: type[Section], word: str) -> None:
    heading = {"grants": "[[grants]]"}.get(path, f"[{path}]")
    chapter = REFERENCE.split(f"\n## `{heading}`")[1].split("\n## ")[0]
    rows = [row for row in chapter.splitlines() if row.startswith(f"| `{word}` |")]
    assert rows, f"{heading} {word}"
    assert any(_spelt(kind, word) in row for row in rows), rows


def _spelt(kind: type[Section], word: str) -> str:
    """How the reference writes a default."""
    default = kind.model_fields[word].get_default()
    if default is PydanticUndefined:
        return "| required |"
    if default is None:
        return "| none |"
    if isinstance(default, timedelta):
        return f'| `"{spell_duration(default)}"` |'
    if isinstance(default, bool | int):
        return f"| `{str(default).lower()}` |"
    return {"()": "| `[]` |", "{}": "| `{}` |"}.get(str(default), f'| `"{default}"` |')
