"""What is a configuration for, where it may have no role?

Asked of what was written, the wrong sections too: what is missing is told by it.
"""

from collections.abc import Mapping

from agent.settings.identity_center import of_people_alone
from agent.settings.token_granting import gives_tokens


def needs_roles(words: Mapping[str, object]) -> bool:
    """Whether there is nothing to do without a role: no tokens for others are asked for, and no rule for theirs."""
    return not gives_tokens(words) and not words.get("verify")


def only_verifies(words: Mapping[str, object]) -> bool:
    """Whether all that is asked for is to verify what others show: for that, nobody needs a token of ours, or STS."""
    others = words.get("roles") or "aws_callers" in words or gives_tokens(words)
    return bool(words.get("verify")) and not others


def asks_sts(words: Mapping[str, object]) -> bool:
    """Whether somebody asks STS: for a role, or who callers inside AWS are."""
    return bool(words.get("roles")) or "aws_callers" in words or needs_roles(words)


def needs_token(words: Mapping[str, object]) -> bool:
    """Whether somebody needs a token of ours, or of whoever makes ours: for a role, or for others."""
    return gives_tokens(words) or not (of_people_alone(words) or only_verifies(words))
