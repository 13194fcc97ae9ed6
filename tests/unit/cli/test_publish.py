import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli import main
from agent.clients.signed import s3_client
from agent.sandbox import Fault
from agent.sandbox.faults import SiteFault
from tests.fakes.issuing import JWKS, Issuing, issuing
from tests.fakes.moto import REGION, endpoint, moto

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


# --- the whole ring


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Issuing]:
    with issuing(tmp_path) as host:
        yield host


def test_every_key_of_the_ring_is_published_and_what_is_forgotten_is_withdrawn(
    host: Issuing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "rotate", "--json", "-c", str(host.config)]) == 0
    both = [key["kid"] for key in json.loads(capsys.readouterr().out)]
    (host.home / "site" / JWKS).unlink()
    assert publish(host.home) == 0
    assert host.shown() == both
    ring = json.loads(host.ring.read_text())
    ring["keys"].pop()
    ring["forgotten"] = [{"kid": both[1], "held": None, "shown": True}]
    host.ring.write_text(json.dumps(ring))
    assert publish(host.home) == 0
    assert host.shown() == [both[0]]


def test_a_bucket_is_published_to_with_the_credentials_of_a_profile(
    host: Issuing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "canary-secret-of-a-profile"
    (host.home / "credentials").write_text(
        f"[publisher]\naws_access_key_id = AKIAEXAMPLEEXAMPLE12\naws_secret_access_key = {secret}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(host.home / "credentials"))
    with moto() as url:
        host.publishing = (
            f'to = "s3"\nbucket = "oidc-example-com"\nregion = "{REGION}"\nendpoint_url = "{url}"\n'
            'credentials = "profile:publisher"'
        )
        host.write()
        assert publish(host.home) == 1  # there is no such bucket yet
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert "oidc-example-com" in said
        asyncio.run(a_bucket(url))
        assert states(host.home, capsys) == dict.fromkeys(DOCUMENTS, "new")
        assert states(host.home, capsys) == dict.fromkeys(DOCUMENTS, "unchanged")
        assert publish(host.home) == 0
        said = capsys.readouterr().out
        assert "unchanged  s3://oidc-example-com/.well-known/jwks.json\n" in said
        assert "to be served with" not in said  # the bucket knows


async def a_bucket(url: str) -> None:
    async with s3_client(endpoint(url)) as client:
        await client.create_bucket(Bucket="oidc-example-com", CreateBucketConfiguration={"LocationConstraint": REGION})


def test_the_credentials_of_our_own_role_are_with_the_agent(host: Issuing, capsys: pytest.CaptureFixture[str]) -> None:
    host.publishing = f'to = "s3"\nbucket = "oidc-example-com"\nregion = "{REGION}"\ncredentials = "role:backup"'
    host.write()
    assert publish(host.home) == 1
    assert "are those of the running agent" in capsys.readouterr().err


def test_what_the_agent_itself_shows_is_not_published_by_hand(
    host: Issuing, capsys: pytest.CaptureFixture[str]
) -> None:
    host.publishing = 'to = "https"\nlisten = "127.0.0.1:8443"\ncertificate = "/c.pem"\nprivate_key = "/k.pem"'
    host.write()
    assert publish(host.home) == 1
    said = capsys.readouterr().err
    assert "the agent itself shows the documents, while it runs" in said
    assert "hint: see what the world reads: rolecall publish --check" in said
    assert publish(host.home, "--directory", str(host.home / "site")) == 0  # for whoever knows better


# --- --check


def check(host: Issuing, capsys: pytest.CaptureFixture[str], code: int) -> dict[str, list[str]]:
    """What `publish --check` says, by how bad it is."""
    capsys.readouterr()
    assert publish(host.home, "--check", "--json") == code
    told = json.loads(capsys.readouterr().out)
    assert (told["issuer"], told["good"]) == ("https://oidc.example.com", code == 0)
    found: dict[str, list[str]] = {"good": [], "doubt": [], "bad": []}
    for verdict in told["verdicts"]:
        found[verdict["level"]].append(verdict["what"])
        assert verdict["level"] == "good" or verdict["hint"]
    return found


def test_a_site_that_aws_would_believe_is_good(host: Issuing, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(host.home) == 0
    assert check(host, capsys, 0)["bad"] == []
    assert publish(host.home, "--check") == 0
    said = capsys.readouterr()
    assert "bad  " not in said.out
    assert all(line.startswith(("good ", "doubt")) for line in said.out.splitlines())


def test_a_site_where_nothing_was_published_is_bad(host: Issuing, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(host, capsys, 1)["bad"]


@pytest.mark.parametrize("site", ["key_changed", "key_dropped", "expired", "redirect", "issuer_slash", "not_json"])
def test_what_is_wrong_with_the_site_is_told_with_what_to_do(
    host: Issuing, capsys: pytest.CaptureFixture[str], site: SiteFault
) -> None:
    assert publish(host.home) == 0
    [kid] = host.pems()
    host.sandbox.faults.add(Fault("site", site=site, about=kid if site.startswith("key") else ""))
    assert check(host, capsys, 1)["bad"]
    assert publish(host.home, "--check") == 1
    said = capsys.readouterr()
    assert "bad  " in said.out
    assert "hint: " in said.err
    host.sandbox.faults.clear()
    assert check(host, capsys, 0)["bad"] == []


def test_an_announced_key_that_is_not_there_yet_is_a_doubt_and_one_that_signs_is_bad(
    host: Issuing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "rotate", "--json", "-c", str(host.config)]) == 0
    old, new = (key["kid"] for key in json.loads(capsys.readouterr().out))
    host.sandbox.faults.add(Fault("site", site="key_dropped", about=new))
    told = check(host, capsys, 0)
    assert any(new in what for what in told["doubt"])
    host.sandbox.faults.replace([Fault("site", site="key_dropped", about=old)])
    assert any(old in what for what in check(host, capsys, 1)["bad"])


def test_checking_writes_nothing(host: Issuing, capsys: pytest.CaptureFixture[str]) -> None:
    check(host, capsys, 1)
    assert list((host.home / "site").iterdir()) == []
    assert not host.ring.exists()
