"""How is a world written down?

As one JSON object with the fields of World; durations in seconds, objects as text or as {"base64": "…"}.
"""

import base64
import binascii
from datetime import timedelta
from typing import Final

from agent.errors import ConfigurationError
from agent.sandbox.centers_json import identity_center_as_json, identity_center_from_json
from agent.sandbox.federation import outbound_as_json, outbound_from_json
from agent.sandbox.members import members as _fields
from agent.sandbox.pools_json import (
    identity_pool_as_json,
    identity_pool_from_json,
    user_pool_as_json,
    user_pool_from_json,
)
from agent.sandbox.trusting.as_json import relying_parties_as_json, relying_parties_from_json
from agent.sandbox.world import Provider, Role, World

_WORLD: Final = {
    "account_id": str, "partition": str, "providers": list, "roles": list, "bucket": str, "objects": dict,
    "managed_policies": dict, "relying_parties": dict, "user_pools": list, "identity_pools": list,
    "identity_center": dict, "outbound": dict,
}  # fmt: skip
_PROVIDER: Final = {"url": str, "client_ids": list, "thumbprints": list}
_ROLE: Final = {"arn": str, "trust_policy": dict, "max_session": int, "policies": list}


def world_as_json(world: World) -> dict[str, object]:
    """Write a world."""
    return {
        "account_id": world.account_id,
        "partition": world.partition,
        "providers": [
            {"url": one.url, "client_ids": list(one.client_ids), "thumbprints": list(one.thumbprints)}
            for one in world.providers
        ],
        "roles": [
            {
                "arn": one.arn,
                "trust_policy": one.trust_policy,
                "max_session": int(one.max_session.total_seconds()),
                "policies": list(one.policies),
            }
            for one in world.roles
        ],
        "bucket": world.bucket,
        "objects": {key: _object_as_json(body) for key, body in world.objects.items()},
        "managed_policies": dict(world.managed_policies),
        "relying_parties": relying_parties_as_json(world.relying_parties),
        "user_pools": [user_pool_as_json(one) for one in world.user_pools],
        "identity_pools": [identity_pool_as_json(one) for one in world.identity_pools],
        **({"outbound": outbound_as_json(world.outbound)} if world.outbound else {}),
        **({"identity_center": identity_center_as_json(world.identity_center)} if world.identity_center else {}),
    }


def world_from_json(document: object) -> World:
    """Read a world; what is left out has World's default. Raises ConfigurationError."""
    fields = _fields(document, _WORLD, "world")
    fields["providers"] = tuple(_provider(one) for one in fields.get("providers", ()))
    fields["roles"] = tuple(_role(one) for one in fields.get("roles", ()))
    fields["objects"] = {key: _object(body, key) for key, body in fields.get("objects", {}).items()}
    fields["user_pools"] = tuple(user_pool_from_json(one) for one in fields.get("user_pools", ()))
    fields["identity_pools"] = tuple(identity_pool_from_json(one) for one in fields.get("identity_pools", ()))
    if "outbound" in fields:
        fields["outbound"] = outbound_from_json(fields["outbound"])
    if "identity_center" in fields:
        fields["identity_center"] = identity_center_from_json(fields["identity_center"])
    fields["relying_parties"] = relying_parties_from_json(fields.get("relying_parties", {}))
    return World(**fields)


def _provider(document: object) -> Provider:
    fields = _fields(document, _PROVIDER, "provider", "url")
    for name in ("client_ids", "thumbprints"):
        if name in fields:
            fields[name] = tuple(map(str, fields[name]))
    return Provider(**fields)


def _role(document: object) -> Role:
    fields = _fields(document, _ROLE, "role", "arn", "trust_policy")
    if "max_session" in fields:
        # what is beyond a day is refused by Role, and may be more than a timedelta can hold
        fields["max_session"] = timedelta(seconds=max(0, min(fields["max_session"], 86_400)))
    fields["policies"] = tuple(fields.get("policies", ()))
    return Role(**fields)


def _object_as_json(body: bytes) -> object:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _object(document: object, key: str) -> bytes:
    """What an object holds. Raises ConfigurationError."""
    if isinstance(document, str):
        return document.encode()
    if isinstance(document, dict) and isinstance(encoded := document.get("base64"), str):
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error as failure:
            raise ConfigurationError(f"the object {key} is not base64", hint="encode it again") from failure
    raise ConfigurationError(f"the object {key} is neither text nor base64", hint='write "…" or {"base64": "…"}')
