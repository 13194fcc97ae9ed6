"""The federated credential, as Terraform and as a command."""

from agent.infrastructure.relying_parties.azure import commands, terraform
from tests.fakes.terraform import blocks
from tests.unit.infrastructure.relying_parties.side import ISSUER, side


def test_the_credential_is_of_our_issuer_subject_and_the_usual_audience() -> None:
    told = blocks(terraform(side("azure")), "resource")["azuread_application_federated_identity_credential.rolecall"]
    assert told == {
        "application_id": "${var.application_id}",
        "display_name": "rolecall-host-web-1",
        "description": "A host outside Azure, through rolecall",
        "audiences": ["api://AzureADTokenExchange"],
        "issuer": ISSUER,
        "subject": "host:web-1",
    }


def test_its_name_is_none_that_is_too_long() -> None:
    credential = blocks(terraform(side("azure", "h" * 127)), "resource")
    name = credential["azuread_application_federated_identity_credential.rolecall"]["display_name"]
    assert len(name) == 120


def test_the_command_asks_for_the_application() -> None:
    text = commands(side("azure"))
    assert '--id "$APPLICATION"' in text
    assert "${APPLICATION:?" in text
