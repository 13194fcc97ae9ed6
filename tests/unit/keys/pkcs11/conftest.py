import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.softhsm import Moods, SoftHsm, compiled, moody, softhsm


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[SoftHsm]:
    """One token, empty."""
    with softhsm(tmp_path) as hsm:
        hsm.token()
        yield hsm


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("needs cc")
    return compiled(tmp_path_factory.mktemp("module"))


@pytest.fixture
def moods(hsm: SoftHsm, module: Path) -> Iterator[Moods]:
    """The token of `hsm` behind a module that has moods."""
    with moody(module, hsm.where) as moods:
        yield moods
