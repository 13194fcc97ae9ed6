"""What does the JWT auth method of Vault or OpenBao give for a token?

The rules, and their order, are those of the plugin vault-plugin-auth-jwt and its library cap; a real Vault is asked
beside this one in tests/live/vault. Its keys are those of go-oidc: kept until a token comes that none of them signed.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.relying_parties.answers import answer, json_members
from agent.sandbox.relying_parties.jws import Malformed, Shown, signed_by, take_apart
from agent.sandbox.relying_parties.keys import KeyCache
from agent.sandbox.relying_parties.spelling import spelt
from agent.sandbox.sts.fetch import Unreachable
from agent.sandbox.sts.issuer import Fetches
from agent.sandbox.trusting.world import JwtAuth, JwtRole
from agent.sandbox.wire import Reply, Wire

_ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
)  # fmt: skip
_LIFETIME: Final = timedelta(days=32)
#: What Go calls the kinds of JSON values. What is true is a number in Python, too, so it comes first.
_KINDS: Final[Mapping[type, str]] = {
    bool: "bool", int: "number", float: "number", list: "array", dict: "object",
}  # fmt: skip


class Refused(Exception):
    """An error of a login, in Vault's words."""


@dataclass(frozen=True, slots=True)
class _Given:
    display_name: str
    policies: tuple[str, ...]
    role: str
    expires_at: datetime


class Vault:
    """`/vault/v1/…` is `https://vault.example.com/v1/…`: logins, and what a token from here is."""

    def __init__(self, cloud: Cloud, fetcher: Fetches) -> None:
        self._cloud = cloud
        self._keys = KeyCache(fetcher, cloud.clock, kept=None, refetches=True)
        self._given: dict[str, _Given] = {}

    async def answer(self, path: str, wire: Wire, request_id: str) -> Reply:
        """Answer a request."""
        if path == "/v1/auth/token/lookup-self" and wire.method == "GET":
            return self._look_up(wire.headers.get("x-vault-token", ""), request_id)
        auth = self._method(path.removeprefix("/v1/auth/").removesuffix("/login"))
        if auth is None or not path.endswith("/login"):
            return _refusal(403, "permission denied")
        if wire.method not in ("POST", "PUT"):
            return _refusal(405, "unsupported operation")
        asked = json_members(wire)  # as Vault reads it: also what curl, for one, calls a form
        try:
            role = _role(auth, asked)
            shown = await self.identify(auth, role, asked)
        except Refused as refused:
            return _refusal(400, str(refused))
        return answer(200, _envelope(request_id, auth=self._give(auth, role, shown)))

    async def identify(self, auth: JwtAuth, role: JwtRole, asked: Mapping[str, str]) -> Shown:
        """The token that is shown, if a role believes it. Raises Refused."""
        if not asked.get("jwt"):
            raise Refused("missing token")
        try:
            shown = take_apart(asked["jwt"])
            await self._check_signature(auth, shown)
            _check_shape(shown.claims)
            if auth.bound_issuer and shown.text("iss") != auth.bound_issuer:
                raise Refused("error validating token: invalid issuer (iss) claim")
            if role.bound_subject and shown.text("sub") != role.bound_subject:
                raise Refused("error validating token: invalid subject (sub) claim")
            if role.bound_audiences and not set(shown.audiences) & set(role.bound_audiences):
                why = "audience claim does not match any expected audience"
                raise Refused(f"error validating token: invalid audience (aud) claim: {why}")
            _check_times(shown, role, self._cloud.now().timestamp())
        except Malformed as malformed:
            raise Refused(f"error validating token: error verifying token signature: {malformed}") from malformed
        if not role.bound_audiences and any(shown.audiences):
            raise Refused("audience claim found in JWT but no audiences bound to the role")
        if shown.claims.get(role.user_claim) is None:
            raise Refused(f'claim "{role.user_claim}" not found in token')
        if not isinstance(shown.claims[role.user_claim], str):
            raise Refused(f'claim "{role.user_claim}" could not be converted to string')
        _check_claims(shown.claims, role)
        return shown

    async def _check_signature(self, auth: JwtAuth, shown: Shown) -> None:
        what = "error validating token: error verifying token signature"
        if shown.algorithm not in _ALGORITHMS:
            raise Refused(f"{what}: no known key successfully validated the token signature")
        try:
            if signed_by(shown, await self._keys.keys(auth.issuer, shown.kid)):
                return
            self._keys.forget(auth.issuer)  # what none of the known keys has signed may be signed by another
            if signed_by(shown, await self._keys.keys(auth.issuer, shown.kid)):
                return
        except Unreachable as unreachable:
            raise Refused(f"{what}: fetching keys {unreachable}") from unreachable
        raise Refused(f"{what}: failed to verify id token signature")

    def _method(self, mount: str) -> JwtAuth | None:
        return next((one for one in self._cloud.world.relying_parties.vault if one.mount == mount), None)

    def _give(self, auth: JwtAuth, role: JwtRole, shown: Shown) -> dict[str, object]:
        """A token of Vault's own."""
        value = "hvs." + base64.urlsafe_b64encode(self._cloud.rng.randbytes(69)).decode()
        user, now = shown.text(role.user_claim), self._cloud.now()
        policies = tuple(sorted({"default", *role.token_policies}))
        self._given = {token: one for token, one in self._given.items() if one.expires_at > now}
        self._given[value] = _Given(f"{auth.mount}-{user}", policies, role.name, now + _LIFETIME)
        return {
            "client_token": value,
            "accessor": base64.urlsafe_b64encode(self._cloud.rng.randbytes(18)).decode(),
            "policies": list(policies),
            "token_policies": list(policies),
            "metadata": {"role": role.name},
            "lease_duration": int(_LIFETIME.total_seconds()),
            "renewable": True,
            "entity_id": "",
            "token_type": "service",
            "orphan": True,
        }

    def _look_up(self, token: str, request_id: str) -> Reply:
        given = self._given.get(token)
        if given is None or given.expires_at <= self._cloud.now():
            return _refusal(403, "permission denied")
        data = {
            "display_name": given.display_name,
            "policies": list(given.policies),
            "meta": {"role": given.role},
            "ttl": int((given.expires_at - self._cloud.now()).total_seconds()),
        }
        return answer(200, _envelope(request_id, data=data))


def _role(auth: JwtAuth, asked: Mapping[str, str]) -> JwtRole:
    """The role that is asked for. Raises Refused."""
    name = asked.get("role") or auth.default_role
    if not name:
        raise Refused("missing role")
    for role in auth.roles:
        if role.name == name:
            return role
    raise Refused(f'role "{name}" could not be found')


def _check_shape(claims: Mapping[str, object]) -> None:
    """The registered claims that are texts are texts, or are not there. Raises Refused."""
    for name in ("iss", "sub", "jti"):
        if not isinstance(value := claims.get(name), str | None):
            kind = next(said for one, said in _KINDS.items() if isinstance(value, one))
            why = f"json: cannot unmarshal {kind} into Go struct field Claims.{name} of type string"
            raise Refused(f"error validating token: {why}")


def _check_times(shown: Shown, role: JwtRole, now: float) -> None:
    """At least one of the three times is there; each that is not is made up from the others. Raises Refused."""
    issued, begins, expires = (shown.moment(name) or 0 for name in ("iat", "nbf", "exp"))
    what = "error validating token:"
    if not issued and not begins and not expires:
        raise Refused(f"{what} no issued at (iat), not before (nbf), or expiration time (exp) claims in token")
    if not expires:
        expires = max(issued, begins) + int(role.expiration_leeway.total_seconds())
    if not begins:
        begins = issued or expires - int(role.not_before_leeway.total_seconds())
    skew = role.clock_skew_leeway.total_seconds()
    if now + skew < begins:
        raise Refused(f"{what} invalid not before (nbf) claim: token not yet valid")
    if now - skew > expires:
        raise Refused(f"{what} invalid expiration time (exp) claim: token is expired")
    if now + skew < issued:
        raise Refused(f"{what} invalid issued at (iat) claim: token issued in the future")


def _check_claims(claims: Mapping[str, object], role: JwtRole) -> None:
    """Every bound claim has one of its values, or fits one of its globs. Raises Refused."""
    for name, bound in role.bound_claims.items():
        value = _claim(claims, name)
        if value is None:
            raise Refused(f'error validating claims: claim "{name}" is missing')
        if isinstance(value, Mapping):
            why = f"received claim is not a string, bool, int or list: {spelt(value)}"
            raise Refused(f"error validating claims: {why}")
        shown, wanted = _listed(value), _listed(bound)
        if not any(_fits(one, other, role.bound_claims_type) for one in wanted for other in shown):
            why = f'claim "{name}" does not match any associated bound claim values'
            raise Refused(f"error validating claims: {why}")


def _claim(claims: Mapping[str, object], name: str) -> object:
    """A claim by its name, or by a JSON pointer (RFC 6901) that begins with a slash."""
    if not name.startswith("/"):
        return claims.get(name)
    found: object = claims
    for part in name[1:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else [value]


def _fits(bound: object, shown: object, how: str) -> bool:
    if how == "string":
        return bound == shown and isinstance(bound, bool) == isinstance(shown, bool)
    if not isinstance(bound, str) or not isinstance(shown, str):
        return False
    return fnmatchcase(shown, bound.replace("[", "[[]").replace("?", "[?]"))  # * alone means something


def _envelope(request_id: str, *, data: object = None, auth: object = None) -> dict[str, object]:
    empty = {"lease_id": "", "renewable": False, "lease_duration": 0}
    return {"request_id": request_id, **empty, "data": data, "wrap_info": None, "warnings": None, "auth": auth}


def _refusal(status: int, error: str) -> Reply:
    return answer(status, {"errors": [error]})
