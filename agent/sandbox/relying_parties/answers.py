"""How is JSON answered, and a form or a JSON body read?"""

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from agent.sandbox.wire import Reply, Wire


def answer(status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON object, never to be kept."""
    told = {"Cache-Control": "no-store", **(headers or {})}
    return Reply(status, json.dumps(dict(body), separators=(",", ":")).encode(), "application/json", told)


def members(wire: Wire) -> dict[str, str]:
    """The members of a form, or of a JSON object as far as they are texts; {} if it is neither."""
    if wire.is_form:
        return dict(reversed(parse_qsl(wire.body.decode("utf-8", "replace"), keep_blank_values=True)))
    return json_members(wire)


def json_members(wire: Wire) -> dict[str, str]:
    """The members of a JSON object as far as they are texts, whatever its sender calls it; {} if it is none."""
    try:
        document = json.loads(wire.body or b"{}")
    except (ValueError, RecursionError):
        return {}
    return {name: one for name, one in document.items() if isinstance(one, str)} if isinstance(document, dict) else {}
