"""The auth method and the role, as Terraform and as commands."""

from agent.infrastructure.relying_parties.vault import commands, role_name, terraform
from tests.fakes.terraform import blocks
from tests.unit.infrastructure.relying_parties.side import ISSUER, side


def test_the_role_is_bound_to_our_subject_and_audience() -> None:
    told = blocks(terraform(side("vault")), "resource")
    role = told["vault_jwt_auth_backend_role.rolecall"]
    assert (role["role_type"], role["bound_audiences"], role["bound_subject"]) == ("jwt", ["vault"], "host:web-1")
    assert (role["role_name"], role["user_claim"], role["token_policies"]) == ("host-web-1", "sub", "${var.policies}")
    method = told["vault_jwt_auth_backend.rolecall"]
    assert (method["oidc_discovery_url"], method["bound_issuer"]) == (ISSUER, ISSUER)


def test_a_role_is_named_in_small_letters_as_vault_keeps_it() -> None:
    assert role_name(side("vault", "Host:Web-1")) == "host-web-1"


def test_the_commands_leave_an_auth_method_that_is_there() -> None:
    text = commands(side("vault"))
    assert text.index("vault read") < text.index("vault auth enable") < text.index("vault write")
