from typing import Any

from agent.infrastructure.hosting import Bucket, Site
from agent.infrastructure.hosting_cloudformation import hosting_cloudformation
from agent.infrastructure.hosting_terraform import hosting_terraform
from tests.fakes.cloudformation import read
from tests.fakes.terraform import blocks

SITE = Site.of(["https://oidc.example.com"])
BUCKET = Bucket("oidc-example-com", "eu-central-1")


def resource(name: str) -> Any:
    return blocks(hosting_terraform(SITE, BUCKET), "resource")[name]


def one(found: Any) -> Any:
    (only,) = found
    return only


def test_the_bucket_is_private_encrypted_and_keeps_what_was_overwritten_for_a_while() -> None:
    block = resource("aws_s3_bucket_public_access_block.site")
    assert [block[name] for name in ("block_public_acls", "block_public_policy")] == [True, True]
    assert [block[name] for name in ("ignore_public_acls", "restrict_public_buckets")] == [True, True]
    assert one(resource("aws_s3_bucket_ownership_controls.site")["rule"])["object_ownership"] == "BucketOwnerEnforced"
    assert one(resource("aws_s3_bucket_versioning.site")["versioning_configuration"])["status"] == "Enabled"
    encryption = one(resource("aws_s3_bucket_server_side_encryption_configuration.site")["rule"])
    assert one(encryption["apply_server_side_encryption_by_default"])["sse_algorithm"] == "AES256"
    rule = one(resource("aws_s3_bucket_lifecycle_configuration.site")["rule"])
    assert one(rule["noncurrent_version_expiration"])["noncurrent_days"] == 30


def test_the_distribution_says_the_same_in_terraform_as_in_cloudformation() -> None:
    ours = resource("aws_cloudfront_distribution.site")
    theirs: Any = read(hosting_cloudformation(SITE, BUCKET))["Resources"]["Distribution"]["Properties"]
    theirs = theirs["DistributionConfig"]
    behaviour, expected = one(ours["default_cache_behavior"]), theirs["DefaultCacheBehavior"]
    certificate, required = one(ours["viewer_certificate"]), theirs["ViewerCertificate"]
    assert ours["http_version"] == theirs["HttpVersion"]
    assert ours["is_ipv6_enabled"] == theirs["IPV6Enabled"]
    assert ours["aliases"] == ["${local.host}"]
    assert "default_root_object" not in ours
    assert behaviour["viewer_protocol_policy"] == expected["ViewerProtocolPolicy"] == "https-only"
    assert behaviour["allowed_methods"] == expected["AllowedMethods"]
    assert behaviour["cached_methods"] == expected["CachedMethods"]
    assert behaviour["compress"] == expected["Compress"]
    assert certificate["minimum_protocol_version"] == required["MinimumProtocolVersion"]
    assert certificate["ssl_support_method"] == required["SslSupportMethod"]
    assert one(ours["origin"])["domain_name"] == "${aws_s3_bucket.site.bucket_regional_domain_name}"
    errors = one(ours["dynamic"])["custom_error_response"]
    assert errors["for_each"] == "${toset([403, 404, 500, 502, 503, 504])}"
    assert one(errors["content"])["error_caching_min_ttl"] == 10


def test_the_cache_policy_says_the_same_in_terraform_as_in_cloudformation() -> None:
    ours = resource("aws_cloudfront_cache_policy.site")
    theirs: Any = read(hosting_cloudformation(SITE, BUCKET))["Resources"]["CachePolicy"]["Properties"]
    theirs = theirs["CachePolicyConfig"]
    times = (theirs["MinTTL"], theirs["DefaultTTL"], theirs["MaxTTL"])
    assert (ours["min_ttl"], ours["default_ttl"], ours["max_ttl"]) == times == (0, 300, 3600)
    forwarded = one(ours["parameters_in_cache_key_and_forwarded_to_origin"])
    assert one(forwarded["cookies_config"])["cookie_behavior"] == "none"
    assert one(forwarded["headers_config"])["header_behavior"] == "none"
    assert one(forwarded["query_strings_config"])["query_string_behavior"] == "none"


def test_requests_to_the_bucket_are_always_signed() -> None:
    control = resource("aws_cloudfront_origin_access_control.site")
    assert (control["signing_behavior"], control["signing_protocol"]) == ("always", "sigv4")
    assert control["origin_access_control_origin_type"] == "s3"
