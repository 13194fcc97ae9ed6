from collections.abc import Iterator

import pytest

from tests.fakes.swtpm import Swtpm, running


@pytest.fixture
def tpm() -> Iterator[Swtpm]:
    with running() as tpm:
        yield tpm
