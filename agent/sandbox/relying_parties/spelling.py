"""How does a program in Go write a value of JSON where it makes a text of it?"""

import json
from collections.abc import Mapping


def spelt(value: object) -> str:
    """A value as a text: lists as in "[a b]", objects as in "map[a:b]"."""
    if isinstance(value, list):
        return f"[{' '.join(map(spelt, value))}]"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{name}:{spelt(value[name])}' for name in sorted(value))}]"
    if value is None:
        return "<nil>"
    return value if isinstance(value, str) else json.dumps(value)
