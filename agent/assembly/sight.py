"""What can the kernel of this machine tell of callers?"""

from agent.callers.kernel import Sight, Wanting, probe

__all__ = ["Sight", "Wanting", "sight"]


def sight() -> Sight:
    """Try it, as this process; takes some milliseconds. The agent, under its unit's restrictions, may see less."""
    return probe()
