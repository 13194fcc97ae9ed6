"""How long is "30s" on a command line?"""

import argparse

from agent.settings.mistakes import Wrong
from agent.settings.spelling import parse_duration


def seconds(text: str) -> float:
    """Read a duration as the configuration spells them; for argparse, so it raises ArgumentTypeError."""
    try:
        return parse_duration(text).total_seconds()
    except Wrong as wrong:
        raise argparse.ArgumentTypeError("; ".join(said for _, said in wrong.parts)) from None
