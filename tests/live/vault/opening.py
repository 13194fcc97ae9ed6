"""How does a custodian come to a real Vault, and with what rights?"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from agent.clock import SystemClock
from agent.errors import KeyUnavailable
from agent.keys.vault_transit.access import Reader
from agent.keys.vault_transit.custodian import Login, Place, TokenFile, VaultTransit
from agent.secret import Secret
from tests.live.vault.running import Vault

#: The policy of docs/keys/vault-transit.md.
POLICY: Final = {
    "transit/keys/rolecall": "read update",
    "transit/keys/rolecall/rotate": "update",
    "transit/keys/rolecall/config": "update",
    "transit/keys/rolecall/trim": "update",
    "transit/sign/rolecall": "update",
    "auth/token/lookup-self": "read",
    "auth/token/renew-self": "update",
}


@dataclass
class Opening:
    """Makes custodians, and closes them afterwards."""

    vault: Vault
    made: list[VaultTransit] = field(default_factory=list)

    def __call__(self, login: Login | None = None, **settings: Any) -> VaultTransit:
        arguments = {"clock": SystemClock(), **settings}
        made = VaultTransit(
            Place(self.vault.address), login or self.token(policies=["rolecall"]), "rolecall", **arguments
        )
        self.made.append(made)
        return made

    def token(self, **members: object) -> TokenFile:
        return TokenFile(holding(self.vault.token(no_default_policy=True, **members)))


def holding(secret: str) -> Reader:
    return lambda: Secret(secret)


async def refused(work: Awaitable[object]) -> KeyUnavailable:
    with pytest.raises(KeyUnavailable) as caught:
        await work
    assert caught.value.hint
    return caught.value
