from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import ConfigurationError
from agent.settings import Settings, load

#: A configuration in which everything is right.
GOOD = (Path(__file__).parent / "good.toml").read_text("utf-8")

Change = tuple[str, str]


def changed(changes: tuple[Change, ...]) -> str:
    """Replace parts of GOOD by others; an empty part is its end."""
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1) if old else text + new
    return text


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Settings]:
    """Load GOOD with some changes, in an environment."""

    def read(*changes: Change, host: str = "web-1", **environ: str) -> Settings:
        path = tmp_path / "rolecall.toml"
        path.write_text(changed(changes), encoding="utf-8")
        return load(path, environ=environ, host=host)

    return read


@pytest.fixture
def mistakes(read: Callable[..., Settings]) -> Callable[..., list[str]]:
    """The same, for what is wrong with it: the lines that the operator sees."""

    def mistakes(*changes: Change, host: str = "web-1", **environ: str) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            read(*changes, host=host, **environ)
        return caught.value.what.splitlines()

    return mistakes
