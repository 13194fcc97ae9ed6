from collections.abc import Callable

import pytest

from agent.settings import Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
REGION = 'region = "eu-central-1"'


@pytest.mark.parametrize(
    "region", ["eu-central-1", "us-gov-west-1", "cn-northwest-1", "us-isob-east-1", "ap-southeast-15"]
)
def test_regions_of_every_partition_are_regions(region: str, read: Read) -> None:
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov", "us-isob": "aws-iso-b"}
    named = next((name for beginning, name in partition.items() if region.startswith(beginning)), "aws")
    assert read((REGION, f'region = "{region}"'), ("arn:aws:", f"arn:{named}:")).sts.region == region


@pytest.mark.parametrize("region", ["", "eu-central", "EU-CENTRAL-1", "eu-central-1a", "eu_central_1", "global"])
def test_what_is_no_region_is_refused(region: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((REGION, f'region = "{region}"'))
    assert told.startswith("sts.region: ")


@pytest.mark.parametrize(
    "url", ["https://sts.example.com", "https://sts.example.com:8443/path", "http://127.0.0.1:4566", "http://[::1]:1",
            "http://localhost:4566", "http://127.8.9.10"],
)  # fmt: skip
def test_a_service_is_reached_over_tls_or_on_this_machine(url: str, read: Read) -> None:
    assert read((REGION, f'{REGION}\nendpoint_url = "{url}"')).sts.endpoint_url == url


@pytest.mark.parametrize(
    "url",
    ["http://sts.example.com", "http://10.0.0.1", "http://localhost.example.com", "ftp://127.0.0.1", "https:///path",
     "https://a:0", "https://a:99999", "https://[::1", "https://me@a", "https://a?b", "https://a#b", "https://a b"],
)  # fmt: skip
def test_a_service_that_is_reached_otherwise_is_refused_and_not_quoted(url: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((REGION, f'{REGION}\nendpoint_url = "{url}"'))
    assert told.startswith("sts.endpoint_url: ")
    assert url not in told


@pytest.mark.parametrize("url", ["http://proxy.example.com:3128", "https://proxy.example.com", "http://10.0.0.1:8080/"])
def test_a_proxy_may_be_anywhere_since_tls_goes_through_it(url: str, read: Read) -> None:
    found = read((REGION, f'{REGION}\nproxy = "{url}"'), ("[key]", f'proxy = "{url}"\n[key]'))
    assert found.issuer is not None
    assert (found.sts.proxy, found.issuer.proxy) == (url, url)


@pytest.mark.parametrize(
    "url", ["socks5://proxy.example.com", "proxy.example.com:3128", "http://p/path", "http://me:x@p"]
)
def test_a_proxy_that_is_none_is_refused(url: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((REGION, f'{REGION}\nproxy = "{url}"'))
    assert told.startswith("sts.proxy: ")
