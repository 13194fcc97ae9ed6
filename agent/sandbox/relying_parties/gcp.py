"""What does Google Cloud's Security Token Service give for a token?

Workload identity federation: https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token, and the rules for
tokens in https://cloud.google.com/iam/docs/workload-identity-federation-with-other-providers. Texts of errors are
Google's own as far as people have shown them in public.
"""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.relying_parties.answers import answer, members
from agent.sandbox.relying_parties.jws import Malformed, Shown, signed_by, take_apart
from agent.sandbox.relying_parties.keys import TWO_HOURS, KeyCache
from agent.sandbox.sts.fetch import Unreachable
from agent.sandbox.sts.issuer import Fetches, Jwk, choose, read_key_set
from agent.sandbox.trusting.cel import Unanswered
from agent.sandbox.trusting.world import PoolProvider
from agent.sandbox.wire import Reply, Wire

_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a kind
_SUBJECT_TOKENS: Final = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")
_ALGORITHMS: Final = ("RS256", "ES256")
_LONGEST_LIFE: Final = timedelta(hours=48)
_LONGEST_SUBJECT: Final = 127
_LIFETIME: Final = timedelta(hours=1)


class Refused(Exception):
    """An error answer of OAuth 2.0."""

    def __init__(self, error: str, description: str) -> None:
        """Refuse by this error code of RFC 6749, section 5.2, or RFC 8693, section 2.2.2."""
        super().__init__(description)
        self.error = error


@dataclass(frozen=True, slots=True)
class _Given:
    principal: str
    expires_at: datetime


class GoogleSts:
    """`/gcp/v1/token` is `https://sts.googleapis.com/v1/token`; `/gcp/v1/introspect` says whose a token is."""

    def __init__(self, cloud: Cloud, fetcher: Fetches) -> None:
        self._cloud = cloud
        self._keys = KeyCache(fetcher, cloud.clock, kept=TWO_HOURS, refetches=False)
        self._given: dict[str, _Given] = {}

    async def answer(self, path: str, wire: Wire) -> Reply:
        """Answer a request."""
        if wire.method != "POST" or path not in ("/v1/token", "/v1/introspect"):
            return answer(404, {"error": "not_found"})
        told = members(wire)
        if path == "/v1/introspect":
            return answer(200, self._introspect(told.get("token", "")))
        try:
            return answer(200, await self._exchange(told))
        except Refused as refused:
            return answer(400, {"error": refused.error, "error_description": str(refused)})

    async def _exchange(self, asked: dict[str, str]) -> dict[str, object]:
        """Give an access token. Raises Refused."""
        asked = {_snake(name): value for name, value in asked.items()}
        if asked.get("grant_type") != _EXCHANGE:
            raise Refused("unsupported_grant_type", 'Invalid value for "grant_type".')
        if asked.get("requested_token_type") != _ACCESS_TOKEN:
            raise Refused("invalid_request", 'Invalid value for "requested_token_type".')
        if asked.get("subject_token_type") not in _SUBJECT_TOKENS:
            raise Refused("invalid_request", 'Invalid value for "subject_token_type".')
        if not asked.get("scope"):
            raise Refused("invalid_scope", "Missing required parameter: scope")
        principal = await self._identify(self._provider(asked.get("audience", "")), asked.get("subject_token", ""))
        value = "ya29.d." + base64.urlsafe_b64encode(self._cloud.rng.randbytes(96)).decode()
        now = self._cloud.now()
        self._given = {token: one for token, one in self._given.items() if one.expires_at > now}
        self._given[value] = _Given(principal, now + _LIFETIME)
        seconds = int(_LIFETIME.total_seconds()) - 1
        return {
            "access_token": value,
            "issued_token_type": _ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": seconds,
        }

    def _introspect(self, token: str) -> dict[str, object]:
        """What is known of an access token, as https://sts.googleapis.com/v1/introspect tells it."""
        given = self._given.get(token)
        if given is None or given.expires_at <= self._cloud.now():
            return {"active": False}
        return {
            "active": True,
            "exp": int(given.expires_at.timestamp()),
            "iss": "https://sts.googleapis.com/",
            "username": given.principal,
        }

    def _provider(self, audience: str) -> PoolProvider:
        if not (audience.startswith("//iam.googleapis.com/projects/") and "/providers/" in audience):
            raise Refused(
                "invalid_request",
                'Invalid value for "audience". This value should be the full resource name of the Identity Provider.',
            )
        for provider in self._cloud.world.relying_parties.providers:
            if provider.name == audience:
                return provider
        raise Refused(
            "invalid_target",
            'The target service indicated by the "audience" parameters is invalid. This might either be because the '
            "pool or provider is disabled or deleted or because it doesn't exist.",
        )

    async def _identify(self, provider: PoolProvider, token: str) -> str:
        """The principal that a token stands for. Raises Refused."""
        try:
            shown = take_apart(token)
            if shown.algorithm not in _ALGORITHMS:
                raise Refused("invalid_grant", f"The algorithm {shown.algorithm} of the ID Token is not supported.")
            if not shown.kid:
                raise Refused("invalid_grant", "The ID Token has no kid in its header.")
            if shown.text("iss") != provider.issuer:
                said = f"The issuer in ID Token {shown.text('iss')} does not match the expected ones: "
                raise Refused("invalid_grant", f"{said}[{provider.issuer}].")
            if not signed_by(shown, await self._keys_of(provider, shown.kid)):
                raise Refused("invalid_grant", "The signature of the ID Token could not be verified.")
            _check_times(shown, int(self._cloud.now().timestamp()))
        except Malformed as malformed:
            raise Refused("invalid_grant", "Unable to parse the ID Token.") from malformed
        if not set(shown.audiences) & set(provider.audiences):
            said = f"The audience in ID Token {list(shown.audiences)} does not match the expected audience"
            raise Refused("invalid_grant", f"{said} {provider.audiences[0]}.")
        return f"principal:{provider.name.partition('/providers/')[0]}/subject/{_subject(provider, shown)}"

    async def _keys_of(self, provider: PoolProvider, kid: str) -> tuple[Jwk, ...]:
        try:
            if provider.jwks is not None:
                return choose(read_key_set(provider.jwks, provider.name), kid)
            return await self._keys.keys(provider.issuer, kid)
        except Unreachable as unreachable:
            raise Refused("invalid_grant", "Error connecting to the given credential's issuer.") from unreachable


def _check_times(shown: Shown, now: int) -> None:
    """Raises Refused or Malformed."""
    issued, expires = shown.moment("iat"), shown.moment("exp")
    if issued is None or expires is None:
        raise Refused("invalid_grant", "The ID Token has no iat or no exp.")
    if issued > now:
        raise Refused("invalid_grant", f"ID Token issued at {issued} is in the future.")
    if expires <= now:
        raise Refused("invalid_grant", f"ID Token issued at {issued} is stale to sign-in.")
    if expires - issued >= _LONGEST_LIFE.total_seconds():
        raise Refused("invalid_grant", "The lifetime of the ID Token exceeds 48 hours.")


def _subject(provider: PoolProvider, shown: Shown) -> str:
    """What google.subject is mapped to, once the condition holds. Raises Refused."""
    if not shown.text("sub"):
        raise Refused("invalid_grant", "The ID Token has no sub.")
    mapped: dict[str, object] = {}
    for name, expression in provider.expressions.items():
        try:
            mapped[name] = expression({"assertion": shown.claims})
        except Unanswered as unanswered:
            raise Refused("invalid_grant", f"The attribute mapping of {name} failed: {unanswered}.") from unanswered
    subject = mapped["google.subject"]
    if not isinstance(subject, str) or not subject:
        raise Refused("invalid_grant", "The mapped attribute google.subject is no text.")
    if len(subject.encode()) > _LONGEST_SUBJECT:
        raise Refused(
            "invalid_grant",
            "The size of mapped attribute google.subject exceeds the 127 bytes limit. Either modify your attribute "
            "mapping or the incoming assertion to produce a mapped attribute that is less than 127 bytes.",
        )
    if provider.demand is not None:
        ours: dict[str, dict[str, object]] = {"google": {}, "attribute": {}}
        for name, value in mapped.items():
            kind, _, own = name.partition(".")
            ours[kind][own] = value
        try:
            holds = provider.demand({"assertion": shown.claims, **ours}) is True
        except Unanswered:
            holds = False
        if not holds:
            raise Refused("unauthorized_client", "The given credential is rejected by the attribute condition.")
    return subject


def _snake(name: str) -> str:
    """JSON may have grantType for grant_type."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
