"""Does a name fit a pattern? Pure.

A pattern is a name in which `*` stands for any characters, none included, and `?` for one; nothing else is special,
unlike in the patterns of a shell.
"""

import re
from collections.abc import Iterable
from functools import lru_cache


def is_pattern(text: str) -> bool:
    """Whether it can stand for several names."""
    return "*" in text or "?" in text


def fits(pattern: str, name: str) -> bool:
    """Whether the whole name is as the pattern says; capitals count."""
    return _compiled(pattern).fullmatch(name) is not None


def fitting(patterns: Iterable[str], name: str) -> list[str]:
    """Those patterns that the name fits."""
    return [pattern for pattern in patterns if fits(pattern, name)]


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Each star takes as little as it can and never gives it back: so no name, however odd, takes long.
    parts = [re.escape(part).replace(r"\?", ".") for part in pattern.split("*")]
    first, *rest = parts
    if not rest:
        return re.compile(first, re.DOTALL)
    *middle, last = rest
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last, re.DOTALL)
