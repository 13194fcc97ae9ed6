"""Do the tools that will read what we generate agree with us about what it says?

Terraform, or OpenTofu, runs here without its AWS provider, which only a registry has. So its own parser, formatter and
expression language judge the text, and the arguments are compared with what the provider's source declares. Where
TF_PLUGIN_CACHE_DIR names a cache that has the provider, there is one test more: `terraform validate` judges the whole.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import hcl2
import pytest
from cfnlint.api import lint
from cfnlint.core import get_rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.infrastructure import Account, Role, Trust, by_account
from agent.infrastructure.cloudformation import cloudformation
from agent.infrastructure.literals import hcl
from agent.infrastructure.terraform import terraform
from agent.infrastructure.trust import policy_of

pytestmark = pytest.mark.long

TERRAFORM = shutil.which("terraform") or shutil.which("tofu")
needs_terraform = pytest.mark.skipif(TERRAFORM is None, reason="terraform is not installed")
HERE = Account("aws", "123456789012")

#: What the provider's resources take (arguments it does not compute by itself), from the schemas in its source.
TAKEN = {
    "aws_iam_openid_connect_provider": {"url", "client_id_list", "thumbprint_list", "tags"},
    "aws_iam_role": {
        "name",
        "path",
        "description",
        "max_session_duration",
        "assume_role_policy",
        "permissions_boundary",
        "force_detach_policies",
        "tags",
    },
    "aws_iam_role_policy_attachment": {"role", "policy_arn"},
}
NEEDED = {
    "aws_iam_openid_connect_provider": {"url", "client_id_list"},
    "aws_iam_role": {"assume_role_policy"},
    "aws_iam_role_policy_attachment": {"role", "policy_arn"},
}
META = {"count", "for_each", "depends_on"}


def of(*entries: tuple[str, str, float]) -> list[Role]:
    return [Role.of(name, arn, timedelta(hours=hours)) for name, arn, hours in entries]


ONE = of(("backup", "arn:aws:iam::123456789012:role/backup", 1))
MANY = of(*((f"role-{n}", f"arn:aws:iam::123456789012:role/team/{n}/r{n}", n % 14) for n in range(30)))
SHARED = of(
    ("reader", "arn:aws:iam::123456789012:role/x", 1),
    ("writer", "arn:aws:iam::123456789012:role/x", 12),
    ("9-a.b", "arn:aws:iam::123456789012:role/@ID@", 1),
    ("issuer", "arn:aws:iam::123456789012:role/y", 1),
    ("9_a-b", "arn:aws:iam::123456789012:role/z", 1),
)
ABROAD = of(("web", "arn:aws-cn:iam::210987654321:role/web", 2), ("db", "arn:aws-us-gov:iam::210987654321:role/db", 2))
PLAIN = Trust("https://oidc.example.com", "sts.amazonaws.com", "host:web-1")
FULL = Trust("https://oidc.example.com/a/", "my-audience", 'host:${HOST}/"%{if}\\é', True, True, True)
SHAPES = [(PLAIN, ONE), (FULL, ONE), (PLAIN, MANY), (FULL, SHARED), (FULL, ABROAD)]


def texts(write: Callable[[Trust, Account, tuple[Role, ...]], str], trust: Trust, roles: list[Role]) -> list[str]:
    return [write(trust, account, here) for account, here in by_account(roles).items()]


def run_terraform(folder: Path, *words: str, asked: str = "") -> subprocess.CompletedProcess[str]:
    assert TERRAFORM is not None
    environment = os.environ | {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull, "NO_COLOR": "1"}
    return subprocess.run(
        [TERRAFORM, *words],
        cwd=folder,
        env=environment,
        input=asked,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_cfn_lint_finds_nothing_to_say_but_would_have_found_a_wrong_property() -> None:
    rules = get_rules([], [], [])  # its own, read once for all templates, which takes longer than to apply them
    for trust, roles in SHAPES:
        for text in texts(cloudformation, trust, roles):
            assert [str(match) for match in lint(text, rules)] == []
    (text,) = texts(cloudformation, PLAIN, ONE)
    assert lint(text.replace("MaxSessionDuration: 3600", "MaxSessionDuration: 60"), rules)
    assert lint(text.replace("ClientIdList", "ClientIDs"), rules)


@needs_terraform
@pytest.mark.parametrize(("trust", "roles"), SHAPES)
def test_terraform_reads_it_and_would_lay_it_out_just_so(tmp_path: Path, trust: Trust, roles: list[Role]) -> None:
    for text in texts(terraform, trust, roles):
        (tmp_path / "main.tf").write_text(text)
        done = run_terraform(tmp_path, "fmt", "-check", "-diff")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("trust", "roles"), SHAPES)
def test_every_argument_is_one_that_the_provider_takes(trust: Trust, roles: list[Role]) -> None:
    kinds = set()
    for text in texts(terraform, trust, roles):
        for block in hcl2.loads(text)["resource"]:
            ((quoted_kind, named),) = block.items()
            kind = quoted_kind.strip('"')
            ((_, arguments),) = named.items()
            given = {name for name in arguments if not name.startswith("__")} - META
            assert NEEDED[kind] <= given <= TAKEN[kind]
            kinds.add(kind)
    assert kinds == set(TAKEN)


def evaluated(folder: Path, expression: str, declarations: str) -> object:
    (folder / "main.tf").write_text(declarations)
    # in base64, since the console shows text with escapes of Go's own
    done = run_terraform(folder, "console", asked=f"base64encode({expression})\n")
    assert done.returncode == 0, done.stderr
    return json.loads(base64.b64decode(done.stdout.strip().strip('"')))


@needs_terraform
@pytest.mark.parametrize(("trust", "roles"), SHAPES)
def test_terraform_makes_the_same_policy_of_it(tmp_path: Path, trust: Trust, roles: list[Role]) -> None:
    for account, here in by_account(roles).items():
        text = terraform(trust, account, here)
        (block,) = re.findall(r"^locals \{\n.*?^\}\n", text, re.DOTALL | re.MULTILINE)
        found = evaluated(tmp_path, "local.trust_policy", block + 'variable "tags" { default = {} }\n')
        assert found == policy_of(trust, account)


@needs_terraform
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=127)
        | st.lists(st.sampled_from(["$", "%", "{", "}", '"', "\\", "~", "é", "😀", "\n"])).map("".join),
        min_size=1,
        max_size=40,
    )
)
def test_terraform_reads_back_any_text(texts: list[str]) -> None:
    texts = [
        unicodedata.normalize("NFC", text) for text in texts
    ]  # as Terraform itself would, see agent.infrastructure
    with tempfile.TemporaryDirectory() as folder:
        declared = f"locals {{\n  texts = jsonencode({hcl(texts)})\n}}\n"
        assert evaluated(Path(folder), "local.texts", declared) == texts


@needs_terraform
def test_what_a_role_may_do_is_taken_from_all_its_names(tmp_path: Path) -> None:
    (text,) = texts(terraform, PLAIN, SHARED)
    (expression,) = re.findall(r"for_each = (.*\"reader\".*)$", text, re.MULTILINE)
    permissions = '{ reader = ["a", "b"], writer = ["b", "c"], issuer = ["d"] }'
    declared = f'variable "permissions" {{\n  type    = map(list(string))\n  default = {permissions}\n}}\n'
    assert evaluated(tmp_path, f"jsonencode({expression})", declared) == ["a", "b", "c"]


@needs_terraform
@pytest.mark.parametrize(("given", "refused"), [('{ reader = ["a"] }', False), ('{ raeder = ["a"] }', True)])
def test_permissions_for_a_role_that_is_not_there_are_refused(tmp_path: Path, given: str, *, refused: bool) -> None:
    (text,) = texts(terraform, PLAIN, SHARED)
    (block,) = re.findall(r'^variable "permissions" \{\n.*?^\}\n', text, re.DOTALL | re.MULTILINE)
    (tmp_path / "main.tf").write_text(block)
    done = run_terraform(tmp_path, "plan", "-input=false", f"-var=permissions={given}")
    assert (done.returncode != 0) is refused, done.stdout + done.stderr
    assert ("none of the roles here" in done.stderr) is refused


if TERRAFORM is not None and Path(os.environ.get("TF_PLUGIN_CACHE_DIR") or os.devnull).is_dir():

    @pytest.mark.timeout(300)
    @pytest.mark.parametrize(("trust", "roles"), SHAPES)
    def test_terraform_validate_has_nothing_to_say(tmp_path: Path, trust: Trust, roles: list[Role]) -> None:
        for text in texts(terraform, trust, roles):
            (tmp_path / "main.tf").write_text(text)
            begun = run_terraform(tmp_path, "init", "-backend=false", "-input=false")
            assert begun.returncode == 0, begun.stderr
            done = run_terraform(tmp_path, "validate")
            assert done.returncode == 0, done.stderr
