"""What have others been told about an issuer?

An API of API Gateway, a provider of Google Cloud, an application of Entra ID, an auth method of Vault: frozen values,
parts of a world. What their makers would not have let anybody set up is refused here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from agent.errors import ConfigurationError
from agent.sandbox.trusting.cel import Expression, Unclear, read_expression

_ROUTE: Final = re.compile(r"\$default|(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|ANY) /\S*")
_MOST_CREDENTIALS: Final = 20
_LONGEST: Final = 600
_GCP_ID: Final = re.compile(r"[a-z0-9-]{4,32}")
_MAPPED: Final = re.compile(r"google\.(subject|groups)|attribute\.[a-z0-9_]{1,100}")


@dataclass(frozen=True, slots=True)
class Route:
    """A route of an API: `key` as in "GET /orders", "ANY /{proxy+}" or "$default"; a token needs one of `scopes`."""

    key: str
    scopes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a key that CreateRoute refuses. Raises ConfigurationError."""
        if not _ROUTE.fullmatch(self.key):
            raise _wrong(f"API Gateway takes no route {self.key!r}", 'write it as in "GET /orders", or "$default"')


@dataclass(frozen=True, slots=True)
class HttpApi:
    """An HTTP API of API Gateway, all of whose routes one JWT authorizer guards.

    Attributes:
        api_id: as in its URL.
        issuer: what `iss` must be, and where keys are looked up.
        audiences: of which `aud`, or else `client_id`, has to be one.
    """

    api_id: str
    issuer: str
    audiences: tuple[str, ...]
    routes: tuple[Route, ...] = (Route("$default"),)

    def __post_init__(self) -> None:
        """Refuse what CreateAuthorizer refuses. Raises ConfigurationError."""
        _check_issuer(self.issuer, f"the API {self.api_id}")
        if not self.audiences or not all(self.audiences):
            raise _wrong(f"the authorizer of the API {self.api_id} has no audience", "give at least one")


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """What an application of Entra ID believes: one issuer, one subject, one audience, each to the letter."""

    name: str
    issuer: str
    subject: str
    audiences: tuple[str, ...] = ("api://AzureADTokenExchange",)

    def __post_init__(self) -> None:
        """Refuse what Microsoft Graph refuses. Raises ConfigurationError."""
        if len(self.audiences) != 1:
            raise _wrong(
                f"the federated credential {self.name} has {len(self.audiences)} audiences", "it takes just one"
            )
        for what, text in (("issuer", self.issuer), ("subject", self.subject), ("audience", self.audiences[0])):
            if not 1 <= len(text) <= _LONGEST:
                raise _wrong(
                    f"the {what} of the federated credential {self.name} has {len(text)} characters",
                    f"it takes 1 to {_LONGEST}",
                )


@dataclass(frozen=True, slots=True)
class Application:
    """An application of Entra ID: `tenant` is the id of the directory it is registered in."""

    tenant: str
    client_id: str
    credentials: tuple[FederatedCredential, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what Microsoft Graph refuses. Raises ConfigurationError."""
        if len(self.credentials) > _MOST_CREDENTIALS:
            raise _wrong(
                f"the application {self.client_id} has {len(self.credentials)} federated credentials",
                f"it takes at most {_MOST_CREDENTIALS}",
            )
        for what, names in (
            ("name", [one.name for one in self.credentials]),
            ("issuer and subject", [(one.issuer, one.subject) for one in self.credentials]),
        ):
            if len(set(names)) != len(names):
                raise _wrong(f"two federated credentials of {self.client_id} have the same {what}", "remove one")


@dataclass(frozen=True, slots=True)
class PoolProvider:
    """An OIDC provider of a workload identity pool of Google Cloud.

    Attributes:
        project: the number of the project, not its id.
        pool, provider: their ids.
        allowed_audiences: empty for the provider's own name, with `//` or `https://` before it.
        mapping: attribute to CEL expression; google.subject has to be among them.
        condition: a CEL expression that must be true; "" for none.
        jwks: an uploaded key set, in place of the issuer's own; None looks it up.
    """

    project: str
    pool: str
    provider: str
    issuer: str
    allowed_audiences: tuple[str, ...] = ()
    mapping: Mapping[str, str] = field(default_factory=lambda: {"google.subject": "assertion.sub"})
    condition: str = ""
    jwks: Mapping[str, object] | None = None
    expressions: Mapping[str, Expression] = field(init=False, repr=False, compare=False)
    demand: Expression | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what the IAM API of Google Cloud refuses. Raises ConfigurationError."""
        _check_issuer(self.issuer, f"the provider {self.name}")
        if not self.project.isdecimal():
            raise _wrong(f"{self.project!r} is not the number of a project", "it has digits alone; it is not the id")
        for one in (self.pool, self.provider):
            if not _GCP_ID.fullmatch(one) or one.startswith("gcp-"):
                raise _wrong(f"Google Cloud takes no pool or provider {one!r}", "use 4 to 32 of a-z, 0-9 and -")
        if len(self.allowed_audiences) > 10 or not all(0 < len(one) <= 256 for one in self.allowed_audiences):
            raise _wrong(f"the audiences of the provider {self.name} are too many or too long", "10 of 256 characters")
        if "google.subject" not in self.mapping or not all(_MAPPED.fullmatch(one) for one in self.mapping):
            raise _wrong(f"the attribute mapping of the provider {self.name} is wrong", "map google.subject")
        for key in _keys_of(self.jwks):
            if taken := sorted({"x5c", "x5t"} & key.keys()):
                raise _wrong(f"the key set uploaded for {self.name} has {taken[0]}", "leave certificates out")
        try:
            expressions = {name: read_expression(text) for name, text in self.mapping.items()}
            object.__setattr__(self, "expressions", expressions)
            object.__setattr__(self, "demand", read_expression(self.condition) if self.condition else None)
        except Unclear as unclear:
            raise _wrong(f"an expression of the provider {self.name} is wrong: {unclear}", "correct it") from unclear

    @property
    def name(self) -> str:
        """Its full resource name, which tokens are exchanged under."""
        return f"//iam.googleapis.com/{self.pool_name}/providers/{self.provider}"

    @property
    def pool_name(self) -> str:
        """The name of its pool, without the service."""
        return f"projects/{self.project}/locations/global/workloadIdentityPools/{self.pool}"

    @property
    def audiences(self) -> tuple[str, ...]:
        """What a token may be meant for."""
        return self.allowed_audiences or (self.name, f"https:{self.name}")


@dataclass(frozen=True, slots=True)
class JwtRole:
    """A role of Vault's JWT auth method, of role_type "jwt"; an empty bound is none."""

    name: str
    bound_audiences: tuple[str, ...] = ()
    bound_subject: str = ""
    bound_claims: Mapping[str, object] = field(default_factory=dict)
    bound_claims_type: str = "string"
    user_claim: str = "sub"
    token_policies: tuple[str, ...] = ()
    expiration_leeway: timedelta = timedelta(seconds=150)
    not_before_leeway: timedelta = timedelta(seconds=150)
    clock_skew_leeway: timedelta = timedelta(seconds=60)

    def __post_init__(self) -> None:
        """Refuse what Vault refuses. Raises ConfigurationError."""
        if self.bound_claims_type not in ("string", "glob"):
            raise _wrong(f"invalid 'bound_claims_type': {self.bound_claims_type}", "it is string or glob")
        if not self.user_claim:
            raise _wrong("a user claim must be defined on the role", "name one, such as sub")
        if not (self.bound_audiences or self.bound_subject or self.bound_claims):
            raise _wrong("must have at least one bound constraint when creating/updating a role", "bind it")


@dataclass(frozen=True, slots=True)
class JwtAuth:
    """A JWT auth method of Vault: where it is mounted, and whom it believes."""

    issuer: str
    roles: tuple[JwtRole, ...] = ()
    mount: str = "jwt"
    bound_issuer: str = ""
    default_role: str = ""

    def __post_init__(self) -> None:
        """Refuse an issuer that is none. Raises ConfigurationError."""
        _check_issuer(self.issuer, f"the auth method {self.mount}")


@dataclass(frozen=True, slots=True)
class RelyingParties:
    """All those who believe tokens, beside AWS STS."""

    apis: tuple[HttpApi, ...] = ()
    applications: tuple[Application, ...] = ()
    providers: tuple[PoolProvider, ...] = ()
    vault: tuple[JwtAuth, ...] = ()

    def __post_init__(self) -> None:
        """Refuse two of one name. Raises ConfigurationError."""
        for what, names in (
            ("API", [one.api_id for one in self.apis]),
            ("application", [one.client_id for one in self.applications]),
            ("provider", [one.name for one in self.providers]),
            ("auth method", [one.mount for one in self.vault]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise _wrong(f"the {what} {twice[0]} exists twice", "remove one of the two")


def _keys_of(jwks: Mapping[str, object] | None) -> Sequence[Mapping[str, object]]:
    keys = (jwks or {}).get("keys", [])
    return [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def _check_issuer(issuer: str, whose: str) -> None:
    if not issuer.startswith("https://"):
        raise _wrong(f"{issuer!r} is no issuer for {whose}", "its URL begins with https://")


def _wrong(what: str, hint: str) -> ConfigurationError:
    return ConfigurationError(what, hint=hint)
