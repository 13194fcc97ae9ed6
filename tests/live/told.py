"""What relying parties are told by the files that init writes: by the commands, run in a shell, and by Terraform.

The tools of the clouds are not here; in their place stands a program that writes down what it was called with. What
they would have set up is then a part of a sandbox's world.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hcl2

from agent.sandbox.trusting.world import (
    Application,
    FederatedCredential,
    HttpApi,
    JwtAuth,
    JwtRole,
    PoolProvider,
    RelyingParties,
)

NUMBER = "123456789"
TENANT = "tenant-1"
CLIENT = "client-1"

_RECORDER = f"""#!{sys.executable} -I
import json, os, sys
body = sys.stdin.read() if sys.argv[-1] == "-" else ""
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:], body]) + "\\n")
if sys.argv[1:3] == ["projects", "describe"]:
    print("{NUMBER}")
sys.exit(sys.argv[1:2] == ["read"])
"""


def calls_of(script: Path, home: Path, **environment: str) -> Sequence[Sequence[str]]:
    """Run a script of commands; each call it made: the program, its arguments, and what stood on its standard input."""
    tools, calls = home / "tools", home / "calls"
    tools.mkdir(parents=True, exist_ok=True)
    for name in ("aws", "az", "gcloud", "vault"):
        (tools / name).write_text(_RECORDER)
        (tools / name).chmod(0o755)
    calls.write_text("")
    path = f"{tools}:{os.environ['PATH']}"
    subprocess.run([script], env={"PATH": path, "CALLS": str(calls), **environment}, check=True, capture_output=True)
    return [json.loads(line) for line in calls.read_text().splitlines()]


def option(call: Sequence[str], name: str) -> str:
    """The value of an option, as its own word or behind an equals sign; "" if it is not there."""
    for number, word in enumerate(call):
        if word == name:
            return call[number + 1]
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return ""


def by_commands(party: str, script: Path, home: Path) -> RelyingParties:
    """What a relying party believes once the commands have been run."""
    environment = {"API_ID": "a1b2c3", "APPLICATION": CLIENT, "PROJECT": "my-project"}
    calls = calls_of(script, home, **environment)
    match party:
        case "apigateway":
            (create,) = calls
            assert create[:3] == ["aws", "apigatewayv2", "create-authorizer"]
            assert option(create, "--identity-source") == "$request.header.Authorization"
            told = json.loads(option(create, "--jwt-configuration"))
            return RelyingParties(apis=(HttpApi(option(create, "--api-id"), told["Issuer"], tuple(told["Audience"])),))
        case "azure":
            (create,) = calls
            assert create[:5] == ["az", "ad", "app", "federated-credential", "create"]
            return _application(option(create, "--id"), json.loads(option(create, "--parameters")))
        case "gcp":
            pool, create, describe = calls
            assert (pool[1:4], describe[1:3]) == (
                ["iam", "workload-identity-pools", "create"],
                ["projects", "describe"],
            )
            name = create[create.index("create-oidc") + 1]
            mapping = dict(pair.split("=", 1) for pair in option(create, "--attribute-mapping").split(","))
            audiences = tuple(filter(None, option(create, "--allowed-audiences").split(",")))
            assert option(create, "--workload-identity-pool") == pool[4]
            condition, issuer = option(create, "--attribute-condition"), option(create, "--issuer-uri")
            return RelyingParties(
                providers=(PoolProvider(NUMBER, pool[4], name, issuer, audiences, mapping, condition),)
            )
        case _:
            read, enable, config, role = calls
            assert (read[1], enable[1:]) == ("read", ["auth", "enable", "-path=jwt", "jwt", ""])
            assert config[1:3] == ["write", "auth/jwt/config"]
            name = role[2].removeprefix("auth/jwt/role/")
            return _auth_method(name, json.loads(config[-1]), json.loads(role[-1]))


def by_terraform(party: str, text: str) -> RelyingParties:
    """What a relying party believes once the module has been applied."""
    resources = {kind: body for block in hcl2.loads(text)["resource"] for kind, body in _named(block)}
    match party:
        case "apigateway":
            (told,) = resources["aws_apigatewayv2_authorizer"]["jwt_configuration"]
            return RelyingParties(apis=(HttpApi("a1b2c3", told["issuer"], tuple(told["audience"])),))
        case "azure":
            return _application(CLIENT, resources["azuread_application_federated_identity_credential"])
        case "gcp":
            pool = resources["google_iam_workload_identity_pool"]
            told = resources["google_iam_workload_identity_pool_provider"]
            (oidc,) = told["oidc"]
            provider = PoolProvider(
                NUMBER,
                pool["workload_identity_pool_id"],
                told["workload_identity_pool_provider_id"],
                oidc["issuer_uri"],
                tuple(oidc.get("allowed_audiences", ())),
                told["attribute_mapping"],
                told["attribute_condition"],
            )
            return RelyingParties(providers=(provider,))
        case _:
            role = resources["vault_jwt_auth_backend_role"]
            told = {**role, "token_policies": "default"}  # what var.policies is, is for who applies it
            return _auth_method(role["role_name"], resources["vault_jwt_auth_backend"], told)


def _application(client_id: str, told: Mapping[str, Any]) -> RelyingParties:
    name = told.get("name") or told["display_name"]
    credential = FederatedCredential(name, told["issuer"], told["subject"], tuple(told["audiences"]))
    return RelyingParties(applications=(Application(TENANT, client_id, (credential,)),))


def _auth_method(name: str, config: Mapping[str, Any], told: Mapping[str, Any]) -> RelyingParties:
    role = JwtRole(
        name,
        tuple(told["bound_audiences"]),
        told["bound_subject"],
        user_claim=told["user_claim"],
        token_policies=tuple(told["token_policies"].split(",")),
    )
    assert told["role_type"] == "jwt"
    return RelyingParties(vault=(JwtAuth(config["oidc_discovery_url"], (role,), bound_issuer=config["bound_issuer"]),))


def _named(block: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    """The kind of a resource, and what it says, its texts as Terraform reads them."""
    ((kind, named),) = block.items()
    ((_, body),) = named.items()
    return [(_text(kind), _read(body))]


def _read(value: object) -> Any:
    if isinstance(value, dict):
        return {_text(name): _read(one) for name, one in value.items() if not str(name).startswith("__")}
    if isinstance(value, list):
        return [_read(one) for one in value]
    return _text(value) if isinstance(value, str) else value


def _text(written: str) -> str:
    """A quoted text of HCL without templates: its escapes are those of JSON, but for `$${` and the long `\\U`."""
    if not written.startswith('"'):
        return written
    return str(json.loads(written)).replace("$${", "${").replace("%%{", "%{")
