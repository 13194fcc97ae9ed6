"""What does a JWT authorizer of API Gateway let through to an HTTP API?

After https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html. The words of
www-authenticate are AWS's own for the audience; the others are guesses, and only the status can be relied on.
"""

import re
from typing import Final
from urllib.parse import unquote

from agent.sandbox.cloud import Cloud
from agent.sandbox.relying_parties.answers import answer
from agent.sandbox.relying_parties.jws import Malformed, Shown, signed_by, take_apart
from agent.sandbox.relying_parties.keys import TWO_HOURS, KeyCache
from agent.sandbox.relying_parties.spelling import spelt
from agent.sandbox.sts.fetch import Unreachable
from agent.sandbox.sts.issuer import Fetches
from agent.sandbox.trusting.world import HttpApi, Route
from agent.sandbox.wire import Reply, Wire

_ALGORITHMS: Final = ("RS256", "RS384", "RS512")


class Unauthorized(Exception):
    """No token, or none that is any good; says why."""


class Forbidden(Exception):
    """The token has none of the route's scopes."""


class ApiGateway:
    """HTTP APIs behind JWT authorizers: `/apis/{api id}/…` is `https://{api id}.execute-api.…/…`.

    Keys are kept for two hours, and an unknown `kid` does not have them fetched again.
    """

    def __init__(self, cloud: Cloud, fetcher: Fetches) -> None:
        self._cloud = cloud
        self._keys = KeyCache(fetcher, cloud.clock, kept=TWO_HOURS, refetches=False)

    async def answer(self, api: HttpApi, path: str, wire: Wire, request_id: str) -> Reply:
        """Answer a call of an API with what a Lambda behind it would have been told of the caller."""
        route = _route(api, wire.method, path)
        headers = {"apigw-requestid": request_id}
        if route is None:
            return answer(404, {"message": "Not Found"}, headers)
        try:
            shown = await self.authorize(api, route, wire.headers.get("authorization", ""))
        except Forbidden as why:
            challenge = f'Bearer scope="{" ".join(route.scopes)}" error="insufficient_scope" error_description="{why}"'
            return answer(403, {"message": "Forbidden"}, headers | {"www-authenticate": challenge})
        except Unauthorized as why:
            told = (
                f' scope="{" ".join(route.scopes)}" error="invalid_token" error_description="{why}"' if why.args else ""
            )
            return answer(401, {"message": "Unauthorized"}, headers | {"www-authenticate": f"Bearer{told}"})
        claims = {name: spelt(value) for name, value in shown.claims.items()}
        jwt = {"claims": claims, "scopes": list(route.scopes) or None}
        asked = {"method": wire.method, "path": path}
        context = {"authorizer": {"jwt": jwt}, "http": asked, "requestId": request_id, "routeKey": route.key}
        return answer(200, {"version": "2.0", "routeKey": route.key, "requestContext": context}, headers)

    async def authorize(self, api: HttpApi, route: Route, authorization: str) -> Shown:
        """The token, if the authorizer lets it through. Raises Unauthorized or Forbidden."""
        bare = authorization.strip()
        bare = bare[7:].strip() if bare[:7].lower() == "bearer " else bare
        if not bare:
            raise Unauthorized
        try:
            shown = take_apart(bare)
            if shown.algorithm not in _ALGORITHMS:
                raise Unauthorized(f"signing method {shown.algorithm} is invalid")
            if not shown.kid:
                raise Unauthorized("the token does not name its key")
            if shown.text("iss") != api.issuer:
                raise Unauthorized("the token does not have a valid issuer")
            await self._check_signature(api, shown)
            _check_times(shown, int(self._cloud.now().timestamp()))
        except Malformed as malformed:
            raise Unauthorized("the token is malformed") from malformed
        audiences = shown.audiences if "aud" in shown.claims else (shown.text("client_id"),)
        if not set(audiences) & set(api.audiences):
            raise Unauthorized("the token does not have a valid audience")
        if route.scopes and not scopes(shown) & set(route.scopes):
            raise Forbidden("the token does not have a valid scope")
        return shown

    async def _check_signature(self, api: HttpApi, shown: Shown) -> None:
        try:
            keys = await self._keys.keys(api.issuer, shown.kid)
        except Unreachable as unreachable:
            raise Unauthorized("OIDC discovery endpoint communication error") from unreachable
        if not keys:
            raise Unauthorized("unable to find the key of the token")
        if not signed_by(shown, keys):
            raise Unauthorized("the token has an invalid signature")


def _check_times(shown: Shown, now: int) -> None:
    """No leeway is documented, so there is none here. Raises Unauthorized or Malformed."""
    expires, issued, begins = shown.moment("exp"), shown.moment("iat"), shown.moment("nbf")
    if expires is None or expires <= now:
        raise Unauthorized("the token has expired")
    if issued is not None and issued >= now:
        raise Unauthorized("the token was used before it was issued")
    if begins is not None and begins >= now:
        raise Unauthorized("the token is not valid yet")


def scopes(shown: Shown) -> set[str]:
    """What `scope` or `scp` grants: words of a text, or members of a list."""
    granted = shown.claims.get("scope", shown.claims.get("scp"))
    if isinstance(granted, str):
        return set(granted.split())
    return {one for one in granted if isinstance(one, str)} if isinstance(granted, list) else set()


def _route(api: HttpApi, method: str, path: str) -> Route | None:
    """The most particular route: one that says the whole path, then one with a {name}, one with {proxy+}, $default."""
    found = [route for route in api.routes if _fits(route.key, method, path)]
    return min(found, key=lambda route: _looseness(route.key), default=None)


def _fits(key: str, method: str, path: str) -> bool:
    if key == "$default":
        return True
    verb, _, template = key.partition(" ")
    parts = re.split(r"(\{[^{}]+\})", template)
    pattern = "".join(
        (".+" if part.endswith("+}") else "[^/]+") if part[:1] == "{" else re.escape(part) for part in parts
    )
    return verb in (method, "ANY") and re.fullmatch(pattern, unquote(path)) is not None


def _looseness(key: str) -> tuple[int, int]:
    kind = 3 if key == "$default" else 2 if "+}" in key else 1 if "{" in key else 0
    return kind, int(key.startswith("ANY "))
