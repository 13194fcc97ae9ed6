"""Are the keys there that rules for tokens of others need, as the agent would read them?"""

from collections.abc import Mapping
from typing import Any

from agent.assembly.verifying import keys_now
from agent.clock import Clock
from agent.doctor import Tried, rules
from agent.errors import AgentError
from agent.settings import Settings
from agent.settings.verifying import OWN


async def rules_link(
    settings: Settings, status: Mapping[str, Any] | AgentError, clock: Clock, *, has_key: bool
) -> Tried:
    """The link; `status` is what the running agent says of itself, and `has_key` says whether our key is good.

    Raises nothing.
    """
    found = await keys_now(settings, clock=clock)
    seen = []
    for name, words in settings.verify.items():
        if words.issuer == OWN:
            why = "" if has_key else "there is no key of ours that was seen to sign"
            seen.append(rules.Seen(name, OWN, words.taken, untried=why))
            continue
        whose = found[name]
        seen.append(rules.Seen(name, words.issuer, words.taken, whose.algorithms, whose.problem, whose.hint))
    return rules.examined(seen, None if isinstance(status, AgentError) else status)
