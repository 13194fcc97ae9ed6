from datetime import timedelta
from pathlib import Path

from agent.assembly.publishing import publisher
from agent.publishing.discovery import documents
from agent.settings.publishing import Directory
from tests.fakes.memory_key import MemoryKey


async def test_a_directory_is_where_the_documents_go(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    settings = Directory.model_construct(to="directory", directory=site)
    shown = documents("https://oidc.example.com", [MemoryKey().public], max_age=timedelta(minutes=5))
    await publisher(settings).publish(shown)
    assert {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()} == {
        document.path.lstrip("/") for document in shown
    }
