"""The custodian of Vault's Transit keys against what no real server does on demand; that is in tests/live/vault."""

import asyncio
import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.clock import SystemClock
from agent.keys import Kind
from agent.keys.halves import CHALLENGE
from agent.keys.vault_transit.custodian import Place, VaultTransit
from tests.fakes.clock import FakeClock
from tests.fakes.ports import own_port
from tests.fakes.vault import (
    AN_APP_ROLE,
    READ,
    SIGN,
    Asked,
    FakeVault,
    Told,
    custodian,
    opened,
    refused,
    unavailable,
)


@pytest.mark.parametrize("kind", ["rsa-2048", "ec-p256"])
async def test_the_helper_for_the_contract_suite_opens_what_signs(kind: Kind) -> None:
    async with opened(kind) as key:
        assert await key.sign(b"x")
        assert key.public.kid in repr(key)


# What is sent, and to whom


async def test_the_whole_message_is_sent_and_the_version_named(vault: FakeVault) -> None:
    key = await custodian(vault).open("rolecall:v1")
    await key.sign(b"a message")

    assert vault.asked[-1].body == {
        "input": "YSBtZXNzYWdl",
        "key_version": 1,
        "hash_algorithm": "sha2-256",
        "prehashed": False,
        "marshaling_algorithm": "jws",
    }


async def test_a_namespace_goes_with_every_request(vault: FakeVault) -> None:
    place = Place(vault.address, namespace="platform/iam")
    transit = VaultTransit(place, AN_APP_ROLE, "rolecall", clock=SystemClock())

    await transit.open("rolecall:v1")

    assert {asked.headers["X-Vault-Namespace"] for asked in vault.asked} == {"platform/iam"}
    vault.say(READ, refused(403, "permission denied"))
    assert "in the namespace platform/iam" in (await unavailable(transit.names())).what


def test_nothing_of_the_environment_is_used(vault: FakeVault, tmp_path: Path) -> None:
    """In a process of its own, as hvac reads some of it when it is imported."""
    (tmp_path / ".vault-token").write_text("hvs.from-the-home-directory")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password from-netrc\n")
    elsewhere = f"http://127.0.0.1:{own_port()}"
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "VAULT_ADDR": elsewhere,
        "VAULT_TOKEN": "hvs.from-the-environment",
        "VAULT_NAMESPACE": "from-the-environment",
        "VAULT_CACERT": "/nowhere.pem",
        "VAULT_CAPATH": "/nowhere",
        "VAULT_CLIENT_CERT": "/nowhere.pem",
        "VAULT_CLIENT_KEY": "/nowhere.pem",
        "REQUESTS_CA_BUNDLE": "/nowhere.pem",
        **dict.fromkeys(["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"], elsewhere),
    }
    program = f"""
import asyncio
from agent.clock import SystemClock
from agent.keys.vault_transit.custodian import AppRole, Place, VaultTransit
from agent.secret import Secret

login = AppRole(lambda: Secret("r"), lambda: Secret("s"))
transit = VaultTransit(Place({vault.address!r}), login, "rolecall", clock=SystemClock())
print(asyncio.run(transit.names()))
"""
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.stdout == "['rolecall:v1']\n", done.stderr
    login, read = vault.asked
    assert login.token is None
    assert read.token == "hvs.login-1"
    for asked in vault.asked:
        assert "from-" not in str(asked.headers)
        assert "Authorization" not in asked.headers


# What a server may answer


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (refused(500), "answered 500"),
        (refused(403, "permission denied"), "does not allow this token update on transit/sign/rolecall"),
        (Told(200, b"<html>Welcome</html>"), "is not Vault"),
        (Told(200, {"data": None}), "it has no data"),
        (Told(200, {}), "it has no data"),
    ],
)
async def test_an_answer_without_a_signature_is_explained(vault: FakeVault, told: Told, named: str) -> None:
    key = await custodian(vault).open("rolecall:v1")
    vault.say(SIGN, told)

    assert named in (await unavailable(key.sign(b"x"))).what


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"signature": "vault:v2:AAAA"}, "signed with version 2 of the key, and was asked for version 1"),
        ({"signature": "AAAA"}, "it holds no signature"),
        ({"signature": "vault:v1:"}, "it holds no signature"),
        ({"signature": None}, "it holds no signature"),
        ({"signature": "vault:v1:AAAAA"}, "no base64"),
        ({"signature": "vault:v1:AAAA"}, "is not from the key"),
        ({}, "it holds no signature"),
    ],
)
async def test_a_signature_that_is_not_the_one_that_was_asked_for_is_refused(
    vault: FakeVault, data: dict[str, object], named: str
) -> None:
    key = await custodian(vault).open("rolecall:v1")
    vault.say(SIGN, Told(200, {"data": data}))

    assert named in (await unavailable(key.sign(b"x"))).what


async def test_a_signature_of_another_message_is_refused(vault: FakeVault) -> None:
    key = await custodian(vault).open("rolecall:v1")
    await key.sign(CHALLENGE)
    earlier = {"signature": f"vault:v1:{vault.sign(vault.asked[-1].body)}"}
    vault.say(SIGN, Told(200, {"data": earlier}))

    assert "is not from the key" in (await unavailable(key.sign(b"x"))).what


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"type": "managed_key"}, "of type managed_key"),
        ({"keys": {}}, "comes without a public half"),
        ({"min_available_version": 2, "latest_version": 2}, "has been destroyed"),
    ],
)
async def test_a_key_that_cannot_be_ours_is_refused_before_it_signs(
    vault: FakeVault, changed: dict[str, object], named: str
) -> None:
    vault.say(READ, Told(200, {"data": vault.key(**changed)}))

    assert named in (await unavailable(custodian(vault).open("rolecall:v1"))).what
    assert SIGN not in vault.paths()


async def test_a_public_half_of_another_key_is_found_at_once(vault: FakeVault) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    vault.say(READ, Told(200, {"data": vault.key(keys={"1": {"public_key": pem}})}))

    assert "is not from the key" in (await unavailable(custodian(vault).open("rolecall:v1"))).what


# Connections


async def test_a_slow_server_holds_up_nobody_but_who_waits_for_it(vault: FakeVault) -> None:
    key = await custodian(vault).open("rolecall:v1")
    gate = threading.Event()

    def slowly(asked: Asked) -> Told:
        gate.wait(20)
        return Told(200, {"data": {"signature": f"vault:v1:{vault.sign(asked.body)}"}})

    vault.instead[SIGN] = slowly
    signing = asyncio.ensure_future(key.sign(b"x"))
    for _ in range(20):
        await asyncio.sleep(0.005)

    assert not signing.done()
    gate.set()
    assert len(await signing) == 64


async def test_a_server_that_hangs_is_given_up_and_asked_again_later(vault: FakeVault) -> None:
    clock = FakeClock()
    key = await custodian(vault, clock=clock, patience=20.0).open("rolecall:v1")
    gate, asked = threading.Event(), threading.Event()

    def hang(_: Asked) -> Told:
        asked.set()
        gate.wait(20)
        return refused(500)

    vault.instead[SIGN] = hang
    signing = asyncio.ensure_future(key.sign(b"x"))
    assert await asyncio.to_thread(asked.wait, 20)
    await clock.advance(timedelta(seconds=20))

    assert "did not answer in time" in (await unavailable(signing)).what
    vault.instead.clear()
    gate.set()
    assert await key.sign(b"x")


async def test_what_is_closed_signs_no_more(vault: FakeVault) -> None:
    transit = custodian(vault)
    key = await transit.open("rolecall:v1")

    await transit.close()

    assert "has been closed" in (await unavailable(key.sign(b"x"))).what
