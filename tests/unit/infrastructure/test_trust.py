import pytest

from agent.infrastructure import Account, Trust
from agent.infrastructure.trust import QUOTA, policy_of, provider_arn, provider_name, size, trust_policy


def test_the_policy_names_issuer_audience_and_subject_exactly() -> None:
    assert trust_policy("https://oidc.example.com", "123456789012", "aws", "sts.amazonaws.com", "host:web-1") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.example.com"},
                "Action": ["sts:AssumeRoleWithWebIdentity"],
                "Condition": {
                    "StringEquals": {
                        "oidc.example.com:aud": "sts.amazonaws.com",
                        "oidc.example.com:sub": "host:web-1",
                    }
                },
            }
        ],
    }


def test_path_slash_partition_and_every_choice_are_kept() -> None:
    trust = Trust(
        "https://oidc.example.com/a/b/", "aud", "subject", tags=True, source_identity=True, require_pinning=True
    )
    assert policy_of(trust, Account("aws-cn", "210987654321")) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": "arn:aws-cn:iam::210987654321:oidc-provider/oidc.example.com/a/b/"},
                "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"],
                "Condition": {
                    "StringEquals": {"oidc.example.com/a/b/:aud": "aud", "oidc.example.com/a/b/:sub": "subject"},
                    "Bool": {"sts:RoleAuthorizedByIdp": "true"},
                },
            }
        ],
    }


@pytest.mark.parametrize(("tags", "source_identity"), [(False, False), (True, False), (False, True), (True, True)])
def test_what_tokens_do_not_use_is_not_allowed(tags: bool, source_identity: bool) -> None:  # noqa: FBT001 - a table
    policy = trust_policy(
        "https://a", "123456789012", "aws", "aud", "subject", tags=tags, source_identity=source_identity
    )
    assert ("sts:TagSession" in str(policy)) is tags
    assert ("sts:SetSourceIdentity" in str(policy)) is source_identity


def test_a_dollar_before_a_brace_is_no_policy_variable() -> None:
    policy = str(trust_policy("https://a", "123456789012", "aws", "aud", "host:${aws:username}/$x/{y}"))
    assert "'host:${$}{aws:username}/$x/{y}'" in policy


def test_the_provider_is_the_issuer_without_its_scheme() -> None:
    assert provider_name("https://oidc.example.com/a/") == "oidc.example.com/a/"
    assert provider_arn("https://oidc.example.com/a/", Account("aws", "123456789012")) == (
        "arn:aws:iam::123456789012:oidc-provider/oidc.example.com/a/"
    )


def test_the_size_is_what_iam_counts() -> None:
    assert size({"a": ["b", "ü c"]}) == len('{"a":["b","ü c"]}')


def test_the_longest_subject_and_issuer_fit_the_quota() -> None:
    issuer = "https://" + "h" * 247
    longest = trust_policy(
        issuer,
        "123456789012",
        "aws-us-gov",
        "a" * 255,
        "s" * 127,
        tags=True,
        source_identity=True,
        require_pinning=True,
    )
    assert size(longest) < QUOTA
