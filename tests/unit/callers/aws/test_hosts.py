import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.session import Session

from agent.callers.aws.hosts import origins


def hosts(*regions: str) -> set[str]:
    return {origin.removeprefix("https://") for origin in origins(regions)}


@pytest.mark.parametrize(
    "region",
    ["eu-central-1", "us-east-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1", "mx-central-1", "il-central-1"],
)
def test_every_endpoint_that_botocore_would_use_in_a_region_is_known(region: str) -> None:
    loader = Session().get_component("data_loader")
    rules = EndpointProvider(loader.load_service_model("sts", "endpoint-rule-set-1"), loader.load_data("partitions"))
    has_fips = not region.startswith(("cn-", "eusc-"))
    for dual in (False, True):
        for fips in (False, True) if has_fips else (False,):
            found = rules.resolve_endpoint(Region=region, UseDualStack=dual, UseFIPS=fips, UseGlobalEndpoint=False)
            assert found.url.removeprefix("https://") in hosts(region)


def test_each_host_is_good_for_its_own_region_alone() -> None:
    known = origins(["eu-central-1", "eu-west-1"])
    assert known["https://sts.eu-west-1.amazonaws.com"] == {"eu-west-1"}
    assert known["https://sts-fips.eu-central-1.api.aws"] == {"eu-central-1"}


def test_the_global_endpoint_is_that_of_the_first_region_alone() -> None:
    assert origins(["us-east-1"])["https://sts.amazonaws.com"] == {"us-east-1"}
    assert "sts.amazonaws.com" not in hosts("eu-central-1", "us-gov-west-1")


@pytest.mark.parametrize("region", ["", "mars-north-1", "aws-global", "EU-central-1"])
def test_a_region_of_no_partition_is_refused(region: str) -> None:
    with pytest.raises(ValueError, match="partition"):
        origins([region])


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://sts.example.com", "https://sts.example.com"),
        ("https://sts.example.com/", "https://sts.example.com"),
        ("https://sts.example.com:443", "https://sts.example.com"),
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
        ("http://[::1]:4566", "http://[::1]:4566"),
    ],
)
def test_an_endpoint_of_ones_own_is_the_only_one(url: str, origin: str) -> None:
    assert origins(["eu-central-1", "eu-west-1"], url) == {origin: {"eu-central-1", "eu-west-1"}}


@pytest.mark.parametrize(
    "url", ["https://sts.example.com/aws", "https://a@sts.example.com", "ftp://sts.example.com", "sts"]
)
def test_an_endpoint_that_is_more_or_less_than_a_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        origins(["eu-central-1"], url)
