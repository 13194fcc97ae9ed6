"""How is a JWT authorizer of an HTTP API written down?"""

from typing import Final

from agent.infrastructure.literals import aligned, comment, filled, hcl, hcl_quoted
from agent.infrastructure.relying_parties import Side
from agent.infrastructure.relying_parties.shell import Own, command, json_option, script

_HEADING: Final = (
    "What API Gateway must know before an HTTP API takes tokens of @ISSUER@.",
    "",
    "It does not look at the subject: whoever is granted the audience @AUDIENCE@ gets in.",
    "Where that is too much, let routes ask for scopes, and grants give them.",
)

_TERRAFORM: Final = """\
terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "api_id" {
  description = "The HTTP API whose routes are to take tokens."
  type        = string
}

resource "aws_apigatewayv2_authorizer" "rolecall" {
  api_id           = var.api_id
  name             = "rolecall"
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
@JWT@
  }
}

# A route names it, and the scopes of which a token needs one:
#
#   resource "aws_apigatewayv2_route" "orders" {
#     …
#     authorization_type   = "JWT"
#     authorizer_id        = aws_apigatewayv2_authorizer.rolecall.id
#     authorization_scopes = ["orders:read"]
#   }

output "authorizer_id" {
  description = "What routes name in authorizer_id."
  value       = aws_apigatewayv2_authorizer.rolecall.id
}
"""


def terraform(side: Side) -> str:
    """The text of `main.tf`."""
    pairs = [("audience", hcl([side.audience])), ("issuer", hcl_quoted(side.issuer))]
    heading = "".join(f"# {line}\n" if line else "#\n" for line in _heading(side))
    return heading + "\n" + filled(_TERRAFORM, jwt="\n".join(f"    {line}" for line in aligned(pairs)))


def commands(side: Side) -> str:
    """The same for the AWS CLI."""
    create = command(
        ["aws", "apigatewayv2", "create-authorizer"],
        ["--api-id", Own("$API_ID")],
        ["--name", "rolecall"],
        ["--authorizer-type", "JWT"],
        ["--identity-source", "$request.header.Authorization"],
        ["--jwt-configuration", json_option({"Audience": [side.audience], "Issuer": side.issuer})],
    )
    ask = ': "${API_ID:?set it to the id of the HTTP API}"'
    told = "# Then let routes use it: aws apigatewayv2 update-route --authorization-type JWT --authorizer-id …"
    return script(_heading(side), [ask, "", create, "", told])


def _heading(side: Side) -> list[str]:
    return [filled(line, issuer=comment(side.issuer), audience=comment(side.audience)) for line in _HEADING]
