"""How does `credential_process` get credentials from the running agent?"""

import json
from typing import Any

from agent.errors import AgentUnreachable

_FROM_ECS = {
    "AccessKeyId": "AccessKeyId",
    "SecretAccessKey": "SecretAccessKey",
    "SessionToken": "Token",
    "Expiration": "Expiration",
    "AccountId": "AccountId",
}


def from_ecs(body: bytes) -> bytes:
    """The `credential_process` document of what the credentials listener answered with a 200.

    `Version` is the number 1 (AWS SDK reference guide).
    Raises AgentUnreachable if that is not what our listener answers: an SDK must never get half a set.
    """
    try:
        answered: Any = json.loads(body)
    except ValueError:  # UnicodeDecodeError is one; not chained, since the message quotes what it could not read
        answered = None
    members = {name: answered.get(theirs) for name, theirs in _FROM_ECS.items()} if isinstance(answered, dict) else {}
    if not members or not all(isinstance(value, str) and value for value in members.values()):
        raise AgentUnreachable(
            "something else than the agent answered, or not with credentials",
            hint="compare the address under [listen] with that of the running agent",
        ) from None
    return json.dumps({"Version": 1, **members}, separators=(",", ":")).encode("ascii")
