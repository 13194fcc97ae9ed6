"""What does Terraform make of the bucket, the certificate and the distribution of the issuer's web site?

Three pieces of text, with places to fill (`agent.infrastructure.hosting_terraform`). Pure.
"""

from typing import Final

BUCKET: Final = """\
resource "aws_s3_bucket" "site" {
  region = local.region
  bucket = var.bucket
  tags   = local.tags
}

resource "aws_s3_bucket_ownership_controls" "site" {
  region = local.region
  bucket = aws_s3_bucket.site.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "site" {
  region                  = local.region
  bucket                  = aws_s3_bucket.site.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# A wrong key set that was written can be undone.
resource "aws_s3_bucket_versioning" "site" {
  region = local.region
  bucket = aws_s3_bucket.site.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "site" {
  region = local.region
  bucket = aws_s3_bucket.site.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "site" {
  region = local.region
  bucket = aws_s3_bucket.site.id

  rule {
    id     = "forget-old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = @KEPT@
    }
  }

  depends_on = [aws_s3_bucket_versioning.site]
}

# CloudFront may not list the bucket, since / would then be its table of contents; so what is not there is a 403.
resource "aws_s3_bucket_policy" "site" {
  region = local.region
  bucket = aws_s3_bucket.site.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "ThisDistributionReads"
        Effect    = "Allow"
        Principal = { Service = "cloudfront.amazonaws.com" }
        Action    = "s3:GetObject"
        Resource = flatten([
          for document in local.documents :
          ["${aws_s3_bucket.site.arn}/${document}", "${aws_s3_bucket.site.arn}/*/${document}"]
        ])
        Condition = { StringEquals = { "aws:SourceArn" = aws_cloudfront_distribution.site.arn } }
      },
      {
        Sid       = "NobodyWithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.site.arn, "${aws_s3_bucket.site.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.site]
}

"""

CERTIFICATE: Final = """\
# CloudFront takes certificates from us-east-1 alone.
resource "aws_acm_certificate" "site" {
  region            = "us-east-1"
  domain_name       = local.host
  validation_method = "DNS"
  tags              = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  for_each = {
    for option in aws_acm_certificate.site.domain_validation_options : option.domain_name => option if var.zone_id != ""
  }

  zone_id         = var.zone_id
  name            = each.value.resource_record_name
  type            = each.value.resource_record_type
  records         = [each.value.resource_record_value]
  ttl             = 300
  allow_overwrite = true # another certificate for this name has the same record
}

resource "aws_acm_certificate_validation" "site" {
  region                  = "us-east-1"
  certificate_arn         = aws_acm_certificate.site.arn
  validation_record_fqdns = var.zone_id == "" ? null : [for record in aws_route53_record.validation : record.fqdn]
}

"""

DISTRIBUTION: Final = """\
resource "aws_cloudfront_origin_access_control" "site" {
  name                              = var.bucket
  description                       = "rolecall: @HOST@"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# A document is kept for as long as its Cache-Control says, up to a limit; nothing of a request leads to another copy.
resource "aws_cloudfront_cache_policy" "site" {
  name        = "rolecall-${var.bucket}"
  comment     = "rolecall: @HOST@"
  min_ttl     = 0
  default_ttl = @DEFAULT@
  max_ttl     = @LONGEST@

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = false
    enable_accept_encoding_gzip   = false

    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

resource "aws_cloudfront_distribution" "site" {
  enabled         = true
  comment         = "rolecall: @HOST@"
  aliases         = [local.host]
  http_version    = "http2and3"
  is_ipv6_enabled = true
  price_class     = var.price_class
  tags            = local.tags

  # By its regional name: by the other one, a young bucket redirects those who ask, for hours.
  origin {
    origin_id                = "bucket"
    domain_name              = aws_s3_bucket.site.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.site.id
  }

  # Nobody is redirected, since AWS follows nothing; nothing is compressed, since keys do not get much smaller.
  default_cache_behavior {
    target_origin_id       = "bucket"
    viewer_protocol_policy = "https-only"
    allowed_methods        = ["GET", "HEAD"]
    cached_methods         = ["GET", "HEAD"]
    cache_policy_id        = aws_cloudfront_cache_policy.site.id
    compress               = false
  }

  dynamic "custom_error_response" {
    for_each = toset(@ERRORS@)

    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = @ERRORTTL@
    }
  }

  viewer_certificate {
    acm_certificate_arn      = aws_acm_certificate_validation.site.certificate_arn
    minimum_protocol_version = "@TLS@"
    ssl_support_method       = "sni-only"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }
}

resource "aws_route53_record" "address" {
  for_each = toset(var.zone_id == "" ? [] : ["A", "AAAA"])

  zone_id = var.zone_id
  name    = local.host
  type    = each.value

  alias {
    name                   = aws_cloudfront_distribution.site.domain_name
    zone_id                = aws_cloudfront_distribution.site.hosted_zone_id
    evaluate_target_health = false
  }
}

"""
