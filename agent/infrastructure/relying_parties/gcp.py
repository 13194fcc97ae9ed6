"""How is a workload identity pool of Google Cloud, and its provider, written down?

A pool and a provider of our own, and an audience that we choose; or, where the audience is the full name of a provider,
that pool and provider, for which it is the usual one.
"""

import json
from typing import Final

from agent.infrastructure.literals import aligned, comment, filled, hcl, hcl_quoted
from agent.infrastructure.relying_parties import Side
from agent.infrastructure.relying_parties.shell import Own, command, script, words
from agent.relying_parties import GOOGLE_PROVIDER

_MAPPING: Final = {"google.subject": "assertion.sub"}

_TERRAFORM: Final = """\
# What Google Cloud must know before it takes tokens about @SUBJECT@.
# More hosts of the same issuer need no provider of their own: add them to attribute_condition.

terraform {
  required_version = ">= 1.3"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 4.0"
    }
  }
}

variable "project" {
  description = "The id of the project that the pool is to be in."
  type        = string
}

variable "service_account" {
  description = "The e-mail address of a service account that the host may be; none: roles are given to it directly."
  type        = string
  default     = ""
}

resource "google_iam_workload_identity_pool" "rolecall" {
@POOL@
}

resource "google_iam_workload_identity_pool_provider" "rolecall" {
@PROVIDER@

  oidc {
@OIDC@
  }
}

locals {
  principal = @PRINCIPAL@
}

resource "google_service_account_iam_member" "rolecall" {
  count = var.service_account == "" ? 0 : 1

  service_account_id = "projects/${var.project}/serviceAccounts/${var.service_account}"
  role               = "roles/iam.workloadIdentityUser"
  member             = local.principal
}

output "principal" {
  description = "Who the host is in IAM policies."
  value       = local.principal
}

output "provider" {
  description = "What tokens are exchanged under: the audience of the exchange, behind //iam.googleapis.com/."
  value       = google_iam_workload_identity_pool_provider.rolecall.name
}
"""


def terraform(side: Side) -> str:
    """The text of `main.tf`."""
    pool, provider = _ids(side)
    here = [
        ("project", "var.project"),
        ("workload_identity_pool_id", "google_iam_workload_identity_pool.rolecall.workload_identity_pool_id"),
        ("workload_identity_pool_provider_id", hcl_quoted(provider)),
        ("attribute_condition", hcl_quoted(_condition(side))),
    ]
    oidc = [("issuer_uri", hcl_quoted(side.issuer))]
    if not GOOGLE_PROVIDER.fullmatch(side.audience):
        oidc.append(("allowed_audiences", hcl([side.audience])))
    mapping = f"  attribute_mapping = {hcl(_MAPPING, 2)}"
    principal = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.rolecall.name}/subject/"
    return filled(
        _TERRAFORM,
        subject=comment(side.subject),
        pool=_lines([("project", "var.project"), ("workload_identity_pool_id", hcl_quoted(pool))]),
        provider=f"{_lines(here)}\n{mapping}",
        oidc=_lines(oidc, "    "),
        principal=f'"{principal}{hcl_quoted(side.subject)[1:-1]}"',
    )


def commands(side: Side) -> str:
    """The same for gcloud."""
    pool, provider = _ids(side)
    create_pool = command(
        ["gcloud", "iam", "workload-identity-pools", "create", pool],
        [Own("--project=$PROJECT"), "--location=global"],
        ["--display-name=rolecall"],
    )
    audiences = [] if GOOGLE_PROVIDER.fullmatch(side.audience) else [[f"--allowed-audiences={side.audience}"]]
    create_provider = command(
        ["gcloud", "iam", "workload-identity-pools", "providers", "create-oidc", provider],
        [Own("--project=$PROJECT"), "--location=global", f"--workload-identity-pool={pool}"],
        [f"--issuer-uri={side.issuer}"],
        *audiences,
        ["--attribute-mapping=" + ",".join(f"{name}={value}" for name, value in _MAPPING.items())],
        [f"--attribute-condition={_condition(side)}"],
    )
    bind = words(
        "gcloud", "iam", "service-accounts", "add-iam-policy-binding", Own("$SERVICE_ACCOUNT"),
        Own("--project=$PROJECT"), "--role=roles/iam.workloadIdentityUser", Own("--member=$principal"),
    )  # fmt: skip
    parent = f"projects/$number/locations/global/workloadIdentityPools/{pool}"
    lines = [
        ': "${PROJECT:?set it to the id of the project that the pool is to be in}"',
        "",
        create_pool,
        "",
        create_provider,
        "",
        "number=$(gcloud projects describe \"$PROJECT\" '--format=value(projectNumber)')",
        f'principal="principal://iam.googleapis.com/{parent}/subject/"{words(side.subject)}',
        'echo "The host is $principal"',
        'if [ -n "${SERVICE_ACCOUNT:-}" ]; then',
        f"    {bind}",
        "fi",
    ]
    heading = (
        f"What Google Cloud must know before it takes tokens about {comment(side.subject)}.",
        "With SERVICE_ACCOUNT, the e-mail address of one, the host may be that one.",
    )
    return script(heading, lines)


def _ids(side: Side) -> tuple[str, str]:
    """What pool and provider are called."""
    usual = GOOGLE_PROVIDER.fullmatch(side.audience)
    return (usual[2], usual[3]) if usual else ("rolecall", "rolecall")


def _condition(side: Side) -> str:
    """In CEL, whose texts have the escapes of JSON."""
    return f"assertion.sub == {json.dumps(side.subject, ensure_ascii=False)}"


def _lines(pairs: list[tuple[str, str]], margin: str = "  ") -> str:
    return "\n".join(f"{margin}{line}" for line in aligned(pairs))
