from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from agent.settings import Settings

Read = Callable[..., Settings]


def test_documents_go_to_a_directory_beside_the_file_or_anywhere(read: Read, tmp_path: Path) -> None:
    near = read(("", '\n[publishing]\nto = "directory"\ndirectory = "site"\n')).publishing
    far = read(("", '\n[publishing]\nto = "directory"\ndirectory = "/var/www"\nmax_age = "1h"\n')).publishing
    assert near is not None
    assert far is not None
    assert (near.directory, near.max_age) == (tmp_path / "site", timedelta(minutes=5))
    assert (far.directory, far.max_age) == (Path("/var/www"), timedelta(hours=1))
