import re

import hcl2
import pytest

from agent.errors import ConfigurationError
from agent.infrastructure.hosting import PATH, Bucket, Site
from agent.infrastructure.hosting_terraform import hosting_terraform
from tests.fakes.terraform import bare, blocks

SITE = Site.of(["https://oidc.example.com/site-a", "https://oidc.example.com"])
BUCKET = Bucket("oidc-example-com", "eu-central-1", "site-a")


TEXT = hosting_terraform(SITE, BUCKET)


def test_issuers_and_bucket_are_what_the_variables_stand_at() -> None:
    variables = blocks(TEXT, "variable")
    assert variables["bucket"]["default"] == "oidc-example-com"
    assert variables["paths"]["default"] == ["site-a", ""]
    assert variables["zone_id"]["default"] == ""
    assert variables["tags"]["default"] == {}
    assert variables["price_class"]["default"] == "PriceClass_All"


@pytest.mark.parametrize(
    ("path", "fit"), [("", True), ("site-a", True), ("a/b.c/~d_e", True), ("/a", False), ("a/", False), ("a b", False)]
)
def test_the_variable_takes_the_paths_that_we_take(path: str, *, fit: bool) -> None:
    (validation,) = blocks(TEXT, "variable")["paths"]["validation"]
    pattern = re.search(r'regex\(\\?"(.*?)\\?", path', validation["condition"])
    assert pattern is not None
    assert pattern[1] == f"^({PATH})?$"
    assert bool(re.search(pattern[1], path)) is fit


def test_all_that_belongs_to_the_bucket_is_in_its_region_and_the_certificate_is_where_cloudfront_wants_it() -> None:
    found = blocks(TEXT, "resource")
    regional = {name: body["region"] for name, body in found.items() if "region" in body}
    assert {region for name, region in regional.items() if name.startswith("aws_s3_")} == {"${local.region}"}
    assert {name for name in found if name.startswith("aws_s3_")} <= regional.keys()
    assert {region for name, region in regional.items() if name.startswith("aws_acm_")} == {"us-east-1"}
    (local,) = bare(hcl2.loads(TEXT))["locals"]
    assert (local["region"], local["host"]) == ("eu-central-1", "oidc.example.com")


def test_the_publishers_policy_is_made_for_each_path() -> None:
    assert blocks(TEXT, "resource")["aws_iam_policy.publisher"]["for_each"] == "${var.paths}"


def test_records_are_made_only_where_the_zone_is_known_and_named_for_all_others() -> None:
    found = blocks(TEXT, "resource")
    assert 'if var.zone_id != "' in found["aws_route53_record.validation"]["for_each"]
    assert found["aws_route53_record.address"]["for_each"].startswith("${toset(var.zone_id == ")
    assert {"validation_records", "address_records", "publisher_policy_arns"} <= blocks(TEXT, "output").keys()


def test_all_references_lead_somewhere() -> None:
    declared = set(re.findall(r'^resource "(\w+)" "(\w+)" \{$', TEXT, re.MULTILINE))
    referred = set(re.findall(r"\b(aws_(?:s3|acm|route53|cloudfront|iam)\w+)\.(\w+)", TEXT))
    assert referred <= declared
    assert set(re.findall(r"\bvar\.(\w+)", TEXT)) == blocks(TEXT, "variable").keys()
    (local,) = bare(hcl2.loads(TEXT))["locals"]
    assert set(re.findall(r"\blocal\.(\w+)", TEXT)) == local.keys()
    assert not re.search(r"@[A-Z]+@", TEXT)


def test_a_bucket_that_cannot_be_shown_has_no_module() -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        hosting_terraform(SITE, Bucket("oidc-example-com", "eu-central-1", "site-c"))
