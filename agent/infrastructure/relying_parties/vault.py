"""How are a JWT auth method of Vault or OpenBao, and a role of it, written down?"""

from typing import Final

from agent.infrastructure.literals import aligned, comment, filled, hcl, hcl_quoted
from agent.infrastructure.relying_parties import Side
from agent.infrastructure.relying_parties.shell import Own, here, script, words

_LONGEST_NAME: Final = 64

_TERRAFORM: Final = """\
# What Vault, or OpenBao, must know before it takes tokens about @SUBJECT@.

terraform {
  required_version = ">= 1.3"

  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = ">= 3.0"
    }
  }
}

variable "create_auth_method" {
  description = "Whether to create the auth method: another host of the same issuer may have it already."
  type        = bool
  default     = true
}

variable "path" {
  description = "Where the auth method is, or is to be."
  type        = string
  default     = "jwt"
}

variable "policies" {
  description = "What the host may do in Vault."
  type        = list(string)
  default     = []
}

resource "vault_jwt_auth_backend" "rolecall" {
  count = var.create_auth_method ? 1 : 0

@METHOD@
}

resource "vault_jwt_auth_backend_role" "rolecall" {
@ROLE@

  depends_on = [vault_jwt_auth_backend.rolecall]
}
"""


def role_name(side: Side) -> str:
    """What the role is called that the host logs in with."""
    return side.label(_LONGEST_NAME).lower()


def terraform(side: Side) -> str:
    """The text of `main.tf`."""
    method = [
        ("path", "var.path"),
        ("type", hcl_quoted("jwt")),
        ("oidc_discovery_url", hcl_quoted(side.issuer)),
        ("bound_issuer", hcl_quoted(side.issuer)),
    ]
    role = [
        ("backend", "var.path"),
        ("role_name", hcl_quoted(role_name(side))),
        ("role_type", hcl_quoted("jwt")),
        ("bound_audiences", hcl([side.audience])),
        ("bound_subject", hcl_quoted(side.subject)),
        ("user_claim", hcl_quoted("sub")),
        ("token_policies", "var.policies"),
    ]
    return filled(_TERRAFORM, subject=comment(side.subject), method=_lines(method), role=_lines(role))


def commands(side: Side) -> str:
    """The same for the command `vault`; OpenBao's `bao` takes the same words."""
    config = {"oidc_discovery_url": side.issuer, "bound_issuer": side.issuer}
    role = {
        "role_type": "jwt",
        "bound_audiences": [side.audience],
        "bound_subject": side.subject,
        "user_claim": "sub",
        "token_policies": Own("$POLICIES"),
    }
    lines = [
        ': "${POLICIES:=default}"',
        "",
        'if ! vault read "auth/${MOUNT:=jwt}/config" >/dev/null 2>&1; then',
        '    vault auth enable "-path=$MOUNT" jwt',
        "fi",
        f'vault write "auth/$MOUNT/config" - {here(config)}',
        f'vault write "auth/$MOUNT/role/"{words(role_name(side))} - {here(role)}',
    ]
    heading = (
        f"What Vault, or OpenBao, must know before it takes tokens about {comment(side.subject)}.",
        "POLICIES is what the host may do, names separated by commas; MOUNT is where the auth method is to be.",
    )
    return script(heading, lines)


def _lines(pairs: list[tuple[str, str]]) -> str:
    return "\n".join(f"  {line}" for line in aligned(pairs))
