from collections.abc import Iterator

import pytest

from tests.fakes.vault import FakeVault, fake_vault


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with fake_vault() as fake:
        yield fake
