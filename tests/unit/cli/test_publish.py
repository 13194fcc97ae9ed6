import json
from pathlib import Path

import pytest

from agent.cli import main

FLAGS = ["--issuer", "https://oidc.example.com/a/", "--region", "eu-central-1", "--key-kind", "ec-p256"]
DOCUMENTS = [".well-known/jwks.json", ".well-known/openid-configuration"]


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    where = tmp_path / "rolecall"
    role = "backup=arn:aws:iam::123456789012:role/backup"
    assert main(["init", "--directory", str(where), *FLAGS, "--role", role]) == 0
    capsys.readouterr()
    return where


def publish(place: Path, *words: str) -> int:
    return main(["publish", "-c", str(place / "rolecall.toml"), *words])


def states(place: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
    assert publish(place, "--json", *words) == 0
    return {document["path"]: document["state"] for document in json.loads(capsys.readouterr().out)["documents"]}


def test_it_says_which_documents_are_new_changed_and_unchanged(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = place / "site"
    first = {name: (site / name).read_bytes() for name in DOCUMENTS}
    (site / DOCUMENTS[0]).unlink()
    (site / DOCUMENTS[1]).write_text("{}")
    assert states(place, capsys) == {DOCUMENTS[0]: "new", DOCUMENTS[1]: "changed"}
    assert {name: (site / name).read_bytes() for name in DOCUMENTS} == first
    assert states(place, capsys) == dict.fromkeys(DOCUMENTS, "unchanged")


def test_a_person_reads_where_each_document_is_and_where_it_is_to_be_read(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(place) == 0
    told = capsys.readouterr().out
    assert f"unchanged  {place}/site/.well-known/jwks.json\n" in told
    assert "to be read at https://oidc.example.com/a/.well-known/openid-configuration\n" in told


def test_what_the_web_server_is_to_say_of_them_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration = place / "rolecall.toml"
    configuration.write_text(configuration.read_text().replace("[publishing]\n", '[publishing]\nmax_age = "1h"\n'))
    assert publish(place) == 0
    line = "to be served with Content-Type: application/json and Cache-Control: public, max-age=3600"
    assert capsys.readouterr().out.splitlines()[-1] == line
    assert publish(place, "--json") == 0
    documents = json.loads(capsys.readouterr().out)["documents"]
    headers = {"Content-Type": "application/json", "Cache-Control": "public, max-age=3600"}
    assert [document["headers"] for document in documents] == [headers, headers]


def test_another_folder_may_be_given(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert states(place, capsys, "--directory", "elsewhere") == dict.fromkeys(DOCUMENTS, "new")
    for name in DOCUMENTS:
        assert (tmp_path / "elsewhere" / name).read_bytes() == (place / "site" / name).read_bytes()


def test_without_publishing_in_the_configuration_a_folder_has_to_be_given(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = place / "rolecall.toml"
    said = configuration.read_text()
    configuration.write_text(
        said.replace("[publishing]\n", "")
        .replace('to = "directory"\n', "")
        .replace(f'directory = "{place}/site"\n', "")
    )
    assert publish(place) == 2
    assert "does not say where to publish" in capsys.readouterr().err
    assert publish(place, "--directory", str(tmp_path / "given")) == 0
    assert (tmp_path / "given" / DOCUMENTS[0]).exists()


def test_a_new_key_is_a_changed_key_set(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pem,) = (place / "keys").iterdir()
    other = place.parent / "other"
    assert main(["init", "--directory", str(other), *FLAGS, "--role", "b=arn:aws:iam::123456789012:role/b"]) == 0
    capsys.readouterr()
    (new,) = (other / "keys").iterdir()
    pem.unlink()
    new.rename(place / "keys" / new.name)
    assert states(place, capsys) == {DOCUMENTS[0]: "changed", DOCUMENTS[1]: "unchanged"}


def test_a_folder_that_cannot_be_written_is_one_sentence_and_a_hint(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(place, "--directory", str(tmp_path / "not" / "there")) == 1
    assert capsys.readouterr().err == (
        f"error: the issuer's documents cannot be written to {tmp_path}/not/there: No such file or directory\n"
        "hint: create the folder, or correct [publishing] directory\n"
    )


def test_tokens_of_somebody_else_leave_nothing_to_publish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rolecall.toml").write_text(
        '[identity]\nsource = "file"\nfile = "/var/run/token"\n[sts]\nregion = "eu-central-1"\n'
        '[roles.backup]\narn = "arn:aws:iam::123456789012:role/backup"\n'
        '[[grants]]\nroles = ["backup"]\nanyone = true\n'
    )
    assert publish(tmp_path, "--directory", str(tmp_path / "site")) == 2
    assert "there is no issuer of ours to publish" in capsys.readouterr().err
