"""What does an independent parser make of the text of a Terraform module?"""

from typing import Any

import hcl2


def bare(value: object) -> Any:
    """What python-hcl2 says, without quotes around names and texts, and without what it says of places."""
    if isinstance(value, dict):
        return {bare(name): bare(item) for name, item in value.items() if not str(name).startswith("__")}
    if isinstance(value, list):
        return [bare(item) for item in value]
    return value.strip('"') if isinstance(value, str) else value


def blocks(text: str, kind: str) -> dict[str, Any]:
    """The blocks of a kind by their labels; those of resources are joined by dots."""
    found: dict[str, Any] = {}
    for block in bare(hcl2.loads(text))[kind]:
        for first, inner in block.items():
            found |= {f"{first}.{name}": body for name, body in inner.items()} if kind == "resource" else {first: inner}
    return found
