import argparse

import pytest

from agent.cli.first_publishing import add_publishing, publishing_of
from agent.errors import ConfigurationError

S3 = ["--publish", "s3", "--bucket", "b-1", "--bucket-credentials", "role:publisher"]
HTTPS = ["--publish", "https", "--certificate", "/c.pem", "--certificate-key", "/k.pem"]


def words(*given: str, issuer: str = "https://oidc.example.com") -> dict[str, str]:
    parser = argparse.ArgumentParser()
    add_publishing(parser)
    return dict(publishing_of(parser.parse_args(given), issuer, "eu-central-1"))


def test_a_directory_is_usual_and_takes_nothing() -> None:
    assert words() == words("--publish", "directory") == {}


@pytest.mark.parametrize(
    ("given", "issuer", "more"),
    [
        (S3, "https://oidc.example.com", {}),
        (S3, "https://oidc.example.com/a/b/", {"prefix": "a/b"}),
        ([*S3, "--bucket-region", "us-east-1"], "https://oidc.example.com", {"region": "us-east-1"}),
    ],
)
def test_a_bucket_holds_the_path_of_the_issuer(given: list[str], issuer: str, more: dict[str, str]) -> None:
    usual = {"to": "s3", "bucket": "b-1", "credentials": "role:publisher", "region": "eu-central-1"}
    assert words(*given, issuer=issuer) == usual | more


def test_a_listener_has_its_certificate() -> None:
    assert words(*HTTPS) == {"to": "https", "certificate": "/c.pem", "private_key": "/k.pem"}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (S3[:4], "--publish s3 takes --bucket-credentials as well"),
        (HTTPS[:4], "--publish https takes --certificate-key as well"),
        ([*S3, *HTTPS[2:]], "--certificate means nothing with --publish s3"),
        ([*HTTPS, "--bucket-region", "us-east-1"], "--bucket-region means nothing with --publish https"),
        (S3[2:], "--bucket means nothing with --publish directory"),
    ],
)
def test_what_is_missing_or_means_nothing_is_named(given: list[str], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        words(*given)
