"""The authorizer, as Terraform and as a command."""

from agent.infrastructure.relying_parties.apigateway import commands, terraform
from tests.fakes.terraform import blocks
from tests.unit.infrastructure.relying_parties.side import ISSUER, TRAP, side


def test_the_authorizer_takes_our_issuer_and_audience() -> None:
    authorizer = blocks(terraform(side("apigateway", audience="https://api.example.com")), "resource")
    told = authorizer["aws_apigatewayv2_authorizer.rolecall"]
    assert told["jwt_configuration"] == [{"audience": ["https://api.example.com"], "issuer": ISSUER}]
    assert told["identity_sources"] == ["$request.header.Authorization"]
    assert (told["authorizer_type"], told["api_id"]) == ("JWT", "${var.api_id}")


def test_both_say_that_the_subject_is_not_looked_at() -> None:
    for text in (terraform(side("apigateway", TRAP)), commands(side("apigateway", TRAP))):
        assert "# It does not look at the subject" in text
        assert TRAP not in text


def test_the_command_asks_for_the_api() -> None:
    text = commands(side("apigateway"))
    assert '--api-id "$API_ID"' in text
    assert "--identity-source '$request.header.Authorization'" in text
    assert "${API_ID:?" in text
