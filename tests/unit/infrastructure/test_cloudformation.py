from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.infrastructure import Account, Role, Trust
from agent.infrastructure.cloudformation import cloudformation
from agent.infrastructure.trust import policy_of
from tests.fakes.cloudformation import read

HERE = Account("aws", "123456789012")
TRUST = Trust("https://oidc.example.com/site-a", "sts.amazonaws.com", "host:web-1")


def a_role(*names: str, path: str = "/", role: str = "backup", hours: int = 2) -> Role:
    return Role(names, HERE, path, role, timedelta(hours=hours))


def with_a_provider_elsewhere(value: object) -> object:
    """What CloudFormation makes of it where CreateProvider is false."""
    if isinstance(value, dict):
        if value.keys() == {"If"}:
            return value["If"][2]
        return {name: with_a_provider_elsewhere(item) for name, item in value.items()}
    return [with_a_provider_elsewhere(item) for item in value] if isinstance(value, list) else value


def test_a_role_has_name_path_duration_and_trust() -> None:
    role = read(cloudformation(TRUST, HERE, [a_role("nightly", path="/site/a/")]))["Resources"]["Nightly"]
    assert role["Type"] == "AWS::IAM::Role"
    properties = role["Properties"]
    assert isinstance(properties, dict)
    assert (properties["RoleName"], properties["Path"], properties["MaxSessionDuration"]) == (
        "backup",
        "/site/a/",
        7200,
    )
    assert with_a_provider_elsewhere(properties["AssumeRolePolicyDocument"]) == policy_of(TRUST, HERE)
    federated = properties["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Federated"]
    assert federated["If"][:2] == ["ProviderIsOurs", {"Ref": "Issuer"}]


def test_the_provider_is_made_for_the_issuer_and_the_audience_unless_it_is_there_already() -> None:
    template = read(cloudformation(TRUST, HERE, [a_role("nightly")]))
    assert template["Resources"]["Issuer"] == {
        "Type": "AWS::IAM::OIDCProvider",
        "Condition": "ProviderIsOurs",
        "Properties": {
            "Url": "https://oidc.example.com/site-a",
            "ClientIdList": ["sts.amazonaws.com"],
            "Tags": [{"Key": "managed-by", "Value": "rolecall"}],
        },
    }
    assert template["Parameters"]["CreateProvider"]["Default"] == "true"
    assert template["Conditions"]["ProviderIsOurs"] == {"Equals": [{"Ref": "CreateProvider"}, "true"]}


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=127)
    | st.lists(st.sampled_from(["$", "{", '"', "\\", "\n", '"Federated": "arn', "😀"]), min_size=1).map("".join)
)
def test_any_subject_comes_back_out_of_the_yaml(subject: str) -> None:
    trust = Trust("https://oidc.example.com", "aud", subject, source_identity=True, require_pinning=True)
    role = read(cloudformation(trust, HERE, [a_role("nightly")]))["Resources"]["Nightly"]["Properties"]
    assert isinstance(role, dict)
    assert with_a_provider_elsewhere(role["AssumeRolePolicyDocument"]) == policy_of(trust, HERE)


def test_each_role_has_a_parameter_for_what_it_may_do_and_an_output() -> None:
    template = read(
        cloudformation(TRUST, HERE, [a_role("a-b", "c"), a_role("issuer", role="x"), a_role("9", role="y")])
    )
    assert set(template["Resources"]) == {"Issuer", "AB", "Issuer2", "Role9"}
    assert set(template["Parameters"]) == {"CreateProvider"} | {f"PermissionsOf{n}" for n in ("AB", "Issuer2", "Role9")}
    assert template["Outputs"]["ArnOfAB"] == {"Description": "The ARN of a-b and c", "Value": {"GetAtt": "AB.Arn"}}


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        here = {str(value[kind]).split(".")[0] for kind in ("Ref", "GetAtt") if value.keys() == {kind}}
        here |= {value["If"][0]} if value.keys() == {"If"} else set()
        return here.union(*(references(item) for item in value.values()))
    return set().union(*(references(item) for item in value)) if isinstance(value, list) else set()


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True), min_size=1, max_size=8, unique=True))
def test_whatever_roles_are_called_each_has_its_block_and_all_references_lead_somewhere(names: list[str]) -> None:
    template = read(cloudformation(TRUST, HERE, [a_role(name, role=f"r{number}") for number, name in enumerate(names)]))
    assert len(template["Resources"]) == len(names) + 1
    assert all(name.isalnum() and name.isascii() for name in template["Resources"])
    declared = template["Resources"].keys() | template["Parameters"].keys() | template["Conditions"].keys()
    assert references(template) - {"AWS::NoValue"} <= declared
    assert references(template) >= template["Parameters"].keys() | {"Issuer"}


@pytest.mark.parametrize("role", ["@TRUST@", "@ID@", "@PATH@"])
def test_a_role_may_be_called_like_a_place_to_fill(role: str) -> None:
    found = read(cloudformation(TRUST, HERE, [a_role("odd", role=role)]))["Resources"]["Odd"]["Properties"]
    assert isinstance(found, dict)
    assert found["RoleName"] == role
