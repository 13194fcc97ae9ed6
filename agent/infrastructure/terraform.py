"""How is the AWS side of one account written for Terraform?

One module per account, for use as it is or from another module: it holds no provider block and no backend. Pure.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final

from agent.errors import ConfigurationError
from agent.infrastructure import Account, Role, Trust
from agent.infrastructure.literals import aligned, comment, filled, hcl, hcl_quoted, identifier
from agent.infrastructure.trust import policy_of, provider_arn

_SETTINGS: Final = """\
terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.81" # the first that can do without thumbprints
    }
  }
}

variable "create_provider" {
  description = "Whether to create the identity provider: an account has one per issuer, and it may be there already."
  type        = bool
  default     = true
}

variable "permissions" {
  description = "What each role may do: ARNs of managed policies, by the role's name in rolecall.toml."
  type        = map(list(string))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.permissions), @NAMES@)) == 0
    error_message = "There is a name in permissions that is none of the roles here."
  }
}

variable "tags" {
  description = "Tags for everything that is created here."
  type        = map(string)
  default     = {}
}
"""

_ACCOUNT: Final = """\
data "aws_caller_identity" "here" {
  lifecycle {
    postcondition {
      condition     = self.account_id == "@NUMBER@"
      error_message = "These are the roles of another account: use credentials of account @NUMBER@."
    }
  }
}
"""

_PROVIDER: Final = """\
resource "aws_iam_openid_connect_provider" "issuer" {
  count = var.create_provider ? 1 : 0

@ATTRIBUTES@
}
"""

_ROLE: Final = """\
resource "aws_iam_role" "@ID@" {
@ATTRIBUTES@

  depends_on = [aws_iam_openid_connect_provider.issuer, data.aws_caller_identity.here]
}

resource "aws_iam_role_policy_attachment" "@ID@" {
  for_each = toset(flatten([for name in @NAMES@ : lookup(var.permissions, name, [])]))

  role       = aws_iam_role.@ID@.name
  policy_arn = each.value
}
"""


def terraform(trust: Trust, account: Account, roles: Sequence[Role]) -> str:
    """The text of `main.tf` for an account: provider, roles, and a variable for what the roles may do.

    Raises ConfigurationError for what cannot be said in Terraform.
    """
    _refuse_what_terraform_changes(trust)
    names = [name for role in roles for name in role.names]
    blocks = [
        _heading(trust, account, names[0]),
        filled(_SETTINGS, names=hcl(names)),
        filled(_ACCOUNT, number=account.number),
        _locals(trust, account),
        filled(_PROVIDER, attributes=_provider(trust)),
    ]
    taken: list[str] = []
    outputs: list[tuple[str, str]] = []
    for role in roles:
        taken.append(identifier(role.names[0], taken, allowed="_-"))
        blocks.append(_role(role, taken[-1]))
        outputs += [(hcl_quoted(name), f"aws_iam_role.{taken[-1]}.arn") for name in role.names]
    return "\n".join([*blocks, _outputs(outputs)])


def _refuse_what_terraform_changes(trust: Trust) -> None:
    """Terraform turns all text into Unicode's normal form NFC; AWS compares what tokens say byte for byte."""
    for name, text in (("subject", trust.subject), ("audience", trust.audience)):
        if not unicodedata.is_normalized("NFC", text):
            raise ConfigurationError(
                f"identity.{name} has letters composed of several characters, which Terraform would change",
                hint="write it in plain ASCII, or in Unicode's normal form NFC",
            )


def _heading(trust: Trust, account: Account, example: str) -> str:
    return f"""\
# What AWS account {account.number} must know before rolecall's roles work there.
#
# 1. Publish the issuer's documents first: AWS reads them from {comment(trust.issuer)}
#    when the provider is created.
# 2. Say in var.permissions what each role may do; until then it may do nothing. For example:
#      permissions = {{ {hcl_quoted(example)} = ["arn:{account.partition}:iam::aws:policy/ReadOnlyAccess"] }}
# 3. Another module or team has made the provider already? create_provider = false, and see to it that its
#    client ids hold {comment(trust.audience)}.
"""


def _locals(trust: Trust, account: Account) -> str:
    policy = hcl(policy_of(trust, account), 2)
    return f"""\
locals {{
  # {comment(provider_arn(trust.issuer, account))}
  trust_policy = jsonencode({policy})

  tags = merge({{ "managed-by" = "rolecall" }}, var.tags)
}}
"""


def _provider(trust: Trust) -> str:
    pairs = [("url", hcl_quoted(trust.issuer)), ("client_id_list", hcl([trust.audience])), ("tags", "local.tags")]
    return _indented(pairs)


def _role(role: Role, name: str) -> str:
    pairs = [
        ("name", hcl_quoted(role.role)),
        ("path", hcl_quoted(role.path)),
        ("description", hcl_quoted("For workloads outside AWS, through rolecall")),
        ("max_session_duration", str(int(role.max_session.total_seconds()))),
        ("assume_role_policy", "local.trust_policy"),
        ("tags", "local.tags"),
    ]
    return filled(_ROLE, id=name, attributes=_indented(pairs), names=hcl([*role.names]))


def _outputs(pairs: Sequence[tuple[str, str]]) -> str:
    lines = "\n".join(f"    {line}" for line in aligned(pairs))
    return f"""\
output "role_arns" {{
  description = "The ARN of each role, by its name in rolecall.toml."
  value = {{
{lines}
  }}
}}
"""


def _indented(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"  {line}" for line in aligned(pairs))
