"""Do Terraform and CloudFormation read from the files for hosting what we meant?

As in tests/live/test_infrastructure_tools.py: without the AWS provider, unless TF_PLUGIN_CACHE_DIR has it.
"""

import json
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import hcl2
import pytest
from cfnlint.api import lint
from cfnlint.core import get_rules

from agent.infrastructure.hosting import Bucket, Site, keys
from agent.infrastructure.hosting_cloudformation import certificate_cloudformation, hosting_cloudformation
from agent.infrastructure.hosting_terraform import hosting_terraform
from agent.infrastructure.written import marked
from tests.fakes.cloudformation import read, resolved
from tests.fakes.terraform import bare, blocks
from tests.live.aws_provider import NEEDED, TAKEN
from tests.live.test_infrastructure_tools import META, TERRAFORM, evaluated, needs_terraform, run_terraform

pytestmark = pytest.mark.long

SHAPES = [
    (Site.of(["https://oidc.example.com"]), Bucket("oidc-example-com", "eu-central-1")),
    (Site.of(["https://oidc.example.com/site-a/"]), Bucket("oidc", "us-east-1", "site-a")),
    (
        Site.of([f"https://oidc.example.com/{path}" for path in ("", "a-b", "a/b", "~x/y.z_", "A.b")]),
        Bucket("x" * 63, "ap-southeast-2", "a/b"),
    ),
]
SITE, BUCKET = SHAPES[2]
ARN = f"arn:aws:s3:::{BUCKET.name}"
DISTRIBUTION_ARN = "arn:aws:cloudfront::123456789012:distribution/E1EXAMPLE"
#: What stands in a policy for what Terraform would know by then.
STAND_INS = {
    "aws_s3_bucket.site.arn": "local.bucket",
    "aws_cloudfront_distribution.site.arn": "local.distribution",
    "each.value": "local.path",
}
MADE = {
    "Bucket": BUCKET.name,
    "Bucket.Arn": ARN,
    "Distribution": "E1EXAMPLE",
    "AWS::Partition": "aws",
    "AWS::AccountId": "123456789012",
}


def test_cfn_lint_finds_nothing_to_say_but_would_have_found_a_wrong_property() -> None:
    rules = get_rules([], [], [])
    for site, bucket in SHAPES:
        for text in (hosting_cloudformation(site, bucket), certificate_cloudformation(site)):
            assert [str(match) for match in lint(marked(text), rules)] == []
    text = hosting_cloudformation(SITE, BUCKET)
    assert lint(text.replace("OriginAccessControlId:", "OriginAccessControl:"), rules)
    assert lint(text.replace("!GetAtt Bucket.RegionalDomainName", "!GetAtt Bucket.RegionalName"), rules)
    assert lint(text.replace("http2and3", "http4"), rules)


@needs_terraform
@pytest.mark.parametrize(("site", "bucket"), SHAPES)
def test_terraform_reads_it_and_would_lay_it_out_just_so(tmp_path: Path, site: Site, bucket: Bucket) -> None:
    (tmp_path / "main.tf").write_text(marked(hosting_terraform(site, bucket)))
    done = run_terraform(tmp_path, "fmt", "-check", "-diff")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def look_into(block: dict[str, Any], where: str, seen: set[str]) -> None:
    """Compare a block, and those in it, with what the provider takes."""
    inner: dict[str, Any] = {name: item for name, item in block.items() if name not in {*META, "lifecycle", "dynamic"}}
    for dynamic in block.get("dynamic", []):
        inner |= {name: body["content"] for name, body in dynamic.items()}
    assert NEEDED.get(where, set()) <= inner.keys() <= TAKEN.get(where, set()), where
    seen.add(where)
    for name, item in inner.items():
        if isinstance(item, list) and any(isinstance(one, dict) for one in item):
            for one in item:
                look_into(one, f"{where}.{name}", seen)


def test_every_argument_and_block_is_one_that_the_provider_takes() -> None:
    seen: set[str] = set()
    for label, block in blocks(hosting_terraform(SITE, BUCKET), "resource").items():
        look_into(block, label.split(".")[0], seen)
    # an empty filter is a block without arguments
    assert seen | {"aws_s3_bucket_lifecycle_configuration.rule.filter"} >= TAKEN.keys()


def policy_of(resource: str) -> str:
    """The expression of a resource's policy, with names of ours for what Terraform would know by then."""
    text = hosting_terraform(SITE, BUCKET)
    (block,) = re.findall(rf"^resource {resource} \{{\n.*?^\}}\n", text, re.DOTALL | re.MULTILINE)
    (expression,) = re.findall(r"^  policy = (jsonencode\(\{\n.*?^  \}\))\n", block, re.DOTALL | re.MULTILINE)
    for reference, local in STAND_INS.items():
        expression = expression.replace(reference, local)
    return str(expression)


def declared(policy: str, path: str) -> str:
    (local,) = re.findall(r"^  documents = .*$", hosting_terraform(SITE, BUCKET), re.MULTILINE)
    return textwrap.dedent(f"""\
        locals {{
        {local}
          path = {json.dumps(path)}
          bucket = "{ARN}"
          distribution = "{DISTRIBUTION_ARN}"
          policy = {policy}
        }}
        """)


@needs_terraform
@pytest.mark.parametrize("path", SITE.paths)
def test_both_let_whoever_publishes_an_issuer_write_just_its_documents(tmp_path: Path, path: str) -> None:
    resources = read(hosting_cloudformation(SITE, BUCKET))["Resources"]
    theirs = [
        resolved(resource["Properties"]["PolicyDocument"], MADE)  # type: ignore[index]
        for name, resource in resources.items()
        if name.startswith("Publisher") and f'"{SITE.issuer(path)}"' in json.dumps(resource).replace("issuer ", '"')
    ]
    ours = evaluated(tmp_path, "local.policy", declared(policy_of('"aws_iam_policy" "publisher"'), path))
    assert theirs == [ours]
    assert isinstance(ours, dict)
    written = {resource.removeprefix(f"{ARN}/") for resource in ours["Statement"][0]["Resource"]}
    assert written == set(keys(path))


@needs_terraform
def test_both_have_the_same_policy_for_the_bucket(tmp_path: Path) -> None:
    bucket_policy = read(hosting_cloudformation(SITE, BUCKET))["Resources"]["BucketPolicy"]["Properties"]
    assert isinstance(bucket_policy, dict)
    ours = evaluated(tmp_path, "local.policy", declared(policy_of('"aws_s3_bucket_policy" "site"'), ""))
    assert resolved(bucket_policy["PolicyDocument"], MADE) == ours


@needs_terraform
@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ('["", "site-a", "a/b", "~x.y_z"]', False),
        ('["/a"]', True),
        ('["a/"]', True),
        ('["a b"]', True),
        ('[".."]', True),
    ],
)
def test_a_path_that_no_issuer_has_is_refused(tmp_path: Path, given: str, *, refused: bool) -> None:
    (block,) = re.findall(r'^variable "paths" \{\n.*?^\}\n', hosting_terraform(SITE, BUCKET), re.DOTALL | re.MULTILINE)
    (tmp_path / "main.tf").write_text(block)
    done = run_terraform(tmp_path, "plan", "-input=false", f"-var=paths={given}")
    assert (done.returncode != 0) is refused, done.stdout + done.stderr
    assert ("made of letters" in done.stderr) is refused


@needs_terraform
@pytest.mark.parametrize(("zone", "count"), [("Z1", 1), ("", 0)])
def test_records_are_made_where_the_zone_is_known(tmp_path: Path, zone: str, count: int) -> None:
    resources = blocks(hosting_terraform(SITE, BUCKET), "resource")
    option = {"domain_name": "oidc.example.com", "resource_record_name": "_x", "resource_record_value": "_y"}
    validation = _expression(resources["aws_route53_record.validation"]["for_each"]).replace(
        "aws_acm_certificate.site.domain_validation_options", "local.options"
    )
    fqdns = _expression(resources["aws_acm_certificate_validation.site"]["validation_record_fqdns"])
    found = evaluated(
        tmp_path,
        "jsonencode([length(local.validation), length(local.address), local.fqdns])",
        f'variable "zone_id" {{ default = {json.dumps(zone)} }}\n'
        "locals {\n"
        f"  options = {json.dumps([option]).replace(': ', ' = ')}\n"
        f"  validation = {validation}\n"
        f"  address = {_expression(resources['aws_route53_record.address']['for_each'])}\n"
        '  records = { for name, _ in local.validation : name => { fqdn = "_x" } }\n'
        f"  fqdns = {fqdns.replace('aws_route53_record.validation', 'local.records')}\n"
        "}\n",
    )
    assert found == [count, 2 * count, ["_x"] * count or None]


def _expression(value: str) -> str:
    """An expression as python-hcl2 shows it, `${…}`, as it may stand in a file."""
    return value.removeprefix("${").removesuffix("}").replace('\\"', '"')


def test_the_module_configures_no_provider_so_that_others_can_use_it() -> None:
    module = bare(hcl2.loads(hosting_terraform(SITE, BUCKET)))
    assert module.keys().isdisjoint({"provider", "backend"})
    (required,) = module["terraform"][0]["required_providers"]
    assert required["aws"]["version"] == ">= 6.0"


if TERRAFORM is not None and Path(os.environ.get("TF_PLUGIN_CACHE_DIR") or os.devnull).is_dir():

    @pytest.mark.timeout(300)
    @pytest.mark.parametrize(("site", "bucket"), SHAPES)
    def test_terraform_validate_has_nothing_to_say(tmp_path: Path, site: Site, bucket: Bucket) -> None:
        (tmp_path / "main.tf").write_text(hosting_terraform(site, bucket))
        begun = run_terraform(tmp_path, "init", "-backend=false", "-input=false")
        assert begun.returncode == 0, begun.stderr
        done = run_terraform(tmp_path, "validate")
        assert done.returncode == 0, done.stderr
