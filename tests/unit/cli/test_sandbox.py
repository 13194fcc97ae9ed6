"""Does `rolecall sandbox` start the AWS that was asked for, and say how to use it?"""

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import ssl
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.cli import main, sandbox
from agent.cli.sandbox import read_world, world_of
from agent.errors import ConfigurationError
from agent.sandbox import Provider, practice_world, world_as_json
from agent.settings import Settings, load

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
CONFIGURATION = """
[issuer]
url = "https://oidc.example.com"

[key]
custodian = "pem"
directory = "keys"

[publishing]
to = "directory"
directory = "site"

[identity]
subject = "host:web-1"
{identity}

[sts]
region = "eu-central-1"

[roles.backup]
arn = "arn:aws:iam::123456789012:role/team/backup"
duration = "2h"
policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]

[roles.reports]
arn = "arn:aws:iam::123456789012:role/reports"
{more}

[[grants]]
roles = ["backup", "reports"]
anyone = true
"""


def settings(home: Path, *, identity: str = "", more: str = "") -> Settings:
    path = home / "rolecall.toml"
    path.write_text(CONFIGURATION.format(identity=identity, more=more))
    return load(path, environ={}, host="web-1")


def statement(world: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = world.roles[0].trust_policy["Statement"][0]
    return found


def test_the_world_of_a_configuration_is_the_account_that_init_would_have_made(tmp_path: Path) -> None:
    world = world_of(settings(tmp_path))
    assert world.account_id == "123456789012"
    assert world.providers == (Provider("https://oidc.example.com", ("sts.amazonaws.com",)),)
    assert [role.arn for role in world.roles] == [
        "arn:aws:iam::123456789012:role/team/backup",
        "arn:aws:iam::123456789012:role/reports",
    ]
    assert [role.max_session for role in world.roles] == [timedelta(hours=2), timedelta(hours=1)]
    assert statement(world)["Action"] == ["sts:AssumeRoleWithWebIdentity"]
    assert statement(world)["Condition"] == {
        "StringEquals": {"oidc.example.com:aud": "sts.amazonaws.com", "oidc.example.com:sub": "host:web-1"},
        "Bool": {"sts:RoleAuthorizedByIdp": "true"},
    }
    assert set(world.managed_policies) == {"arn:aws:iam::aws:policy/ReadOnlyAccess"}


def test_tags_and_source_identity_are_allowed_where_tokens_carry_them(tmp_path: Path) -> None:
    tagged = 'tags = { team = "web" }\nsource_identity = "web-1"\npin_roles = false'
    world = world_of(settings(tmp_path, identity=tagged))
    assert statement(world)["Action"] == ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]
    assert "Bool" not in statement(world)["Condition"]


def test_what_grants_add_to_tokens_is_allowed_and_there(tmp_path: Path) -> None:
    narrowed = """[[grants]]
roles = ["reports"]
unit = "backup.service"
tags = { unit = "${UNIT}" }
source_identity = "${USER}"
policy_arns = ["arn:aws:iam::aws:policy/AWSBackupFullAccess"]
"""
    world = world_of(settings(tmp_path, more=narrowed))
    assert statement(world)["Action"] == ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]
    assert "arn:aws:iam::aws:policy/AWSBackupFullAccess" in world.managed_policies


def test_roles_of_two_accounts_are_no_world(tmp_path: Path) -> None:
    elsewhere = '[roles.other]\narn = "arn:aws:iam::210987654321:role/other"'
    with pytest.raises(ConfigurationError, match="the roles live in 2 accounts, and a sandbox is one account"):
        world_of(settings(tmp_path, more=elsewhere))


def test_somebody_elses_token_is_no_world(tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_text(
        '[identity]\nsource = "file"\nfile = "/var/run/token"\n[sts]\nregion = "eu-central-1"\n[roles.a]\n'
        'arn = "arn:aws:iam::123456789012:role/a"\n[[grants]]\nroles = ["a"]\nanyone = true\n'
    )
    with pytest.raises(ConfigurationError, match="cannot tell who signs the token of a file"):
        world_of(load(path, environ={}, host="web-1"))


def test_a_world_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    path.write_text(json.dumps(world_as_json(practice_world())))
    assert read_world(path) == practice_world()


@pytest.mark.parametrize(("content", "what"), [(None, "cannot be read"), ("{", "is not JSON"), ('{"x": 1}', "no 'x'")])
def test_a_world_that_cannot_be_read_is_said_to_be_so(content: str | None, what: str, tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=what):
        read_world(path)


@pytest.mark.parametrize(
    "words",
    [
        ["--listen", "nowhere"],
        ["--listen", "localhost"],
        ["--site", "oidc.example.com=x"],
        ["--site", "https://x"],
        ["--site", "https://oidc.example.com=/nonexistent"],
    ],
)
def test_words_that_mean_nothing_are_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sandbox", *words])
    assert caught.value.code == 2
    assert words[1].partition("=/")[2] in capsys.readouterr().err


def test_a_configuration_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "-c", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_two_accounts_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings(tmp_path)
    (tmp_path / "world.json").write_text(json.dumps(world_as_json(practice_world())))
    assert main(["sandbox", "-c", str(tmp_path / "rolecall.toml"), "--world", str(tmp_path / "world.json")]) == 2
    assert "--world and -c both say what the account is" in capsys.readouterr().err


# --- the command itself


@dataclass
class Running:
    process: asyncio.subprocess.Process
    said: dict[str, Any]


@asynccontextmanager
async def running(home: Path, *words: str, temporary: Path | None = None) -> AsyncIterator[Running]:
    """The command in a process of its own, with what it says about itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ROLECALL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "sandbox", "--json", *words),
        env={**environment, "PYTHONPATH": str(ROOT), **({"TMPDIR": str(temporary)} if temporary else {})},
        cwd=home,
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout
    try:
        yield Running(process, json.loads(await asyncio.wait_for(process.stdout.readuntil(b"\n}\n"), 20)))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_it_has_something_to_practise_with_and_goes_when_told(number: signal.Signals, tmp_path: Path) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    async with running(tmp_path, "--tls", temporary=temporary) as command:
        variables = command.said["environment"]
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": variables["AWS_ROLE_ARN"],
            "RoleSessionName": "tester",
            "WebIdentityToken": Path(variables["AWS_WEB_IDENTITY_TOKEN_FILE"]).read_text(),
        }
        trusting = ssl.create_default_context(cafile=variables["AWS_CA_BUNDLE"])
        async with aiohttp.ClientSession() as http:
            async with http.post(command.said["endpoint_url"], data=form, ssl=trusting) as answer:
                assert answer.status == 200
            async with http.get(f"{command.said['control_url']}/requests") as seen:
                assert len(await seen.json()) == 1
        command.process.send_signal(number)
        assert await asyncio.wait_for(command.process.wait(), 10) == 0
    assert list(temporary.iterdir()) == []


async def test_it_leaves_nothing_behind_even_if_told_to_go_before_it_is_up(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "sandbox", "--json"),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        stdout=DEVNULL,
    )
    while not list(tmp_path.glob("rolecall-sandbox-*")):
        assert process.returncode is None
        await asyncio.sleep(0.002)
    process.send_signal(signal.SIGHUP)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert list(tmp_path.iterdir()) == []


async def test_each_practice_session_has_a_name_of_its_own(tmp_path: Path) -> None:
    # by role and session name the AWS CLI keeps credentials, and a later sandbox does not know those of an earlier
    async with running(tmp_path) as one, running(tmp_path) as other:
        names = {command.said["environment"]["AWS_ROLE_SESSION_NAME"] for command in (one, other)}
    assert len(names) == 2
    assert all(re.fullmatch(r"practice-[0-9a-f]{8}", name) for name in names)


async def test_who_lets_other_machines_in_is_warned_and_rules_it_alone(tmp_path: Path) -> None:
    settings(tmp_path)
    (tmp_path / "site").mkdir()
    async with running(tmp_path, "--listen", "0.0.0.0:0") as command:
        assert command.said["control_url"].startswith("http://127.0.0.1:")
        assert [url.rpartition(":")[0] for url in command.said["site_urls"].values()] == ["http://127.0.0.1"]
        assert command.process.stderr
        assert b"warning: other machines can reach 0.0.0.0:0" in await command.process.stderr.readline()


async def test_it_says_which_settings_lead_the_agent_to_it(tmp_path: Path) -> None:
    settings(tmp_path)
    async with running(tmp_path, "--tls") as command:
        variables = command.said["environment"]
        assert command.said["sts"] == {
            "endpoint_url": command.said["endpoint_url"],
            "ca_bundle": variables["AWS_CA_BUNDLE"],
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in command.said["sts"].items()]
        given = (tmp_path / "rolecall.toml").read_text().replace("[sts]", "\n".join(["[sts]", *lines]))
        (tmp_path / "rolecall.toml").write_text(given)
        led = load(tmp_path / "rolecall.toml", environ={}, host="web-1").sts
        assert (led.endpoint_url, str(led.ca_bundle)) == tuple(command.said["sts"].values())


async def test_it_shows_its_issuers_in_public(tmp_path: Path) -> None:
    async with running(tmp_path, "--public") as command, aiohttp.ClientSession() as http:
        trusting = ssl.create_default_context(cafile=command.said["ca_file"])
        where = "https://oidc.example.com/.well-known/openid-configuration"
        async with http.get(where, proxy=command.said["proxy_url"], ssl=trusting) as answer:
            assert (await answer.json())["issuer"] == "https://oidc.example.com"
        assert "AWS_CA_BUNDLE" not in command.said["environment"]  # the endpoint itself is plain http
        assert set(command.said["sts"]) == {"endpoint_url"}


def test_a_person_can_paste_those_settings(tmp_path: Path) -> None:
    path = settings(tmp_path).path
    command = subprocess.Popen(
        [sys.executable, "-m", "agent", "sandbox", "-c", str(path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout
    said = list(itertools.takewhile(lambda line: not line.startswith("Ctrl-C"), command.stdout))
    command.terminate()
    assert command.wait(20) == 0
    command.stdout.close()
    where = said.index(f"Lead the agent here, in {path} under [sts], and start it:\n")
    assert re.fullmatch(r'  endpoint_url = "http://127\.0\.0\.1:\d+"\n', said[where + 2])


async def test_it_is_the_account_of_the_configuration_it_finds(tmp_path: Path) -> None:
    settings(tmp_path)
    async with running(tmp_path, "--tls") as command, aiohttp.ClientSession() as http:
        assert command.said["endpoint_url"].startswith("https://")
        assert Path(command.said["environment"]["AWS_CA_BUNDLE"]).exists()
        assert set(command.said["site_urls"]) == {"https://oidc.example.com"}
        async with http.get(f"{command.said['control_url']}/world") as world:
            names = [role["arn"].rpartition("/")[2] for role in (await world.json())["roles"]]
        assert names == ["backup", "reports"]


async def test_it_is_the_account_of_a_file_and_reaches_the_sites_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text(json.dumps(world_as_json(practice_world())))
    site = "https://oidc.example.com=http://127.0.0.1:1"
    async with running(tmp_path, "--world", "world.json", "--site", site) as command:
        assert command.said["site_urls"] == {"https://oidc.example.com": "http://127.0.0.1:1"}
        assert "AWS_ROLE_ARN" not in command.said["environment"]


def test_the_parser_takes_what_the_example_shows() -> None:
    parser = argparse.ArgumentParser()
    sandbox.configure(parser)
    arguments = parser.parse_args(sandbox.EXAMPLE.split()[2:])
    assert str(arguments.listen) == "127.0.0.1:9180"
    assert arguments.tls


async def test_a_configuration_for_people_gets_where_they_sign_in(tmp_path: Path) -> None:
    (tmp_path / "rolecall.toml").write_text(
        '[identity_center]\nstart_url = "https://d-1.awsapps.com/start/#/"\nregion = "eu-west-1"\n'
        '[roles.a]\nsource = "identity_center"\naccount = "123456789012"\npermission_set = "Developer"\n'
        '[[grants]]\nroles = ["a"]\nanyone = true\n'
    )
    async with running(tmp_path, "-c", "rolecall.toml") as sandbox, aiohttp.ClientSession() as http:
        assert sandbox.said["identity_center"] == {"endpoint_url": sandbox.said["endpoint_url"]}
        assert "sts" not in sandbox.said
        assert sandbox.said["start_url"] == "https://d-1.awsapps.com/start"
        asked = {"clientName": "a client", "clientType": "public", "scopes": ["sso:account:access"]}
        answer = await http.post(f"{sandbox.said['endpoint_url']}/client/register", json=asked)
        assert answer.status == 200


PROVIDER = """
[identity]
source = "oauth2"
issuer = "https://login.example.com/realms/prod"
client_id = "rolecall"
client_secret_file = "/etc/rolecall/secret"
{words}
[sts]
region = "eu-central-1"
[roles.a]
arn = "arn:aws:iam::123456789012:role/a"
[[grants]]
roles = ["a"]
anyone = true
"""


def test_a_provider_whose_tokens_are_known_is_trusted_for_them_alone(tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_text(PROVIDER.format(words='expected_subject = "us"\nexpected_audience = "aws"'))

    world = world_of(load(path, environ={}, host="web-1"))

    assert [(one.url, one.client_ids) for one in world.providers] == [
        ("https://login.example.com/realms/prod", ("aws",))
    ]
    assert statement(world)["Condition"] == {
        "StringEquals": {"login.example.com/realms/prod:aud": "aws", "login.example.com/realms/prod:sub": "us"}
    }


@pytest.mark.parametrize("words", ["", 'expected_subject = "us"', 'expected_audience = "aws"'])
def test_a_provider_of_whose_tokens_too_little_is_known_is_no_world(tmp_path: Path, words: str) -> None:
    """A role that any client of the provider could have would be none to make."""
    path = tmp_path / "rolecall.toml"
    path.write_text(PROVIDER.format(words=words))

    with pytest.raises(ConfigurationError, match="what that of a provider says") as caught:
        world_of(load(path, environ={}, host="web-1"))

    assert "identity.expected_subject" in caught.value.hint
