"""What their makers would not have let anybody set up is refused."""

from collections.abc import Callable

import pytest

from agent.errors import ConfigurationError
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

ISSUER = "https://oidc.example.com"


def provider(**changed: object) -> PoolProvider:
    whole = {"project": "123", "pool": "pool", "provider": "prov", "issuer": ISSUER, **changed}
    return PoolProvider(**whole)  # type: ignore[arg-type]  # as the test has it


def credential(name: str = "a", subject: str = "s", **changed: object) -> FederatedCredential:
    return FederatedCredential(**{"name": name, "issuer": ISSUER, "subject": subject, **changed})  # type: ignore[arg-type]  # so, too


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: Route("/orders"), "API Gateway takes no route '/orders'"),
        (lambda: HttpApi("a", "http://oidc.example.com", ("x",)), "is no issuer"),
        (lambda: HttpApi("a", ISSUER, ()), "has no audience"),
        (lambda: credential(audiences=("a", "b")), "has 2 audiences"),
        (lambda: credential(subject="s" * 601), "the subject of the federated credential a has 601 characters"),
        (lambda: credential(issuer=""), "has 0 characters"),
        (
            lambda: Application("t", "c", tuple(credential(str(n), str(n)) for n in range(21))),
            "has 21 federated credentials",
        ),
        (lambda: Application("t", "c", (credential("a"), credential("b"))), "the same issuer and subject"),
        (lambda: Application("t", "c", (credential("a"), credential("a", "other"))), "the same name"),
        (lambda: provider(project="my-project"), "is not the number of a project"),
        (lambda: provider(pool="x"), "takes no pool or provider 'x'"),
        (lambda: provider(pool="gcp-pool"), "takes no pool or provider"),
        (lambda: provider(allowed_audiences=tuple("abcdefghijk")), "are too many or too long"),
        (lambda: provider(mapping={"attribute.a": "assertion.a"}), "the attribute mapping"),
        (
            lambda: provider(mapping={"google.subject": "assertion.sub", "other": "assertion.a"}),
            "the attribute mapping",
        ),
        (lambda: provider(mapping={"google.subject": "sub"}), "an expression of the provider"),
        (lambda: provider(condition="assertion.sub ="), "an expression of the provider"),
        (lambda: provider(jwks={"keys": [{"kty": "RSA", "x5c": []}]}), "has x5c"),
        (lambda: provider(jwks={"keys": [{"x5t": ""}]}), "has x5t"),
        (lambda: JwtRole("web"), "at least one bound constraint"),
        (lambda: JwtRole("web", bound_subject="a", user_claim=""), "a user claim must be defined"),
        (lambda: JwtRole("web", bound_subject="a", bound_claims_type="regex"), "invalid 'bound_claims_type'"),
        (lambda: JwtAuth("oidc.example.com"), "is no issuer"),
        (lambda: RelyingParties(providers=(provider(), provider())), "exists twice"),
        (lambda: RelyingParties(vault=(JwtAuth(ISSUER), JwtAuth(ISSUER))), "the auth method jwt exists twice"),
    ],
)
def test_what_cannot_be_is_refused_when_the_world_is_made(made: Callable[[], object], why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made()
    assert why in caught.value.what
    assert caught.value.hint


def test_a_provider_is_the_audience_of_its_tokens_unless_others_are_allowed() -> None:
    name = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/prov"
    assert provider().audiences == (name, f"https:{name}")
    assert provider(allowed_audiences=("a",)).audiences == ("a",)
