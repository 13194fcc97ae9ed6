"""How is a federated credential of an application of Microsoft Entra ID written down?"""

from typing import Final

from agent.infrastructure.literals import aligned, comment, filled, hcl, hcl_quoted
from agent.infrastructure.relying_parties import Side
from agent.infrastructure.relying_parties.shell import Own, command, json_option, script

_LONGEST_NAME: Final = 120
_DESCRIPTION: Final = "A host outside Azure, through rolecall"

_TERRAFORM: Final = """\
# What Microsoft Entra ID must know before an application takes tokens about @SUBJECT@.
# It compares issuer, subject and audience letter by letter, and takes twenty such credentials per application.

terraform {
  required_version = ">= 1.3"

  required_providers {
    azuread = {
      source  = "hashicorp/azuread"
      version = ">= 2.44"
    }
  }
}

variable "application_id" {
  description = "The application that the host is to be: /applications/ and its object id."
  type        = string
}

resource "azuread_application_federated_identity_credential" "rolecall" {
@ATTRIBUTES@
}
"""


def terraform(side: Side) -> str:
    """The text of `main.tf`."""
    pairs = [
        ("application_id", "var.application_id"),
        ("display_name", hcl_quoted(_name(side))),
        ("description", hcl_quoted(_DESCRIPTION)),
        ("audiences", hcl([side.audience])),
        ("issuer", hcl_quoted(side.issuer)),
        ("subject", hcl_quoted(side.subject)),
    ]
    attributes = "\n".join(f"  {line}" for line in aligned(pairs))
    return filled(_TERRAFORM, subject=comment(side.subject), attributes=attributes)


def commands(side: Side) -> str:
    """The same for the Azure CLI."""
    credential = {
        "name": _name(side),
        "issuer": side.issuer,
        "subject": side.subject,
        "audiences": [side.audience],
        "description": _DESCRIPTION,
    }
    create = command(
        ["az", "ad", "app", "federated-credential", "create"],
        ["--id", Own("$APPLICATION")],
        ["--parameters", json_option(credential)],
    )
    heading = (
        f"What Microsoft Entra ID must know before an application takes tokens about {comment(side.subject)}.",
        "It may take some minutes until it is known everywhere.",
    )
    return script(heading, [': "${APPLICATION:?set it to the client id of the application}"', "", create])


def _name(side: Side) -> str:
    return f"rolecall-{side.label(_LONGEST_NAME - len('rolecall-'))}"
