"""Which code does an authenticator show now? RFC 6238: six digits, SHA-1, a new one every 30 seconds."""

import base64
import hmac
from datetime import datetime
from typing import Final

STEP: Final = 30
#: How many steps an authenticator may be slow or fast.
_LEEWAY: Final = 1


def code_at(secret: str, step: int) -> str:
    """The code of this step; `secret` is base32, its padding may be missing."""
    key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The step that this is the code of, if that is now or next to it."""
    here = int(now.timestamp()) // STEP
    steps = range(here - _LEEWAY, here + _LEEWAY + 1)
    return next((step for step in steps if hmac.compare_digest(code_at(secret, step).encode(), code.encode())), None)
