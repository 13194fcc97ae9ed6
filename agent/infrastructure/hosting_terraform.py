"""How is the issuer's web site in a bucket behind CloudFront written for Terraform?

One module for all issuers of a host. What is to be in another region than the bucket says so itself, which the AWS
provider allows since 6.0, so the module holds no provider block and can be used from another one. Pure.
"""

from typing import Final

from agent.infrastructure.cloudfront_terraform import BUCKET, CERTIFICATE, DISTRIBUTION
from agent.infrastructure.hosting import (
    DEFAULT_TTL,
    DOCUMENTS,
    ERROR_TTL,
    ERRORS,
    KEPT_DAYS,
    LONGEST_TTL,
    PATH,
    TLS_POLICY,
    Bucket,
    Site,
    refuse_unfit,
)
from agent.infrastructure.literals import filled, hcl, hcl_quoted

_HEADING: Final = """\
# The web site @HOST@: a private bucket in @REGION@ behind CloudFront.
#
# 1. terraform init && terraform apply -var zone_id=Z0123456789ABCDEFGHIJ
#    with the id of the zone in Route 53 that the name is in. Where DNS is elsewhere, in two steps:
#      terraform apply -target=aws_acm_certificate.site    makes the certificate, and names validation_records
#      terraform apply                                     once they are there; it names address_records
# 2. Let whoever publishes have the policy that publisher_policy_arns names for its issuer; then: rolecall publish
# 3. Other issuers of this host, https://@HOST@/PATH, are added to var.paths.

"""

_VARIABLES: Final = """\
terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0" # the first that takes a region for a single resource
    }
  }
}

variable "bucket" {
  description = "The bucket's name, as publishing.bucket has it."
  type        = string
  default     = @BUCKET@
}

variable "paths" {
  description = "The path of each issuer, without a slash at either end; \\"\\" is the host itself."
  type        = set(string)
  default     = @PATHS@

  validation {
    condition     = alltrue([for path in var.paths : can(regex(@PATTERN@, path))])
    error_message = "A path is made of letters, digits and - . _ ~, with a slash only between its parts."
  }
}

variable "zone_id" {
  description = "The hosted zone in Route 53 of the host's name; \\"\\" if its records are made by hand."
  type        = string
  default     = ""
}

variable "price_class" {
  description = "From where CloudFront answers: PriceClass_All, PriceClass_200 or PriceClass_100."
  type        = string
  default     = "PriceClass_All"
}

variable "tags" {
  description = "Tags for everything that is created here."
  type        = map(string)
  default     = {}
}

locals {
  host      = @HOSTTEXT@
  region    = @REGIONTEXT@
  documents = @DOCUMENTS@
  tags      = merge({ "managed-by" = "rolecall" }, var.tags)
}

"""

_PUBLISHER: Final = """\
# Listing is what makes S3 say that a document is not there yet, rather than that it is forbidden. Whether S3 then knows
# of a prefix is nowhere written, hence IfExists.
resource "aws_iam_policy" "publisher" {
  for_each = var.paths

  name_prefix = "rolecall-publisher-"
  description = "Publish the issuer https://${local.host}${each.value == "" ? "" : "/${each.value}"}"
  tags        = local.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = ["s3:GetObject", "s3:PutObject"]
        Resource = [
          for document in local.documents :
          join("/", compact([aws_s3_bucket.site.arn, each.value, document]))
        ]
      },
      {
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = aws_s3_bucket.site.arn
        Condition = {
          StringLikeIfExists = { "s3:prefix" = join("/", compact([each.value, ".well-known/*"])) }
        }
      },
    ]
  })
}

output "publisher_policy_arns" {
  description = "What may publish each issuer, by its path."
  value       = { for path, policy in aws_iam_policy.publisher : path => policy.arn }
}

output "validation_records" {
  description = "What must be in DNS before the certificate is issued; with zone_id it is put there."
  value = [
    for option in aws_acm_certificate.site.domain_validation_options :
    "${option.resource_record_name} ${option.resource_record_type} ${option.resource_record_value}"
  ]
}

output "address_records" {
  description = "What must be in DNS for the site to be found; with zone_id it is put there."
  value       = ["${local.host} CNAME ${aws_cloudfront_distribution.site.domain_name}"]
}

output "distribution_id" {
  description = "For: aws cloudfront create-invalidation --paths '/*' --distribution-id ..."
  value       = aws_cloudfront_distribution.site.id
}
"""


def hosting_terraform(site: Site, bucket: Bucket) -> str:
    """The text of `main.tf` for the web site of these issuers.

    Raises ConfigurationError where CloudFront cannot show the bucket at the issuers' URLs.
    """
    refuse_unfit(site, bucket)
    template = _HEADING + _VARIABLES + BUCKET + CERTIFICATE + DISTRIBUTION + _PUBLISHER
    return filled(
        template,
        host=site.host,
        region=bucket.region,
        bucket=hcl_quoted(bucket.name),
        paths=hcl(list(site.paths)),
        pattern=hcl_quoted(f"^({PATH})?$"),
        hosttext=hcl_quoted(site.host),
        regiontext=hcl_quoted(bucket.region),
        documents=hcl(list(DOCUMENTS)),
        kept=str(KEPT_DAYS),
        default=str(DEFAULT_TTL),
        longest=str(LONGEST_TTL),
        errors=f"[{', '.join(map(str, ERRORS))}]",
        errorttl=str(ERROR_TTL),
        tls=TLS_POLICY,
    )
