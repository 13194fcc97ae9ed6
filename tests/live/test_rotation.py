"""A real agent and its keys: told to rotate, robbed, run twice, and left without what holds its key."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.sandbox import Fault
from tests.fakes.line import line_to
from tests.fakes.vault import TOKEN as VAULT_TOKEN
from tests.fakes.vault import fake_vault
from tests.fakes.vault_versions import keep_versions
from tests.live.host import Agent, Host, agent_on, fetch, running_host, sandboxed
from tests.live.walking import DAY, change_key, metric, on_site, ring, signed_by, states, status, until

pytestmark = pytest.mark.long

LOOKED_AGAIN = 8  # seconds; the agent looks at the ring every five


async def rotate(host: Host, *words: str) -> dict[str, str]:
    """What `keys rotate` says of the keys."""
    code, out, errors = await host.rolecall("keys", "rotate", "--json", "-c", str(host.config), *words)
    assert code == 0, errors
    return {key["state"]: key["kid"] for key in json.loads(out)}


@asynccontextmanager
async def asked_all_the_while(host: Host) -> AsyncIterator[list[int]]:
    """What the agent answers to who asks for a role again and again."""
    answers: list[int] = []

    async def ask() -> None:
        while True:
            answers.append((await fetch(host))[0])
            await asyncio.sleep(0.02)

    asking = asyncio.ensure_future(ask())
    try:
        yield answers
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_an_order_is_obeyed_and_shown_within_seconds_and_nobody_notices(tmp_path: Path) -> None:
    async with running_host(tmp_path) as (agent, _):
        host = agent.host
        [old] = on_site(host)
        async with asked_all_the_while(host) as answers:
            new = (await rotate(host))["announced"]

            assert await states(host) == {old: "signing", new: "announced"}
            await until(lambda: _is(host, "rolecall_issuer_published", 1, kid=new))
            assert await metric(host, "rolecall_signing_key_info", kid=new, state="announced") == 1
            assert on_site(host) == [old, new]
            assert await signed_by(host) == old

            again = await rotate(host)
        assert again == {"signing": old, "announced": new}
        assert set(answers) == {200}
        assert (tmp_path / "keys" / f"{new}.pem").exists()
        told = next(key for key in (await status(host))["keys"] if key["kid"] == new)
        assert told["next"] == "signs"
        assert DAY - 60 < told["next_in_seconds"] <= DAY


async def _is(host: Host, name: str, value: float, **labels: str) -> bool:
    return await metric(host, name, **labels) == value


async def test_the_walk_goes_on_over_restarts_until_the_old_key_is_destroyed(tmp_path: Path) -> None:
    """What takes two days is shortened by what the file says that has been counted already."""
    async with sandboxed(tmp_path) as (host, sandbox):
        await rotate(host)  # no agent runs: the command takes the step itself
        old, new = on_site(host)

        change_key(host, "announced", counted=DAY - 60)
        async with agent_on(host) as agent:
            await agent.ready()
            await asyncio.sleep(0.5)
            assert await states(host) == {old: "signing", new: "announced"}  # not a minute before its time

        change_key(host, "announced", counted=DAY)
        async with agent_on(host) as agent:
            await agent.ready()
            await until(lambda: _are(host, {old: "retired", new: "signing"}))
            assert [(one["kid"], one["before"]) for one in agent.events("key_promoted")] == [(new, old)]
            assert await signed_by(host) == new
            assert on_site(host) == [old, new]

        change_key(host, "retired", counted=DAY)
        sandbox.requests.clear()
        async with agent_on(host) as agent:
            await agent.ready()
            assert (await fetch(host))[0] == 200
            assert [call.code for call in sandbox.requests] == ["Success"]
            assert await metric(host, "rolecall_tokens_signed_total", kid=new) == 1
            await until(lambda: _are(host, {new: "signing"}))
            await until(lambda: _only_file(tmp_path / "keys", f"{new}.pem"))
            assert on_site(host) == [new]


async def _are(host: Host, expected: dict[str, str]) -> bool:
    return await states(host) == expected


async def _only_file(keys: Path, name: str) -> bool:
    return [path.name for path in keys.glob("*.pem")] == [name]


async def test_a_key_that_the_world_does_not_see_never_signs(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        await rotate(host)
        old, new = on_site(host)
        change_key(host, "announced", counted=10 * DAY)
        sandbox.faults.add(Fault("site", site="key_dropped", about=new))
        ring_now = json.loads(ring(host).read_text())
        ring(host).write_text(json.dumps({**ring_now, "looked": None}))  # nobody knows when it was seen last
        async with agent_on(host) as agent:
            await agent.ready()
            await until(lambda: _is(host, "rolecall_issuer_published", 0, kid=new))
            assert await states(host) == {old: "signing", new: "announced"}
            assert await signed_by(host) == old
            told = next(key for key in (await status(host))["keys"] if key["kid"] == new)
            assert told["next"] == "signs, once it is seen"


async def test_a_stolen_key_is_replaced_at_once_and_roles_stay_served(tmp_path: Path) -> None:
    async with running_host(tmp_path) as (agent, _):
        host = agent.host
        [stolen] = on_site(host)
        async with asked_all_the_while(host) as answers:
            left = await rotate(host, "--emergency", "--yes")
            await until(lambda: _only_file(tmp_path / "keys", f"{left['signing']}.pem"))
        assert set(left) == {"signing"}
        assert left["signing"] != stolen
        assert on_site(host) == [left["signing"]]
        assert await signed_by(host) == left["signing"]
        assert set(answers) == {200}
        assert [one["why"] for one in agent.events("key_forgotten")] == ["stolen"]


async def test_of_two_agents_with_one_ring_the_second_ends_and_says_why(tmp_path: Path) -> None:
    async with running_host(tmp_path) as (agent, _):
        host = agent.host
        other = tmp_path / "other.toml"
        words = host.config.read_text()
        for port in host.ports:
            words = words.replace(f"127.0.0.1:{port}", "127.0.0.1:0")  # no port is what keeps it from starting
        other.write_text(words)
        code, _, errors = await host.rolecall("run", "-c", str(other))
        assert code == 1
        assert f"error: another agent (process {agent.process.pid}) works with the keys in {tmp_path}/keys" in errors
        assert "hint: stop one of them" in errors
        assert "Traceback" not in errors
        assert (await fetch(host))[0] == 200


async def test_a_key_set_that_somebody_has_edited_is_told_and_made_good(tmp_path: Path) -> None:
    async with running_host(tmp_path) as (agent, _):
        host = agent.host
        [kid] = on_site(host)
        await until(lambda: _is(host, "rolecall_issuer_published", 1, kid=kid))
        jwks = tmp_path / "site/.well-known/jwks.json"
        right = jwks.read_bytes()
        jwks.write_text(right.decode().replace(kid, "no-kid-of-ours"))
        agent.process.send_signal(signal.SIGHUP)  # or it would look by itself, within the hour
        await until(lambda: _is(host, "rolecall_issuer_published", 0, kid=kid), LOOKED_AGAIN)
        warned = [one for one in agent.events("issuer_read") if one["level"] == "warning"]
        assert [(one["signing_key_shown"], one["missing"]) for one in warned] == [("no", kid)]
        await until(lambda: _shows(host, kid), LOOKED_AGAIN)
        assert (await fetch(host))[0] == 200


async def _shows(host: Host, kid: str) -> bool:
    return kid in on_site(host)


# --- what holds the key is not there


async def test_it_starts_without_its_vault_and_signs_when_that_comes(tmp_path: Path) -> None:
    (tmp_path / "vault-token").touch(mode=0o600)
    (tmp_path / "vault-token").write_text(VAULT_TOKEN)
    with fake_vault() as fake:
        keep_versions(fake)
        async with line_to(fake.address) as line:
            key = f'custodian = "vault_transit"\naddress = "{line.url}"\nkey = "rolecall"\n'
            key += f'token_file = "{tmp_path}/vault-token"'
            async with sandboxed(tmp_path, key=key, rotation=f'[rotation]\nstate = "{tmp_path}/keys"') as (host, _):
                code, _, errors = await host.rolecall("keys", "new", "--kind", "ec-p256", "-c", str(host.config))
                assert code == 0, errors
                line.cut()
                async with agent_on(host) as agent:
                    await agent.ready()
                    assert (await fetch(host))[0] == 503
                    await until(lambda: _told(agent, "rotation_stuck"))
                    assert agent.events("rotation_stuck")[0]["step"] == "key"
                    line.mend()
                    agent.process.send_signal(signal.SIGHUP)  # or it tries again by itself, in 15 s
                    await until(lambda: _served(host), 25)
                    [kid] = await states(host)
                    assert on_site(host) == [kid]


async def _told(agent: Agent, event: str) -> bool:
    return bool(agent.events(event))


async def _served(host: Host) -> bool:
    return (await fetch(host))[0] == 200


@pytest.mark.parametrize("module", ["nowhere.so", "rolecall.toml"])
async def test_a_module_that_cannot_be_loaded_is_a_mistake(tmp_path: Path, module: str) -> None:
    (tmp_path / "pin").touch(mode=0o600)
    (tmp_path / "pin").write_text("1234")
    key = f'custodian = "pkcs11"\nmodule = "{tmp_path}/{module}"\ntoken = "hsm"\nlabel = "rolecall"\n'
    host = Host(tmp_path, "http://127.0.0.1:9", key=f'{key}pin_file = "{tmp_path}/pin"')
    await host.furnish()
    code, _, errors = await host.rolecall("run", "-c", str(host.config))
    assert code == 2
    assert f"{tmp_path}/{module}" in errors
    assert "Traceback" not in errors
