"""What does the trust policy of a role say?

IAM's rules: the provider's name is the issuer's URL without `https://`, path and terminating slash kept, in its ARN
and in the condition keys alike. Pure.
"""

import json
from collections.abc import Mapping
from typing import Final

from agent.infrastructure import Account, Trust

#: Characters of a trust policy, blanks left out. AWS raises this to 4096 on request.
QUOTA: Final = 2048

Policy = Mapping[str, object]


def provider_name(issuer: str) -> str:
    """The issuer's URL as IAM names its provider and prefixes its condition keys."""
    return issuer.removeprefix("https://")


def provider_arn(issuer: str, account: Account) -> str:
    """The ARN of the OIDC provider that stands for the issuer in an account."""
    return f"arn:{account.partition}:iam::{account.number}:oidc-provider/{provider_name(issuer)}"


def trust_policy(
    issuer: str,
    account: str,
    partition: str,
    audience: str,
    subject: str,
    *,
    tags: bool = False,
    source_identity: bool = False,
    require_pinning: bool = False,
) -> Policy:
    """Who may assume a role: the bearer of a token of this issuer, with this audience and this subject.

    The arguments are those of `Trust` and `Account`. An action is allowed only where tokens make use of it: without
    `sts:TagSession` STS refuses every token that carries tags, and with it a token could bring tags unasked.
    """
    name = provider_name(issuer)
    actions = ["sts:AssumeRoleWithWebIdentity"]
    actions += ["sts:TagSession"] * tags + ["sts:SetSourceIdentity"] * source_identity
    condition: dict[str, dict[str, str]] = {
        "StringEquals": {f"{name}:aud": _literal(audience), f"{name}:sub": _literal(subject)}
    }
    if require_pinning:
        condition["Bool"] = {"sts:RoleAuthorizedByIdp": "true"}
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider_arn(issuer, Account(partition, account))},
        "Action": actions,
        "Condition": condition,
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def policy_of(trust: Trust, account: Account) -> Policy:
    """The same, from what the generators hold."""
    return trust_policy(
        trust.issuer,
        account.number,
        account.partition,
        trust.audience,
        trust.subject,
        tags=trust.tags,
        source_identity=trust.source_identity,
        require_pinning=trust.require_pinning,
    )


def size(policy: Policy) -> int:
    """How much of the quota a policy takes: IAM does not count blanks between its parts."""
    return len(json.dumps(policy, separators=(",", ":"), ensure_ascii=False))


def _literal(value: str) -> str:
    """In a condition's value `${…}` names a policy variable; `${$}` is how IAM writes the dollar sign itself."""
    return value.replace("${", "${$}{")
