"""The agent as a process verifies tokens of Cognito, of a Keycloak and its own; others made and published them."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from agent.sandbox import Sandbox, World
from agent.sandbox.cognito.issuing import Origin, access_token, id_token, new_keys, publish
from agent.sandbox.pools import AppClient, User, UserPool
from tests.fakes.foreign import a_jwk, private
from tests.fakes.ports import own_port
from tests.live.host import Agent, agent_on, sandboxed

pytestmark = pytest.mark.long

CLIENT = AppClient("1h57kf5cpq17m0eml12example")
POOL = UserPool("eu-central-1_Ab129faBb", clients=(CLIENT,))
ALICE = User("alice", "Correct-Horse-7", attributes={"email": "alice@example.com"}, groups=("staff", "admins"))
KEYS = new_keys(random.Random(7))
REALM = "https://sso.example.com/realms/main"

RULES = """
[verify.own]
issuer = "own"
audiences = ["https://internal.example.com"]
longest = "1h"

[verify.app]
issuer = "{pool}"
client_ids = ["{client}"]
claims = {{ token_use = "access", "cognito:groups" = ["admins"] }}
headers = {{ X-Auth-User = "username", X-Auth-Groups = "cognito:groups", X-Auth-Client = "client_id" }}
proxy = "{proxy}"
ca_bundle = "{ca}"

[verify.person]
issuer = "{pool}"
audiences = ["{client}"]
claims = {{ token_use = "id" }}
headers = {{ X-Auth-Email = "email" }}
proxy = "{proxy}"
ca_bundle = "{ca}"

[verify.realm]
issuer = "{realm}"
audiences = ["api"]
scopes = ["profile"]
claims = {{ "realm_access.roles" = "operator" }}
headers = {{ X-Auth-User = "preferred_username", X-Auth-Roles = "realm_access.roles" }}
proxy = "{proxy}"
ca_bundle = "{ca}"
"""


def show_realm(folder: Path, *kids: str) -> None:
    """As Keycloak does: one key for signatures, or several, and one for encryption, which is the same kind of key."""
    shown = folder / ".well-known"
    shown.mkdir(parents=True, exist_ok=True)
    certs = f"{REALM}/.well-known/certs"
    (shown / "openid-configuration").write_text(json.dumps({"issuer": REALM, "jwks_uri": certs}))
    keys = [a_jwk(kid) for kid in kids]
    (shown / "certs").write_text(json.dumps({"keys": [a_jwk("enc", alg="RSA-OAEP", use="enc"), *keys]}))


def of_realm(kid: str = "main", **changes: object) -> str:
    """An access token as Keycloak makes it."""
    now = int(datetime.now(UTC).timestamp())  # noqa: TID251 - the agent reads the machine's clock, too
    said = {
        "exp": now + 300, "iat": now, "jti": "onrtac:5d3c", "iss": REALM, "aud": ["api", "account"],
        "sub": "7a8c6f0e-alice", "typ": "Bearer", "azp": "web", "sid": "x", "acr": "1", "scope": "openid profile email",
        "realm_access": {"roles": ["operator", "default-roles-main"]}, "preferred_username": "alice", **changes,
    }  # fmt: skip
    return jwt.encode(said, private(), "RS256", {"kid": kid})


def of_pool(kind: str = "access", user: User = ALICE) -> str:
    now = datetime.now(UTC)  # noqa: TID251 - the same
    make = access_token if kind == "access" else id_token
    return make(KEYS, POOL, CLIENT, user, Origin(now, "o"), now=now, rng=random.Random(1))


@dataclass
class Guard:
    """The agent, where it verifies, and the folder of the realm's site."""

    agent: Agent
    session: aiohttp.ClientSession
    port: int
    realm: Path

    async def ask(self, rule: str, token: str | None) -> tuple[int, Mapping[str, str]]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.session.get(f"http://127.0.0.1:{self.port}/v1/verify/{rule}", headers=headers) as answer:
            await answer.read()
            return answer.status, answer.headers


@asynccontextmanager
async def guarding(home: Path) -> AsyncIterator[Guard]:
    port, sites = own_port(), {POOL.issuer: home / "pool", REALM: home / "realm"}
    publish(POOL, KEYS, sites[POOL.issuer])
    show_realm(sites[REALM], "main")
    async with (
        Sandbox(World(account_id="123456789012"), sites=sites, public=True) as others,
        sandboxed(home, listen=f'verify = "127.0.0.1:{port}"', more=_rules(others)) as (host, _),
        agent_on(host) as agent,
        aiohttp.ClientSession() as session,
    ):
        await agent.ready()
        yield Guard(agent, session, port, sites[REALM])


def _rules(others: Sandbox) -> str:
    return RULES.format(
        pool=POOL.issuer, client=CLIENT.client_id, realm=REALM, proxy=others.proxy_url, ca=others.ca_file
    )


@pytest.fixture
async def guard(tmp_path: Path) -> AsyncIterator[Guard]:
    async with guarding(tmp_path) as made:
        yield made


async def test_tokens_of_each_kind_are_good_where_they_are_meant_and_nowhere_else(guard: Guard) -> None:
    code, minted, err = await guard.agent.host.rolecall(
        "token", "mint", "-c", str(guard.agent.host.config), "--audience", "https://internal.example.com"
    )
    assert code == 0, err
    tokens = {
        "own": minted.strip(), "app": of_pool(), "person": of_pool("id"), "realm": of_realm(),
    }  # fmt: skip
    for rule in tokens:
        for kind, token in tokens.items():
            status, _ = await guard.ask(rule, token)
            assert status == (200 if rule == kind else 401), (rule, kind)
    _, told = await guard.ask("app", tokens["app"])
    assert told["X-Auth-User"] == "alice"
    assert told["X-Auth-Groups"] == "staff,admins"
    assert told["X-Auth-Client"] == CLIENT.client_id
    assert (await guard.ask("person", tokens["person"]))[1]["X-Auth-Email"] == "alice@example.com"
    _, told = await guard.ask("realm", tokens["realm"])
    assert (told["X-Auth-User"], told["X-Auth-Roles"]) == ("alice", "operator,default-roles-main")


async def test_who_may_not_is_told_so_in_the_answer_the_log_and_the_metrics(guard: Guard) -> None:
    bob = User("bob", "Correct-Horse-8")
    assert (await guard.ask("app", of_pool(user=bob)))[0] == 403
    assert (await guard.ask("realm", of_realm(scope="openid")))[0] == 403
    assert (await guard.ask("realm", of_realm(realm_access={"roles": []})))[0] == 403
    old = of_realm(exp=1_700_000_000)
    for _ in range(20):
        assert (await guard.ask("realm", old))[0] == 401
    assert (await guard.ask("realm", None))[0] == 401

    async with guard.session.get(f"{guard.agent.host.admin}/metrics") as answer:
        metrics = await answer.text()
    assert 'rolecall_verifications_refused_total{reason="expired",rule="realm"} 20.0' in metrics
    assert 'rolecall_requests_total{output="verify",role="",status="403"} 3.0' in metrics
    refused = guard.agent.events("verification_refused")
    assert [(line["rule"], line["reason"]) for line in refused] == [
        ("app", "claims"),
        ("realm", "scope"),
        ("realm", "claims"),
        ("realm", "expired"),
        ("realm", "absent"),
    ]
    told = json.dumps([*guard.agent.lines])
    assert all(part not in told for part in old.split("."))


async def test_a_rotated_key_is_good_at_once_and_strangers_keep_nobody_out(guard: Guard) -> None:
    assert (await guard.ask("realm", of_realm()))[0] == 200
    show_realm(guard.realm, "main", "next")
    assert (await guard.ask("realm", of_realm("next")))[0] == 200
    strange = [of_realm(f"made-up-{number}") for number in range(50)]
    for _ in range(10):
        asked = await asyncio.gather(
            *(guard.ask("realm", token) for token in strange), *(guard.ask("realm", of_realm()) for _ in range(10))
        )
        statuses: list[Any] = [status for status, _ in asked]
        assert statuses == [401] * 50 + [200] * 10
    read = [line for line in guard.agent.events("issuer_keys_read") if line["issuer"] == REALM]
    assert 3 <= len(read) <= 8
    assert [line["came"] for line in read if "came" in line] == ["main", "next"]


async def test_the_command_agrees_with_the_agent(guard: Guard) -> None:
    config = str(guard.agent.host.config)
    for token, rule, good in ((of_realm(), "realm", 0), (of_realm(aud="x"), "realm", 1), (of_pool(), "app", 0)):
        code, out, err = await guard.agent.host.rolecall("token", "verify", "--rule", rule, "-c", config, token)
        assert code == good, (out, err)
