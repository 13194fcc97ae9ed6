import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigurationError
from agent.infrastructure.hosting import PATH, Bucket, Site, keys, refuse_unfit
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, address, documents

BUCKET = Bucket("oidc-example-com", "eu-central-1")


@pytest.mark.parametrize(
    ("issuers", "site", "label"),
    [
        (["https://oidc.example.com"], Site("oidc.example.com", ("",)), "oidc.example.com"),
        (["https://OIDC.example.com/"], Site("oidc.example.com", ("",)), "oidc.example.com"),
        (["https://oidc.example.com/A/b/"], Site("oidc.example.com", ("A/b",)), "oidc.example.com_A_b"),
        (
            ["https://oidc.example.com/a", "https://oidc.example.com/b", "https://oidc.example.com/a/"],
            Site("oidc.example.com", ("a", "b")),
            "oidc.example.com",
        ),
    ],
)
def test_issuers_of_one_host_are_told_apart_by_their_paths(issuers: list[str], site: Site, label: str) -> None:
    assert Site.of(issuers) == site
    assert site.label == label


@pytest.mark.parametrize(
    "issuers",
    [
        ["https://a.example.com", "https://b.example.com"],
        [],
        ["https://oidc.example.com/a//b"],
        ["https://oidc.example.com/a%20b"],
        ["https://oidc.example.com/../b"],
        ["https://oidc.example.com/.hidden"],
        ["https://oidc.example.com/a;b"],
        ["https://localhost"],
    ],
)
def test_what_cannot_be_served_from_one_site_is_refused(issuers: list[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Site.of(issuers)
    assert refused.value.hint


@given(st.from_regex(PATH, fullmatch=True).map(lambda path: path.strip("/\n")), st.booleans())
def test_keys_in_the_bucket_are_what_the_issuers_url_leads_to(path: str, terminated: bool) -> None:  # noqa: FBT001
    issuer = f"https://oidc.example.com/{path}{'/' * terminated}"
    site = Site.of([issuer])
    assert [f"https://{site.host}/{key}" for key in keys(site.paths[0])] == [
        address(issuer, DISCOVERY_PATH),
        address(issuer, JWKS_PATH),
    ]
    assert re.fullmatch(PATH, site.paths[0])


def test_all_documents_that_are_published_have_a_key() -> None:
    shown = documents("https://oidc.example.com", [{"kty": "RSA"}], max_age=timedelta())
    assert {document.path for document in shown} == set(keys(""))


@pytest.mark.parametrize(
    ("bucket", "said"),
    [
        (replace(BUCKET, region="cn-north-1"), "partition"),
        (replace(BUCKET, region="us-gov-west-1"), "partition"),
        (replace(BUCKET, region="us-isob-east-1"), "partition"),
        (replace(BUCKET, region="eusc-de-east-1"), "partition"),
        (replace(BUCKET, region="Frankfurt"), "no region"),
        (replace(BUCKET, name="oidc.example.com"), "cannot be read over TLS"),
        (replace(BUCKET, name='a"b'), "cannot be read"),
        (replace(BUCKET, prefix="site-b"), "prefix 'site-b'"),
    ],
)
def test_a_bucket_that_cloudfront_cannot_show_at_the_issuers_url_is_refused(bucket: Bucket, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)) as refused:
        refuse_unfit(Site.of(["https://oidc.example.com"]), bucket)
    assert refused.value.hint


def test_a_bucket_whose_prefix_is_the_issuers_path_is_fit() -> None:
    refuse_unfit(Site.of(["https://oidc.example.com/a", "https://oidc.example.com"]), BUCKET)
    refuse_unfit(Site.of(["https://oidc.example.com/a/b/"]), replace(BUCKET, prefix="a/b", region="us-east-1"))
