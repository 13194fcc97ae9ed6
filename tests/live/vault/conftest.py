"""One Vault for all tests of a file, and no key in it when a test begins."""

from collections.abc import AsyncIterator, Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.fakes.memory_key import pem
from tests.live.vault.opening import POLICY, Opening
from tests.live.vault.running import Vault, running_vault


@pytest.fixture(scope="module")
def server() -> Iterator[Vault]:
    with running_vault() as vault:
        vault.initialise()
        vault.policy("rolecall", POLICY)
        vault.write("sys/auth/approle", type="approle")
        vault.write("sys/auth/kubernetes", type="jwt")
        public = load_pem_private_key(pem("ec-p256"), None).public_key()
        vault.write(
            "auth/kubernetes/config",
            jwt_validation_pubkeys=[public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()],
        )
        yield vault


@pytest.fixture
def vault(server: Vault) -> Vault:
    """Vault without any key."""
    server.delete("sys/mounts/transit")
    server.write("sys/mounts/transit", type="transit")
    return server


@pytest.fixture
async def custodian(vault: Vault) -> AsyncIterator[Opening]:
    opening = Opening(vault)
    yield opening
    for made in opening.made:
        await made.close()
