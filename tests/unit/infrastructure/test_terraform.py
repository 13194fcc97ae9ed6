import json
import re
from dataclasses import replace
from datetime import timedelta

import hcl2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigurationError
from agent.infrastructure import Account, Role, Trust
from agent.infrastructure.literals import hcl
from agent.infrastructure.terraform import terraform
from agent.infrastructure.trust import policy_of

HERE = Account("aws", "123456789012")
TRUST = Trust("https://oidc.example.com/site-a", "sts.amazonaws.com", "host:web-1")


def a_role(*names: str, path: str = "/", role: str = "backup", hours: int = 2) -> Role:
    return Role(names, HERE, path, role, timedelta(hours=hours))


def parsed(text: str) -> dict[str, list[dict[str, dict[str, dict[str, object]]]]]:
    """What an independent parser makes of it; names lose their quotes."""
    found = json.loads(re.sub(r'"\\"(\w[^"\\]*)\\"":', r'"\1":', json.dumps(hcl2.loads(text))))
    assert isinstance(found, dict)
    return found


def unquoted(value: object) -> object:
    """The value that HCL text stands for, by the rules of its specification."""
    if isinstance(value, dict):
        return {unquoted(name): unquoted(item) for name, item in value.items() if not str(name).startswith("__")}
    if isinstance(value, list):
        return [unquoted(item) for item in value]
    assert isinstance(value, str)
    plain = value.replace("$${", "${")
    wide = re.sub(r"\\U([0-9a-f]{8})", lambda found: json.dumps(chr(int(found[1], 16)))[1:-1], plain)
    return json.loads(wide)


def resources(text: str, kind: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for block in parsed(text)["resource"]:
        found |= block.get(kind, {})
    return found


def test_a_role_has_name_path_duration_and_trust() -> None:
    text = terraform(TRUST, HERE, [a_role("nightly", path="/site/a/")])
    (name, role), *rest = resources(text, "aws_iam_role").items()
    assert (name, rest) == ("nightly", [])
    assert unquoted(role["name"]) == "backup"
    assert unquoted(role["path"]) == "/site/a/"
    assert role["max_session_duration"] == 7200
    assert role["assume_role_policy"] == "${local.trust_policy}"


def test_the_provider_is_made_for_the_issuer_and_the_audience_unless_it_is_there_already() -> None:
    provider = resources(terraform(TRUST, HERE, [a_role("nightly")]), "aws_iam_openid_connect_provider")["issuer"]
    assert unquoted(provider["url"]) == "https://oidc.example.com/site-a"
    assert unquoted(provider["client_id_list"]) == ["sts.amazonaws.com"]
    assert provider["count"] == "${var.create_provider ? 1 : 0}"
    assert "thumbprint_list" not in provider


def test_the_trust_policy_is_the_one_policy_of_this_account() -> None:
    assert f"  trust_policy = jsonencode({hcl(policy_of(TRUST, HERE), 2)})\n" in terraform(TRUST, HERE, [a_role("a")])


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=127)
    | st.lists(st.sampled_from(["$", "%", "{", "}", '"', "\\", "é", "😀", "\n"]), min_size=1).map("".join)
)
def test_any_subject_comes_back_out_of_the_hcl(subject: str) -> None:
    policy = policy_of(Trust("https://oidc.example.com", "aud", subject, tags=True, require_pinning=True), HERE)
    assert unquoted(hcl2.loads(f"policy = {hcl(policy)}\n")["policy"]) == policy


@pytest.mark.parametrize(
    ("word", "trust"),
    [("subject", replace(TRUST, subject="cafe\u0301")), ("audience", replace(TRUST, audience="cafe\u0301"))],
)
def test_what_terraform_would_change_behind_our_back_is_refused(word: str, trust: Trust) -> None:
    with pytest.raises(ConfigurationError, match=rf"identity\.{word} has letters") as refused:
        terraform(trust, HERE, [a_role("a")])
    assert refused.value.hint
    assert terraform(replace(TRUST, subject="caf\u00e9", audience="caf\u00e9"), HERE, [a_role("a")])


def test_names_that_share_a_role_share_what_it_may_do() -> None:
    text = terraform(TRUST, HERE, [a_role("reader", "writer"), a_role("9up", role="other")])
    attachments = resources(text, "aws_iam_role_policy_attachment")
    assert attachments["reader"]["for_each"] == (
        '${toset(flatten([for name in ["reader", "writer"] : lookup(var.permissions, name, [])]))}'
    )
    assert set(attachments) == {"reader", "role_9up"}
    assert parsed(text)["output"][0]["role_arns"]["value"] == {
        "reader": "${aws_iam_role.reader.arn}",
        "writer": "${aws_iam_role.reader.arn}",
        "9up": "${aws_iam_role.role_9up.arn}",
    }


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True), min_size=1, max_size=8, unique=True))
def test_whatever_roles_are_called_each_has_its_block_and_all_references_lead_somewhere(names: list[str]) -> None:
    text = terraform(TRUST, HERE, [a_role(name, role=f"r{number}") for number, name in enumerate(names)])
    declared = set(re.findall(r'^resource "(\w+)" "([A-Za-z][A-Za-z0-9_-]*)" \{$', text, re.MULTILINE))
    kinds = ["aws_iam_role", "aws_iam_role_policy_attachment"]
    assert {kind: sum(found == kind for found, _ in declared) for kind in kinds} == dict.fromkeys(kinds, len(names))
    referred = set(re.findall(r"\b(aws_iam_\w+)\.([A-Za-z0-9_-]+)", text))
    assert {name for kind, name in referred if kind == "aws_iam_role"} == {
        name for kind, name in declared if kind == "aws_iam_role"
    }
    assert referred <= declared


@pytest.mark.parametrize("role", ["@NAMES@", "@ID@", "@ATTRIBUTES@"])
def test_a_role_may_be_called_like_a_place_to_fill(role: str) -> None:
    found = resources(terraform(TRUST, HERE, [a_role("odd", role=role)]), "aws_iam_role")
    assert unquoted(found["odd"]["name"]) == role


def test_the_wrong_account_is_noticed_before_anything_is_made() -> None:
    (data,) = parsed(terraform(TRUST, HERE, [a_role("a")]))["data"]
    assert '"${self.account_id == \\"123456789012\\"}"' in json.dumps(data)
