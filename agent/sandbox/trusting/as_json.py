"""How are those who trust an issuer written down?

As one JSON object with the fields of RelyingParties; leeways in seconds.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

from agent.sandbox.members import members
from agent.sandbox.trusting.world import (
    Application,
    FederatedCredential,
    HttpApi,
    JwtAuth,
    JwtRole,
    PoolProvider,
    RelyingParties,
    Route,
)

T = TypeVar("T")

_ALL: Final = {"apis": list, "applications": list, "providers": list, "vault": list}
_API: Final = {"api_id": str, "issuer": str, "audiences": list, "routes": list}
_ROUTE: Final = {"key": str, "scopes": list}
_APPLICATION: Final = {"tenant": str, "client_id": str, "credentials": list}
_CREDENTIAL: Final = {"name": str, "issuer": str, "subject": str, "audiences": list}
_PROVIDER: Final = {
    "project": str, "pool": str, "provider": str, "issuer": str, "allowed_audiences": list, "mapping": dict,
    "condition": str, "jwks": dict,
}  # fmt: skip
_AUTH: Final = {"issuer": str, "roles": list, "mount": str, "bound_issuer": str, "default_role": str}
_ROLE: Final = {
    "name": str, "bound_audiences": list, "bound_subject": str, "bound_claims": dict, "bound_claims_type": str,
    "user_claim": str, "token_policies": list, "expiration_leeway": int, "not_before_leeway": int,
    "clock_skew_leeway": int,
}  # fmt: skip
_LEEWAYS: Final = ("expiration_leeway", "not_before_leeway", "clock_skew_leeway")
_WEEK: Final = 7 * 86_400


def relying_parties_as_json(parties: RelyingParties) -> dict[str, object]:
    """Write all of them."""
    return {
        "apis": [
            {**_plain(one, _API), "routes": [_plain(route, _ROUTE) for route in one.routes]} for one in parties.apis
        ],
        "applications": [
            {**_plain(one, _APPLICATION), "credentials": [_plain(each, _CREDENTIAL) for each in one.credentials]}
            for one in parties.applications
        ],
        "providers": [_plain(one, _PROVIDER) for one in parties.providers],
        "vault": [
            {**_plain(one, _AUTH), "roles": [_plain(role, _ROLE) for role in one.roles]} for one in parties.vault
        ],
    }


def relying_parties_from_json(document: object) -> RelyingParties:
    """Read all of them; what is left out has its default. Raises ConfigurationError."""
    there = members(document, _ALL, "set of relying parties")
    return RelyingParties(
        tuple(_api(one) for one in there.get("apis", ())),
        tuple(_application(one) for one in there.get("applications", ())),
        tuple(_read(PoolProvider, one, _PROVIDER, "provider", "project", "pool", "provider", "issuer")
              for one in there.get("providers", ())),
        tuple(_auth(one) for one in there.get("vault", ())),
    )  # fmt: skip


def _plain(value: object, known: Mapping[str, type]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in known:
        member = getattr(value, name)
        if isinstance(member, timedelta):
            member = int(member.total_seconds())
        if member is not None:
            found[name] = list(member) if isinstance(member, tuple) else member
    return found


def _read(kind: Callable[..., T], document: object, known: Mapping[str, type], what: str, *needed: str) -> T:
    """Read a value whose lists are of texts. Raises ConfigurationError."""
    return kind(**_fields(document, known, what, *needed))


def _fields(document: object, known: Mapping[str, type], what: str, *needed: str) -> dict[str, Any]:
    there = members(document, known, what, *needed)
    for name, value in there.items():
        if isinstance(value, list) and name not in ("routes", "credentials", "roles"):
            there[name] = tuple(map(str, value))
        elif name in _LEEWAYS:
            there[name] = timedelta(seconds=max(0, min(value, _WEEK)))
    return there


def _api(document: object) -> HttpApi:
    there = _fields(document, _API, "HTTP API", "api_id", "issuer", "audiences")
    if "routes" in there:
        there["routes"] = tuple(_read(Route, one, _ROUTE, "route", "key") for one in there["routes"])
    return HttpApi(**there)


def _application(document: object) -> Application:
    there = _fields(document, _APPLICATION, "registered application", "tenant", "client_id")
    there["credentials"] = tuple(
        _read(FederatedCredential, one, _CREDENTIAL, "federated credential", "name", "issuer", "subject")
        for one in there.get("credentials", ())
    )
    return Application(**there)


def _auth(document: object) -> JwtAuth:
    there = _fields(document, _AUTH, "JWT auth method", "issuer")
    there["roles"] = tuple(_read(JwtRole, one, _ROLE, "role", "name") for one in there.get("roles", ()))
    return JwtAuth(**there)
