"""Are policies read as IAM reads them, and decided as it decides?"""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox.policies.policy import Asking, Decision, Kind, Malformed, decide, read_policy

PROVIDER = "arn:aws:iam::123456789012:oidc-provider/oidc.example.com"
SCALARS = "Syntax error: a condition key must have a string, a number or a boolean, or a list of them"
ASSUME = "sts:AssumeRoleWithWebIdentity"


def trust(**changed: object) -> dict[str, object]:
    statement = {"Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": ASSUME, **changed}
    return document({name: value for name, value in statement.items() if value is not None})


def document(*statements: object) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def identity(**changed: object) -> dict[str, object]:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **changed}
    return document({name: value for name, value in statement.items() if value is not None})


@pytest.mark.parametrize(
    ("written", "kind", "told"),
    [
        ([], Kind.TRUST, "Syntax errors in policy."),
        ({}, Kind.TRUST, "Syntax errors in policy."),
        (document(), Kind.TRUST, "Syntax errors in policy."),
        (document("x"), Kind.TRUST, "Syntax errors in policy."),
        ({**trust(), "Version": "2026-01-01"}, Kind.TRUST, "The policy must contain a valid version string"),
        ({**trust(), "Statements": []}, Kind.TRUST, "Syntax error: the policy has an unknown element Statements"),
        (trust(Effect="allow"), Kind.TRUST, "Invalid effect: allow"),
        (trust(Effect=None), Kind.TRUST, "Invalid effect: None"),
        (trust(Action=None), Kind.TRUST, "Policy statement must contain actions."),
        (trust(NotAction="sts:*"), Kind.TRUST, "Policy statement must contain actions."),
        (trust(Action=[]), Kind.TRUST, "Syntax error: Action must be a string or a list of strings"),
        (trust(Action=[7]), Kind.TRUST, "Syntax error: Action must be a string or a list of strings"),
        (
            trust(Action="AssumeRole"),
            Kind.TRUST,
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (trust(Resource="*"), Kind.TRUST, "Has prohibited field Resource"),
        (trust(NotPrincipal="*"), Kind.TRUST, "Has prohibited field NotPrincipal"),
        (trust(Principal=None), Kind.TRUST, "Invalid principal in policy"),
        (trust(Principal=PROVIDER), Kind.TRUST, "Invalid principal in policy"),
        (trust(Principal={"Web": PROVIDER}), Kind.TRUST, "Invalid principal in policy"),
        (trust(Principal={}), Kind.TRUST, "Invalid principal in policy"),
        (trust(Condition=[]), Kind.TRUST, "Syntax error: Condition must be an object"),
        (trust(Condition={"StringEqual": {"a:b": "c"}}), Kind.TRUST, "Invalid Condition type : StringEqual"),
        (
            trust(Condition={"StringEquals": "a"}),
            Kind.TRUST,
            "Syntax error: StringEquals must be an object of condition keys",
        ),
        (trust(Condition={"StringEquals": {"a:b": None}}), Kind.TRUST, SCALARS),
        (identity(Resource=None), Kind.IDENTITY, "Policy statement must contain resources."),
        (identity(Principal="*"), Kind.IDENTITY, "Has prohibited field Principal"),
    ],
)
def test_what_iam_would_refuse_is_refused(written: object, kind: Kind, told: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_policy(written, kind)
    assert str(caught.value) == told


def decision(written: object, kind: Kind, asking: Asking) -> Decision:
    return read_policy(written, kind).decide(asking)


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({}, Decision.ALLOWED),
        ({"Action": "sts:*"}, Decision.ALLOWED),
        ({"Action": "*"}, Decision.ALLOWED),
        ({"Action": "STS:assumerolewithwebidentity"}, Decision.ALLOWED),
        ({"Action": ["sts:TagSession", ASSUME]}, Decision.ALLOWED),
        ({"Action": "sts:AssumeRole"}, Decision.SILENT),
        ({"Action": None, "NotAction": "sts:TagSession"}, Decision.ALLOWED),
        ({"Action": None, "NotAction": "sts:Assume*"}, Decision.SILENT),
        ({"Effect": "Deny"}, Decision.DENIED),
        ({"Principal": {"Federated": [PROVIDER, "other"]}}, Decision.ALLOWED),
        ({"Principal": {"Federated": PROVIDER + "/"}}, Decision.SILENT),
        ({"Principal": {"Federated": PROVIDER.upper()}}, Decision.SILENT),
        ({"Principal": {"AWS": "*"}}, Decision.SILENT),
        ({"Principal": {"AWS": PROVIDER, "Federated": "cognito-identity.amazonaws.com"}}, Decision.SILENT),
        ({"Principal": "*"}, Decision.ALLOWED),
        ({"Condition": {"Bool": {"sts:RoleAuthorizedByIdp": True}}}, Decision.ALLOWED),
        ({"Condition": {"Bool": {"sts:RoleAuthorizedByIdp": False}}}, Decision.SILENT),
        (
            {
                "Condition": {
                    "StringEquals": {"i:sub": ["a", "b"], "i:aud": "c"},
                    "Bool": {"sts:RoleAuthorizedByIdp": "true"},
                }
            },
            Decision.ALLOWED,
        ),
        ({"Condition": {"StringEquals": {"i:sub": "b", "i:aud": "d"}}}, Decision.SILENT),
        ({"Condition": {"NumericEquals": {"n:n": 7}}}, Decision.ALLOWED),
    ],
)
def test_a_trust_policy_decides(changed: Mapping[str, object], outcome: Decision) -> None:
    context = {"sts:roleauthorizedbyidp": ("true",), "i:sub": ("b",), "i:aud": ("c",), "n:n": ("7",)}
    assert decision(trust(**changed), Kind.TRUST, Asking(ASSUME, federated=PROVIDER, context=context)) is outcome


@pytest.mark.parametrize(
    ("changed", "resource", "outcome"),
    [
        ({}, "arn:aws:s3:::b/k", Decision.ALLOWED),
        ({"Resource": "arn:aws:s3:::b/*"}, "arn:aws:s3:::b/k/l", Decision.ALLOWED),
        ({"Resource": "arn:aws:s3:::b/*"}, "arn:aws:s3:::b", Decision.SILENT),
        ({"Resource": ["arn:aws:s3:::c", "arn:aws:s3:::b/k"]}, "arn:aws:s3:::b/k", Decision.ALLOWED),
        ({"Resource": "arn:aws:s3:::b/K"}, "arn:aws:s3:::b/k", Decision.SILENT),
        ({"Resource": None, "NotResource": "arn:aws:s3:::b/*"}, "arn:aws:s3:::b/k", Decision.SILENT),
        ({"Resource": None, "NotResource": "arn:aws:s3:::c/*"}, "arn:aws:s3:::b/k", Decision.ALLOWED),
        ({"Resource": "arn:aws:s3:::b/${aws:PrincipalTag/Team}"}, "arn:aws:s3:::b/web", Decision.ALLOWED),
        ({"Resource": "arn:aws:s3:::b/${aws:PrincipalTag/No}"}, "arn:aws:s3:::b/", Decision.SILENT),
        ({"Action": "s3:Get*"}, "arn:aws:s3:::b/k", Decision.ALLOWED),
        ({"Action": "ec2:*"}, "arn:aws:s3:::b/k", Decision.SILENT),
    ],
)
def test_an_identity_policy_decides(changed: Mapping[str, object], resource: str, outcome: Decision) -> None:
    asking = Asking("s3:GetObject", resource, context={"aws:principaltag/team": ("web",)})
    assert decision(identity(**changed), Kind.IDENTITY, asking) is outcome


def test_variables_are_text_in_policies_of_the_older_version() -> None:
    old = {**identity(Resource="arn:aws:s3:::b/${aws:PrincipalTag/Team}"), "Version": "2008-10-17"}
    context = {"aws:principaltag/team": ("web",)}
    assert decision(old, Kind.IDENTITY, Asking("s3:GetObject", "arn:aws:s3:::b/web", context=context)) is (
        Decision.SILENT
    )
    literal = Asking("s3:GetObject", "arn:aws:s3:::b/${aws:PrincipalTag/Team}", context=context)
    assert decision(old, Kind.IDENTITY, literal) is Decision.ALLOWED


EFFECTS = st.lists(st.tuples(st.sampled_from(["Allow", "Deny"]), st.sampled_from(["s3:GetObject", "s3:Put*", "*"])))


@given(EFFECTS, EFFECTS)
def test_any_deny_denies_and_silence_is_silence(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> None:
    policies = [
        read_policy(
            document(*({"Effect": effect, "Action": action, "Resource": "*"} for effect, action in statements)),
            Kind.IDENTITY,
        )
        for statements in (first, second)
        if statements
    ]
    effects = [effect for effect, action in [*first, *second] if action != "s3:Put*"]
    expected = Decision.ALLOWED if effects else Decision.SILENT
    if "Deny" in effects:
        expected = Decision.DENIED
    assert decide(policies, Asking("s3:GetObject", "arn:aws:s3:::b/k")) is expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["Allow", "*", "sts:*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Version", "Statement", "Effect", "Action", "Principal", "Condition", "Resource", "x"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_document_at_all_makes_the_reader_fail_otherwise(written: object) -> None:
    for kind in Kind:
        try:
            read_policy(written, kind)
        except Malformed:
            continue
