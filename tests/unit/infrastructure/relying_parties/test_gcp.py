"""The pool and its provider, as Terraform and as commands."""

import pytest

from agent.infrastructure.relying_parties.gcp import commands, terraform
from tests.fakes.terraform import blocks
from tests.unit.infrastructure.relying_parties.side import ISSUER, side

USUAL = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/hosts/providers/oidc"


def test_the_provider_maps_the_subject_and_lets_in_ours_alone() -> None:
    told = blocks(terraform(side("gcp")), "resource")
    provider = told["google_iam_workload_identity_pool_provider.rolecall"]
    assert provider["attribute_mapping"] == {"google.subject": "assertion.sub"}
    assert provider["attribute_condition"].startswith('assertion.sub == \\"host:web-1')
    assert provider["oidc"] == [{"issuer_uri": ISSUER, "allowed_audiences": ["gcp"]}]
    assert told["google_iam_workload_identity_pool.rolecall"]["workload_identity_pool_id"] == "rolecall"


@pytest.mark.parametrize("audience", [USUAL, f"https:{USUAL}"])
def test_the_name_of_a_provider_as_audience_is_the_usual_one_of_that_provider(audience: str) -> None:
    told = blocks(terraform(side("gcp", audience=audience)), "resource")
    provider = told["google_iam_workload_identity_pool_provider.rolecall"]
    assert provider["oidc"] == [{"issuer_uri": ISSUER}]
    assert provider["workload_identity_pool_provider_id"] == "oidc"
    assert told["google_iam_workload_identity_pool.rolecall"]["workload_identity_pool_id"] == "hosts"
    text = commands(side("gcp", audience=audience))
    assert "allowed-audiences" not in text
    assert "create-oidc oidc" in text
    assert "--workload-identity-pool=hosts" in text


def test_a_service_account_is_bound_only_where_one_is_named() -> None:
    binding = blocks(terraform(side("gcp")), "resource")["google_service_account_iam_member.rolecall"]
    assert binding["count"] == '${var.service_account == "" ? 0 : 1}'
    assert 'if [ -n "${SERVICE_ACCOUNT:-}" ]' in commands(side("gcp"))
