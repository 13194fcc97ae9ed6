"""Are callers inside AWS named so that nobody else is meant?"""

from pathlib import Path

import pytest

from agent.settings.aws_callers import WHO, AwsCallers, aws_grant
from agent.settings.callers import Grant
from agent.settings.section import Surroundings, read

HERE = Surroundings(Path("/etc/rolecall"), None, {"HOST": "web-1"})
WORDS = {
    "server_id": "https://tokens.example.com",
    "certificate": "fullchain.pem",
    "private_key": "/etc/ssl/privkey.pem",
}
ACCOUNT = "123456789012"


def said(kind: type[AwsCallers | Grant], **words: object) -> list[str]:
    table = WORDS | words if kind is AwsCallers else {"audiences": ["https://api.example.com"], **words}
    return [str(mistake) for mistake in read(kind, table, "x", HERE)[1]]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://tokens.example.com", "https://tokens.example.com"),
        ("https://tokens.example.com/", "https://tokens.example.com"),
        ("https://tokens.example.com:8443", "https://tokens.example.com:8443"),
    ],
)
def test_a_server_is_called_by_its_url(written: str, meant: str) -> None:
    section, _ = read(AwsCallers, WORDS | {"server_id": written}, "aws_callers", HERE)
    assert section is not None
    assert section.server_id == meant


@pytest.mark.parametrize(
    "written",
    [
        "",
        "tokens.example.com",
        "http://tokens.example.com",
        "https://tokens.example.com/path",
        "https://tokens.example.com?a",
        "https://Tokens.example.com",
        "https://a@tokens.example.com",
        "https://tokens.example.com\r\nX: y",
    ],
)
def test_what_is_no_such_url_is_refused(written: str) -> None:
    assert len(said(AwsCallers, server_id=written)) == 1


@pytest.mark.parametrize(
    "issuer",
    [
        "https://4f6c1e0a-9d3b-4c58-8a57-2b1f6e9d0c11.tokens.sts.global.api.aws",
        "https://abc123-def456-ghi789-jkl012.tokens.sts.global.api.aws",
    ],
)
def test_an_issuer_of_an_account_is_taken(issuer: str) -> None:
    assert said(AwsCallers, issuers=[issuer]) == []


@pytest.mark.parametrize(
    "issuer",
    [
        "https://oidc.example.com",
        "https://4f6c1e0a.tokens.sts.global.api.aws/",
        "https://tokens.sts.global.api.aws",
        "https://4f6c1e0a.tokens.sts.global.api.aws.example.com",
        "http://4f6c1e0a.tokens.sts.global.api.aws",
    ],
)
def test_any_other_issuer_is_refused(issuer: str) -> None:
    assert len(said(AwsCallers, issuers=[issuer])) == 1


@pytest.mark.parametrize(
    "principal",
    [
        f"arn:aws:iam::{ACCOUNT}:role/deploy",
        f"arn:aws:iam::{ACCOUNT}:role/ci-*",
        f"arn:aws:iam::{ACCOUNT}:*",
        f"arn:aws:iam::{ACCOUNT}:root",
        f"arn:aws:iam::{ACCOUNT}:user/team/alice",
        f"arn:aws:sts::{ACCOUNT}:federated-user/alice",
        f"arn:aws-us-gov:iam::{ACCOUNT}:role/deploy",
    ],
)
def test_a_principal_of_one_account_is_taken(principal: str) -> None:
    assert said(Grant, aws_principal=principal) == []


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        "arn:aws:iam::*",
        "arn:*:iam::123456789012:role/deploy",
        f"arn:aws:*::{ACCOUNT}:role/deploy",
        f"arn:aws:iam:*:{ACCOUNT}:role/deploy",
        f"arn:aws:iam::{ACCOUNT[:-1]}*:role/deploy",
        f"arn:aws:iam::{ACCOUNT[:-1]}?:role/deploy",
        f"arn:aws:iam::{ACCOUNT}:role/a:b",
        f"arn:aws:iam::{ACCOUNT}:role/a b",
        f"arn:aws:iam::{ACCOUNT}:role/team/deploy",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/web",
    ],
)
def test_what_could_be_somebody_else_is_refused(principal: str) -> None:
    assert len(said(Grant, aws_principal=principal)) == 1


def test_a_principal_of_any_account_needs_to_be_told_which() -> None:
    anywhere = "arn:aws:iam::*:role/deploy"
    assert len(said(Grant, aws_principal=anywhere)) == 1
    assert said(Grant, aws_principal=anywhere, aws_account=ACCOUNT) == []
    assert said(Grant, aws_principal=anywhere, aws_organization="o-a1b2c3d4e5") == []
    assert len(said(Grant, aws_principal=[f"arn:aws:iam::{ACCOUNT}:role/deploy", anywhere])) == 1


@pytest.mark.parametrize("word", ["aws_account", "aws_organization"])
@pytest.mark.parametrize("value", ["", "*", "12345678901", "o-*", "O-A1B2C3D4E5", "\u0661" * 12])
def test_accounts_and_organizations_are_no_patterns(word: str, value: str) -> None:
    assert len(said(Grant, **{word: value})) == 1


def test_a_grant_that_names_nobody_there_is_not_judged() -> None:
    assert list(aws_grant({"roles": ["backup"], "unit": "a.service"}, ["unit"])) == []


def test_each_word_says_what_is_to_be_known() -> None:
    grant = Grant.model_validate(
        {
            "audiences": ["https://api.example.com"],
            "aws_principal": [f"arn:aws:iam::{ACCOUNT}:role/a", f"arn:aws:iam::{ACCOUNT}:role/b*"],
            "aws_account": ACCOUNT,
        },
        context=HERE,
    )
    assert set(grant.ways()) == {
        frozenset({("aws.principal", f"arn:aws:iam::{ACCOUNT}:role/a"), ("aws.account", ACCOUNT)}),
        frozenset({("aws.principal.like", f"arn:aws:iam::{ACCOUNT}:role/b*"), ("aws.account", ACCOUNT)}),
    }
    assert [grant.values(word) for word in WHO] == [
        (f"arn:aws:iam::{ACCOUNT}:role/a", f"arn:aws:iam::{ACCOUNT}:role/b*"),
        (ACCOUNT,),
        (),
    ]
