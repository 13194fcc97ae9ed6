from typing import Any

import pytest

from agent.errors import ConfigurationError
from agent.infrastructure.hosting import Bucket, Site
from agent.infrastructure.hosting_cloudformation import certificate_cloudformation, hosting_cloudformation
from agent.sandbox.policies.policy import Asking, Decision, Kind, read_policy
from tests.fakes.cloudformation import read, resolved

SITE = Site.of(["https://oidc.example.com/site-a", "https://oidc.example.com"])
BUCKET = Bucket("oidc-example-com", "eu-central-1", "site-a")
MADE = {
    "Bucket": "oidc-example-com",
    "Bucket.Arn": "arn:aws:s3:::oidc-example-com",
    "Bucket.RegionalDomainName": "oidc-example-com.s3.eu-central-1.amazonaws.com",
    "Distribution": "E1EXAMPLE",
    "Distribution.DomainName": "d111111abcdef8.cloudfront.net",
    "AWS::Partition": "aws",
    "AWS::AccountId": "123456789012",
    "AccessControl.Id": "OAC1",
    "CachePolicy": "POLICY1",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/x",
    "HostedZoneId": "Z1",
    "PriceClass": "PriceClass_All",
}


def properties(name: str) -> Any:
    return resolved(read(hosting_cloudformation(SITE, BUCKET))["Resources"][name]["Properties"], MADE)


def test_the_bucket_is_private_encrypted_and_keeps_what_was_overwritten_for_a_while() -> None:
    bucket = properties("Bucket")
    assert bucket["BucketName"] == "oidc-example-com"
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert list(bucket["PublicAccessBlockConfiguration"].values()) == [True] * 4
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    template = read(hosting_cloudformation(SITE, BUCKET))["Resources"]["Bucket"]
    assert template["DeletionPolicy"] == template["UpdateReplacePolicy"] == "Retain"


def test_only_this_distribution_reads_only_the_documents_and_nobody_without_tls() -> None:
    reads, denied = properties("BucketPolicy")["PolicyDocument"]["Statement"]
    arn = "arn:aws:s3:::oidc-example-com"
    assert reads == {
        "Sid": "ThisDistributionReads",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": [
            f"{arn}/.well-known/openid-configuration",
            f"{arn}/*/.well-known/openid-configuration",
            f"{arn}/.well-known/jwks.json",
            f"{arn}/*/.well-known/jwks.json",
        ],
        "Condition": {
            "StringEquals": {"aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/E1EXAMPLE"},
        },
    }
    assert (denied["Effect"], denied["Principal"], denied["Resource"]) == ("Deny", "*", [arn, f"{arn}/*"])
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_distribution_answers_over_tls_alone_and_redirects_nobody() -> None:
    shown = properties("Distribution")["DistributionConfig"]
    assert "DefaultRootObject" not in shown
    assert shown["Aliases"] == ["oidc.example.com"]
    assert (shown["HttpVersion"], shown["IPV6Enabled"]) == ("http2and3", True)
    behaviour = shown["DefaultCacheBehavior"]
    assert behaviour["ViewerProtocolPolicy"] == "https-only"
    assert behaviour["AllowedMethods"] == ["GET", "HEAD"]
    assert behaviour["CachePolicyId"] == "POLICY1"
    assert shown["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    (origin,) = shown["Origins"]
    assert origin["DomainName"] == "oidc-example-com.s3.eu-central-1.amazonaws.com"
    assert origin["OriginAccessControlId"] == "OAC1"
    control = properties("AccessControl")["OriginAccessControlConfig"]
    assert (control["SigningBehavior"], control["SigningProtocol"]) == ("always", "sigv4")


def test_documents_are_kept_as_long_as_they_say_and_errors_hardly_at_all() -> None:
    policy = properties("CachePolicy")["CachePolicyConfig"]
    assert (policy["MinTTL"], policy["DefaultTTL"], policy["MaxTTL"]) == (0, 300, 3600)
    errors = properties("Distribution")["DistributionConfig"]["CustomErrorResponses"]
    assert {error["ErrorCode"] for error in errors} == {403, 404, 500, 502, 503, 504}
    assert all(error["ErrorCachingMinTTL"] <= 10 for error in errors)


def test_the_name_leads_to_the_distribution_over_ipv4_and_ipv6_if_the_zone_is_here() -> None:
    resources = read(hosting_cloudformation(SITE, BUCKET))["Resources"]
    for family in ("A", "AAAA"):
        record = properties(f"Address{family}")
        assert (record["Type"], record["Name"]) == (family, "oidc.example.com")
        assert record["AliasTarget"] == {
            "DNSName": "d111111abcdef8.cloudfront.net",
            "HostedZoneId": "Z2FDTNDATAQYW2",
        }
        assert resources[f"Address{family}"]["Condition"] == "ZoneIsHere"


@pytest.mark.parametrize(("name", "below"), [("PublisherSiteA", "/site-a"), ("Publisher", "")])
def test_whoever_publishes_one_issuer_writes_its_two_documents_and_no_other(name: str, below: str) -> None:
    writes, lists = properties(name)["PolicyDocument"]["Statement"]
    arn = "arn:aws:s3:::oidc-example-com"
    assert writes["Action"] == ["s3:GetObject", "s3:PutObject"]
    assert writes["Resource"] == [
        f"{arn}{below}/.well-known/openid-configuration",
        f"{arn}{below}/.well-known/jwks.json",
    ]
    assert (lists["Action"], lists["Resource"]) == ("s3:ListBucket", arn)
    assert lists["Condition"] == {"StringLikeIfExists": {"s3:prefix": f"{below}/.well-known/*".removeprefix("/")}}


def test_paths_that_would_have_one_identifier_have_two() -> None:
    site = Site.of(["https://oidc.example.com/a-b", "https://oidc.example.com/a/b", "https://oidc.example.com/A.b"])
    template = read(hosting_cloudformation(site, Bucket("oidc-example-com", "eu-central-1", "a-b")))
    publishers = {name for name in template["Resources"] if name.startswith("Publisher")}
    assert publishers == {"PublisherAB", "PublisherAB2", "PublisherAB3"}
    assert {f"{name}Arn" for name in publishers} <= template["Outputs"].keys()


def test_the_certificate_is_validated_in_the_zone_if_it_is_here() -> None:
    certificate = read(certificate_cloudformation(SITE))["Resources"]["Certificate"]["Properties"]
    assert isinstance(certificate, dict)
    assert (certificate["DomainName"], certificate["ValidationMethod"]) == ("oidc.example.com", "DNS")
    assert certificate["DomainValidationOptions"] == {
        "If": [
            "ZoneIsHere",
            [{"DomainName": "oidc.example.com", "HostedZoneId": {"Ref": "HostedZoneId"}}],
            {"Ref": "AWS::NoValue"},
        ]
    }


def test_a_bucket_that_cannot_be_shown_has_no_template() -> None:
    with pytest.raises(ConfigurationError, match="partition"):
        hosting_cloudformation(SITE, Bucket("oidc-example-com", "cn-north-1", "site-a"))


@pytest.mark.parametrize(
    ("action", "below", "context", "allowed"),
    [
        ("s3:GetObject", "/site-a/.well-known/jwks.json", {}, True),
        ("s3:PutObject", "/site-a/.well-known/jwks.json", {}, True),
        ("s3:PutObject", "/site-a/.well-known/openid-configuration", {}, True),
        ("s3:PutObject", "/.well-known/jwks.json", {}, False),
        ("s3:PutObject", "/site-a/b/.well-known/jwks.json", {}, False),
        ("s3:PutObject", "/site-a/.well-known/other.json", {}, False),
        ("s3:DeleteObject", "/site-a/.well-known/jwks.json", {}, False),
        ("s3:PutBucketPolicy", "", {}, False),
        ("s3:ListBucket", "", {}, True),  # as it is looked at for an object that is not there
        ("s3:ListBucket", "", {"s3:prefix": ("site-a/.well-known/jwks.json",)}, True),
        ("s3:ListBucket", "", {"s3:prefix": ("site-b/",)}, False),
    ],
)
def test_an_independent_judge_lets_a_publisher_do_what_it_has_to_and_no_more(
    action: str, below: str, context: dict[str, tuple[str, ...]], *, allowed: bool
) -> None:
    policy = read_policy(properties("PublisherSiteA")["PolicyDocument"], Kind.IDENTITY)
    decision = policy.decide(Asking(action, f"arn:aws:s3:::oidc-example-com{below}", context=context))
    assert decision is (Decision.ALLOWED if allowed else Decision.SILENT)
