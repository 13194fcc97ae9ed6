import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.assembly.publishing import Place, directory_publisher, place
from agent.errors import PublishingFailed
from agent.events import RotationStuck
from agent.keys.halves import described, fit
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, documents, published
from agent.publishing.s3.publisher import S3Publisher
from agent.publishing.shelf import Shelf
from agent.settings import Settings, load
from tests.fakes.certificates import DAY, authority
from tests.fakes.clock import START, FakeClock
from tests.fakes.key_files import private
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported

GOOD = (Path(__file__).parents[1] / "settings" / "good.toml").read_text()
ISSUER = "https://oidc.example.com"
FIVE_MINUTES = timedelta(minutes=5)
KEY = published(MemoryKey().public)

Configured = Callable[[str], Settings]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    def configured(words: str) -> Settings:
        path = tmp_path / "rolecall.toml"
        path.write_text(f"{GOOD}\n[publishing]\n{words}\n" if words else GOOD)
        return load(path, environ={}, host="web-1")

    return configured


class Scene:
    def __init__(self, settings: Settings) -> None:
        self.clock, self.reported = FakeClock(), Reported()
        self.place = place(settings, {}, clock=self.clock, chance=random.Random(1), report=self.reported)

    @property
    def made(self) -> Place:
        assert self.place is not None
        return self.place


def files_in(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


async def test_a_directory_is_where_the_documents_go(configured: Configured, tmp_path: Path) -> None:
    scene = Scene(configured('to = "directory"\ndirectory = "site"'))
    assert isinstance(scene.made.publisher, DirectoryPublisher)
    await scene.made.publisher.publish([KEY], [])
    expected = {one.path: one.body for one in documents(ISSUER, [KEY], max_age=FIVE_MINUTES)}
    assert files_in(tmp_path / "site") == expected
    await scene.made.close()


async def test_a_directory_named_on_the_command_line_is_one_like_others(tmp_path: Path) -> None:
    placed = await directory_publisher(tmp_path / "site", ISSUER, timedelta(hours=1)).publish([KEY], [])
    assert set(files_in(tmp_path / "site")) == {JWKS_PATH, DISCOVERY_PATH}
    assert [one.document.max_age for one in placed] == [3600, 3600]


async def test_our_own_site_shows_what_is_published_to_it(configured: Configured) -> None:
    words = 'to = "https"\nlisten = "127.0.0.1:8443"\ncertificate = "chain.pem"\nprivate_key = "/etc/ssl/key.pem"'
    made = Scene(configured(words)).made
    assert made.site is not None
    assert (made.site.issuer, made.site.settings.listen) == (ISSUER, ("127.0.0.1", 8443))
    await made.publisher.publish([KEY], [])
    document = made.site.shelf.document(JWKS_PATH)
    assert document is not None
    assert json.loads(document.body)["keys"] == [KEY]


async def test_a_bucket_is_not_asked_for_before_it_is_published_to(configured: Configured) -> None:
    words = 'to = "s3"\nbucket = "oidc-example-com"\nregion = "eu-central-1"\ncredentials = "role:backup"'
    made = Scene(configured(words)).made
    assert isinstance(made.publisher, S3Publisher)
    assert made.site is None
    await made.close()


async def test_a_role_that_no_agent_holds_cannot_publish_by_hand(configured: Configured) -> None:
    words = 'to = "s3"\nbucket = "oidc-example-com"\nregion = "eu-central-1"\ncredentials = "role:backup"'
    made = Scene(configured(f'{words}\nendpoint_url = "http://127.0.0.1:9"')).made
    with pytest.raises(PublishingFailed, match="those of the running agent"):
        await made.publisher.publish([KEY], [])
    await made.close()


def test_nothing_is_published_where_nothing_says_so(configured: Configured) -> None:
    assert Scene(configured("")).place is None


# --- certificates


async def test_keys_are_shown_with_the_certificates_that_there_are_by_then(
    configured: Configured, tmp_path: Path
) -> None:
    (tmp_path / "x5c").mkdir()
    for words in ('to = "directory"\ndirectory = "site"', 'to = "https"\ncertificate = "c"\nprivate_key = "/k"'):
        made = Scene(configured(f'{words}\ncertificates = "x5c"')).made
        for file in (tmp_path / "x5c").iterdir():
            file.unlink()
        key = _jwk()
        first, _ = await made.publisher.publish([key], [])
        (tmp_path / "x5c" / "signer.pem").write_bytes(authority().issue("signer", private("ec-p256")).chain)
        second, _ = await made.publisher.publish([key], [])
        assert "x5c" not in json.loads(first.document.body)["keys"][0]
        assert len(json.loads(second.document.body)["keys"][0]["x5c"]) == 2
        if made.site is not None:
            assert isinstance(made.site.shelf, Shelf)
            assert made.site.shelf.document(JWKS_PATH) == second.document


async def test_a_certificate_that_has_ended_is_reported(configured: Configured, tmp_path: Path) -> None:
    (tmp_path / "x5c").mkdir()
    old = authority().issue("signer", private("ec-p256"), since=START - 9 * DAY, until=START - DAY)
    (tmp_path / "x5c" / "old.pem").write_bytes(old.chain)
    scene = Scene(configured('to = "directory"\ndirectory = "site"\ncertificates = "x5c"'))
    await scene.made.publisher.publish([_jwk()], [])
    (told,) = scene.reported.of(RotationStuck)
    assert "ended on 2026-11-19T12:00:00Z" in told.error.what


def _jwk() -> dict[str, object]:
    return published(described(fit(private("ec-p256").public_key(), "it"), None, "it"))
