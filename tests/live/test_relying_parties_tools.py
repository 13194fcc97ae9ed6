"""Do the tools that relying parties are told with agree with us about what we write?

Terraform, or OpenTofu, judges the layout; its providers, which only a registry has, the rest: without them the
arguments are compared with what their documentation declares. Where gcloud is installed, it reads our commands, and
signs in to the sandbox with a token of ours.
"""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import hcl2
import pytest

from agent.infrastructure.relying_parties.files import files
from agent.relying_parties import PARTIES, Name
from tests.fakes.terraform import bare
from tests.live.test_relying_parties import believing, installed
from tests.live.told import by_commands, calls_of
from tests.unit.infrastructure.relying_parties.side import TRAP, side

pytestmark = pytest.mark.long

TERRAFORM = shutil.which("terraform") or shutil.which("tofu")
GCLOUD = shutil.which("gcloud")
NAMES = get_args(Name)
#: What each resource takes and needs: arguments, and those of its blocks.
TAKEN: dict[str, tuple[set[str], set[str]]] = {
    "aws_apigatewayv2_authorizer": (
        {"api_id", "name", "authorizer_type"},
        {"identity_sources", "jwt_configuration", "authorizer_uri", "authorizer_result_ttl_in_seconds"},
    ),
    "azuread_application_federated_identity_credential": (
        {"application_id", "display_name", "audiences", "issuer", "subject"},
        {"description"},
    ),
    "google_iam_workload_identity_pool": ({"workload_identity_pool_id"}, {"project", "display_name", "description"}),
    "google_iam_workload_identity_pool_provider": (
        {"workload_identity_pool_id", "workload_identity_pool_provider_id"},
        {"project", "attribute_mapping", "attribute_condition", "oidc", "aws", "saml", "display_name", "disabled"},
    ),
    "google_service_account_iam_member": ({"service_account_id", "role", "member"}, {"count", "condition"}),
    "vault_jwt_auth_backend": (
        set(),
        {"count", "path", "type", "oidc_discovery_url", "bound_issuer", "oidc_discovery_ca_pem", "default_role"},
    ),
    "vault_jwt_auth_backend_role": (
        {"role_name", "user_claim"},
        {"backend", "role_type", "bound_audiences", "bound_subject", "bound_claims", "token_policies", "depends_on"},
    ),
}
BLOCKS = {"jwt_configuration": {"audience", "issuer"}, "oidc": {"issuer_uri", "allowed_audiences", "jwks_json"}}


def run(words: Sequence[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    quiet = {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull, "NO_COLOR": "1"}
    whole = {**os.environ, **quiet, **environment}
    return subprocess.run(words, cwd=folder, env=whole, capture_output=True, text=True, check=False, timeout=80)


@pytest.mark.skipif(TERRAFORM is None, reason="terraform is not installed")
@pytest.mark.parametrize("subject", ["host:web-1", TRAP])
@pytest.mark.parametrize("name", NAMES)
def test_terraform_would_lay_it_out_just_so(name: Name, subject: str, tmp_path: Path) -> None:
    assert TERRAFORM is not None
    (tmp_path / "main.tf").write_text(files(side(name, subject))[f"relying-parties/{name}/main.tf"])
    done = run([TERRAFORM, "fmt", "-check", "-diff"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_argument_is_one_that_the_resource_takes() -> None:
    kinds = set()
    for name in NAMES:
        for block in bare(hcl2.loads(files(side(name))[f"relying-parties/{name}/main.tf"]))["resource"]:
            ((kind, named),) = block.items()
            ((_, arguments),) = named.items()
            needed, more = TAKEN[kind]
            assert needed <= set(arguments) <= needed | more, kind
            for inner in BLOCKS.keys() & set(arguments):
                assert all(set(one) <= BLOCKS[inner] for one in arguments[inner])
            kinds.add(kind)
    assert kinds == set(TAKEN)


if TERRAFORM is not None and Path(os.environ.get("TF_PLUGIN_CACHE_DIR") or os.devnull).is_dir():

    @pytest.mark.timeout(300)
    @pytest.mark.parametrize("name", NAMES)
    def test_terraform_validate_has_nothing_to_say(name: Name, tmp_path: Path) -> None:
        assert TERRAFORM is not None
        (tmp_path / "main.tf").write_text(files(side(name, TRAP))[f"relying-parties/{name}/main.tf"])
        for words in (["init", "-backend=false", "-input=false"], ["validate"]):
            done = run([TERRAFORM, *words], tmp_path)
            assert done.returncode == 0, done.stderr


if GCLOUD is not None:

    @pytest.mark.timeout(300)
    def test_gcloud_takes_every_word_of_our_commands(tmp_path: Path) -> None:
        """It wants to know who we are: that is what it asks once it has read a command."""
        script = tmp_path / "commands.sh"
        script.write_text(files(side("gcp", TRAP))["relying-parties/gcp/commands.sh"])
        script.chmod(0o755)
        for call in calls_of(script, tmp_path, PROJECT="my-project", SERVICE_ACCOUNT="a@example.com"):
            done = run(call[:-1], tmp_path, CLOUDSDK_CONFIG=str(tmp_path / "gcloud"), CLOUDSDK_CORE_DISABLE_PROMPTS="1")
            assert done.returncode != 0
            assert "do not currently have an active account" in done.stderr, done.stderr

    @pytest.mark.timeout(300)
    async def test_gcloud_signs_in_with_a_token_of_ours(tmp_path: Path) -> None:
        here = await installed(tmp_path / "rolecall", "--relying-party", "gcp", "--subject", "host:web-1")
        told = by_commands("gcp", here.file("gcp", "commands.sh"), tmp_path)
        (tmp_path / "token").write_text(await here.token(PARTIES["gcp"].audience))
        async with believing(told, here.home / "site") as (sandbox, _):
            google = f"{sandbox.endpoint_url}/gcp/v1"
            credentials: dict[str, Any] = {
                "type": "external_account",
                "audience": told.providers[0].name,
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": f"{google}/token",
                "token_info_url": f"{google}/introspect",
                "credential_source": {"file": str(tmp_path / "token")},
            }
            (tmp_path / "google.json").write_text(json.dumps(credentials))
            words = [str(GCLOUD), "auth", "login", f"--cred-file={tmp_path}/google.json", "--quiet"]
            done = await asyncio.to_thread(run, words, tmp_path, CLOUDSDK_CONFIG=str(tmp_path / "gcloud"))
        assert done.returncode == 0, done.stderr
        assert f"[principal:{told.providers[0].name.partition('/providers/')[0]}/subject/host:web-1]" in done.stderr
