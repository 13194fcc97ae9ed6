"""What narrows a session?

The inline policy and the managed policies that a caller hands to STS, and how much room they and the tags take.
"""

import json
import math
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from agent.sandbox.policies.policy import Kind, Malformed, Policy, read_policy
from agent.sandbox.refusals import Refusal, malformed_policy, validation
from agent.sandbox.world import World

_MOST_PLAIN: Final = 2048
#: AWS packs policies and tags in a binary form it does not publish. Deflate with this much room comes near the two
#: sizes that users have reported: 42 actions in 1690 characters take 157 %, 31 actions about 118 %.
_ROOM: Final = 490


def inline_policy(text: str) -> Policy:
    """Read the caller's JSON. Raises Refusal: MalformedPolicyDocument."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise malformed_policy("Syntax errors in policy.") from failure
    try:
        return read_policy(document, Kind.IDENTITY)
    except Malformed as malformed:
        raise malformed_policy(str(malformed)) from malformed


def managed_policies(arns: Iterable[str], world: World) -> tuple[Policy, ...]:
    """Look up the managed policies. Raises Refusal (the text for one that is not there is IAM's)."""
    found = []
    for arn in arns:
        account = arn.split(":")[4] if arn.count(":") >= 5 else ""
        if account not in ("aws", world.account_id) or arn not in world.managed_policies:
            raise validation(f"Policy {arn} does not exist or is not attachable.")
        found.append(read_policy(world.managed_policies[arn], Kind.IDENTITY))
    return tuple(found)


def packed_size(policy: str | None, arns: tuple[str, ...], tags: Mapping[str, str]) -> int | None:
    """How many per cent of the room for policies and tags are taken; None if there are none. Raises Refusal."""
    if policy is None and not arns and not tags:
        return None
    if len(policy or "") + sum(map(len, arns)) > _MOST_PLAIN:
        raise Refusal("PackedPolicyTooLarge", "Packed policy consumes more than 100% of allotted space")
    text = (policy or "") + "".join(arns) + "".join(f"{key}={value}" for key, value in tags.items())
    percent = max(1, math.ceil(100 * len(zlib.compress(text.encode(), 9, wbits=-15)) / _ROOM))
    if percent > 100:
        raise Refusal("PackedPolicyTooLarge", f"Packed policy consumes {percent}% of allotted space")
    return percent
