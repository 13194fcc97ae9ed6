"""Which credentials has this AWS handed out, and what may they do?"""

import base64
import random
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.sandbox.policies.conditions import Context
from agent.sandbox.policies.policy import Policy
from agent.secret import Secret

_KEY_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TOKEN_BYTES: Final = 480


@dataclass(frozen=True, slots=True)
class Issued:
    """A set of temporary credentials, and the session behind it.

    Attributes:
        arn: arn:aws:sts::<account>:assumed-role/<role name>/<session name>.
        user_id: <role's unique id>:<session name>.
        session_policies: what narrows the session; empty for none.
        made_elsewhere: whether its role is not one of the account's own, as those of Identity Center are not.
        role_policies: what its role allows, where that was made elsewhere.
        context: what conditions of other policies can ask of the session (aws:PrincipalTag/…, <issuer>:sub, …).
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    expires_at: datetime
    role_arn: str
    arn: str
    user_id: str
    session_policies: tuple[Policy, ...]
    context: Context
    made_elsewhere: bool = False
    role_policies: tuple[Policy, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """Fresh credentials, not yet anybody's."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret


def new_material(rng: random.Random, least_token_size: int) -> KeyMaterial:
    """Draw credentials that look like AWS's. The token has slashes, pluses and equals signs, as AWS's have."""
    token = b"\x17\x0b\x6f\x72\x69\x67\x69\x6e\x5f" + rng.randbytes(_TOKEN_BYTES)
    text = base64.b64encode(token).decode()
    if len(text) < least_token_size:
        text += base64.b64encode(rng.randbytes(least_token_size)).decode()[: least_token_size - len(text)]
    return KeyMaterial(
        access_key_id="ASIA" + "".join(rng.choices(_KEY_LETTERS, k=16)),
        secret_access_key=Secret(base64.b64encode(rng.randbytes(30)).decode()),
        session_token=Secret(text),
    )


class Register:
    """All credentials handed out, by access key id."""

    def __init__(self) -> None:
        self._issued: dict[str, Issued] = {}

    def add(self, issued: Issued, now: datetime) -> None:
        """Remember a set, and forget those that ended a day ago: until then they are known to have expired."""
        self._issued[issued.access_key_id] = issued
        if len(self._issued) % 1000 == 0:
            self._issued = {key: one for key, one in self._issued.items() if (now - one.expires_at).days < 1}

    def find(self, access_key_id: str) -> Issued | None:
        """The set of this id."""
        return self._issued.get(access_key_id)
