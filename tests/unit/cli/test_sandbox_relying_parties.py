"""Who believes tokens for others in a sandbox of a configuration."""

import asyncio
import json
import socket
import subprocess
import sys
import urllib.request
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from agent.cli import main
from agent.cli.sandbox import world_of
from agent.cli.sandbox_relying_parties import doors, with_relying_parties
from agent.errors import ConfigurationError
from agent.sandbox import Sandbox, World
from agent.sandbox.trusting.world import RelyingParties
from agent.settings import Settings, load

ISSUER = "https://oidc.example.com"
FLAGS = ["--yes", "--issuer", ISSUER, "--region", "eu-central-1", "--subject", "host:web-1"]
ROLE = ["--role", "backup=arn:aws:iam::123456789012:role/backup"]
NAMED = "//iam.googleapis.com/projects/42/locations/global/workloadIdentityPools/hosts/providers/oidc"


def configured(home: Path, more: str) -> Settings:
    assert main(["init", "--directory", str(home), *FLAGS, *ROLE]) == 0
    with (home / "rolecall.toml").open("a") as configuration:
        configuration.write(more)
    return load(home / "rolecall.toml", environ={}, host=socket.gethostname())


def grant(*audiences: str, more: str = "") -> str:
    named = ", ".join(f'"{audience}"' for audience in audiences)
    return f'\n[[grants]]\naudiences = [{named}]\nuser = "1000"\n{more}'


def test_without_tokens_for_others_there_is_nobody(tmp_path: Path) -> None:
    world = with_relying_parties(configured(tmp_path / "r", ""), World())
    assert world == World()
    assert list(doors(world, "http://127.0.0.1:1")) == []


def test_each_audience_has_whom_it_names_and_ones_own_may_be_anybodys(tmp_path: Path) -> None:
    settings = configured(
        tmp_path / "r", grant("api://AzureADTokenExchange", "gcp", NAMED) + grant("https://api.example.com", "vault")
    )
    parties = with_relying_parties(settings, World()).relying_parties
    (api,), (application,), (auth,) = parties.apis, parties.applications, parties.vault
    assert api.audiences == ("https://api.example.com", "vault")
    assert [(one.subject, one.audiences) for one in application.credentials] == [
        ("host:web-1", ("api://AzureADTokenExchange",))
    ]
    assert [(one.name, one.allowed_audiences, one.condition) for one in parties.providers] == [
        (NAMED, (), 'assertion.sub == "host:web-1"'),
        (
            "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/rolecall/providers/rolecall",
            ("gcp",),
            'assertion.sub == "host:web-1"',
        ),
    ]
    assert [(role.name, role.bound_subject) for role in auth.roles] == [("host-web-1", "host:web-1")]
    told = list(doors(World(relying_parties=parties), "http://127.0.0.1:1"))
    assert [line.split(":")[0].strip() for line in told] == [
        "API Gateway", "Microsoft Entra ID", "Google Cloud", "Google Cloud", "Vault",
    ]  # fmt: skip


def test_where_tokens_speak_of_units_nobody_insists_on_the_host(tmp_path: Path) -> None:
    settings = configured(tmp_path / "r", grant("vault", "gcp", more='subject = "${USER}@${HOST}"\n'))
    parties = with_relying_parties(settings, World()).relying_parties
    assert parties.vault[0].roles[0].bound_subject == ""
    assert parties.providers[0].condition == ""


@pytest.mark.parametrize("audience", ["gcp", "vault", "https://api.example.com"])
def test_a_token_that_is_minted_by_hand_is_taken(
    audience: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "r"
    settings = configured(home, grant(audience))
    capsys.readouterr()
    assert main(["token", "mint", "-c", str(home / "rolecall.toml"), "--audience", audience]) == 0
    token = capsys.readouterr().out.strip()
    world = with_relying_parties(settings, World())

    async def shown() -> int:
        async with Sandbox(world, sites={ISSUER: home / "site"}) as sandbox, aiohttp.ClientSession() as http:
            if audience == "gcp":
                form = {
                    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                    "audience": world.relying_parties.providers[0].name,
                    "scope": "a",
                    "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
                    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                    "subject_token": token,
                }
                asking = http.post(f"{sandbox.endpoint_url}/gcp/v1/token", data=form)
            elif audience == "vault":
                body = {"role": "host-web-1", "jwt": token}
                asking = http.post(f"{sandbox.endpoint_url}/vault/v1/auth/jwt/login", json=body)
            else:
                headers = {"Authorization": f"Bearer {token}"}
                asking = http.get(f"{sandbox.endpoint_url}/apis/sandbox/anything", headers=headers)
            async with asking as answer:
                return answer.status

    assert asyncio.run(asyncio.wait_for(shown(), timedelta(seconds=20).total_seconds())) == 200


def test_a_world_without_any_is_a_world_all_the_same() -> None:
    assert list(doors(World(relying_parties=RelyingParties()), "x")) == []


def test_tokens_for_others_alone_want_no_account(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "rolecall.toml").write_text(
        f'[issuer]\nurl = "{ISSUER}"\n[key]\ncustodian = "pem"\ndirectory = "keys"\n'
        '[identity]\nsource = "self_signed"\n[publishing]\nto = "directory"\ndirectory = "site"\n' + grant("vault")
    )
    command = [sys.executable, "-m", "agent", "sandbox", "--json", "-c", str(tmp_path / "rolecall.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout is not None
        facts, _ = json.JSONDecoder().raw_decode("".join(iter(sandbox.stdout.readline, "}\n")) + "}")
        with urllib.request.urlopen(f"{facts['control_url']}/world", timeout=10) as answer:
            world = json.loads(answer.read())
        sandbox.terminate()
    assert world["roles"] == []
    assert [auth["roles"][0]["bound_audiences"] for auth in world["relying_parties"]["vault"]] == [["vault"]]


def test_a_configuration_that_only_verifies_has_nothing_to_make_a_sandbox_of(tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_text('[verify.api]\nissuer = "https://login.example.com"\naudiences = ["a"]\n')
    with pytest.raises(ConfigurationError, match="no role of this configuration is had for a token"):
        world_of(load(path, environ={}, host="web-1"))
