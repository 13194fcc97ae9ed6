"""The custodian of Vault's Transit keys against what no real server does on demand; that is in tests/live/vault."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.clock import SystemClock
from agent.errors import KeyUnavailable
from agent.keys import Kind
from agent.keys.halves import CHALLENGE
from agent.keys.vault_transit.custodian import Place, VaultTransit
from agent.keys.vault_transit.server import Server
from tests.fakes.clock import FakeClock
from tests.fakes.ports import own_port
from tests.fakes.vault import (
    A_TOKEN,
    AN_APP_ROLE,
    LOOK_UP,
    READ,
    SIGN,
    Asked,
    FakeVault,
    Told,
    custodian,
    fake_vault,
    opened,
    refused,
    unavailable,
)


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with fake_vault() as fake:
        yield fake


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
from agent.keys.vault_transit.server import Server
from agent.secret import Secret

login = AppRole(lambda: Secret("r"), lambda: Secret("s"))
transit = VaultTransit(Place({vault.address!r}), login, "rolecall", clock=SystemClock())
print(asyncio.run(transit.names()))
"""
    root = Path(__file__).parents[3]
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


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_the_token_elsewhere(vault: FakeVault, status: int) -> None:
    with fake_vault() as other:
        vault.say(READ, Told(status, headers={"Location": f"{other.address}/v1/transit/keys/rolecall"}))

        error = await unavailable(custodian(vault).names())

        assert "redirects to another server" in error.what
        assert other.asked == []
        assert vault.paths().count(READ) == 1


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_on_the_same_server_is_followed(vault: FakeVault, status: int) -> None:
    vault.say("GET old/keys/rolecall", Told(status, headers={"Location": "/v1/transit/keys/rolecall"}))

    assert list(await custodian(vault, mount="old").names()) == ["rolecall:v1"]


async def test_redirects_in_circles_end(vault: FakeVault) -> None:
    vault.say(READ, Told(307, headers={"Location": "/v1/transit/keys/rolecall"}))

    assert "in circles" in (await unavailable(custodian(vault).names())).what


# What a server may answer


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (refused(472), "is a standby of a disaster recovery cluster"),
        (refused(473), "is a performance standby"),
        (refused(429, "rate limit quota exceeded"), "takes no more requests now: rate limit quota exceeded"),
        (refused(502), "what stands before Vault"),
        (refused(504), "what stands before Vault"),
        (refused(503, "Vault is sealed"), "not available"),
        (Told(503, b"<html>No server is available</html>"), "not available"),
        (Told(502, b"<html>Bad gateway</html>"), "what stands before Vault"),
        (Told(200, b'{"data": "' + b"x" * 5_000_000 + b'"}'), "is not Vault"),
        (Told(200, b"[" * 100_000), "is not Vault"),
        (refused(500, "local node not active but active cluster node not found"), "active cluster node not found"),
        (refused(500), "answered 500"),
        (Told(200, b"<html>Welcome</html>"), "is not Vault"),
        (Told(404, b"<html>Not found</html>"), "is not Vault"),
        (Told(200, b'["data"]'), "is not Vault"),
        (Told(200, b""), "is not Vault"),
        (Told(200, b"\xff\xfe"), "is not Vault"),
        (Told(200, {"data": None}), "it has no data"),
        (Told(200, {}), "it has no data"),
    ],
)
async def test_an_answer_that_is_of_no_use_is_named(vault: FakeVault, told: Told, named: str) -> None:
    key = await custodian(vault).open("rolecall:v1")
    vault.say(SIGN, told)
    vault.say("GET sys/health", Told(200, {}))

    assert named in (await unavailable(key.sign(b"x"))).what


@pytest.mark.parametrize(("health", "named"), [(501, "has not been initialised"), (503, "is sealed")])
async def test_a_server_that_serves_nobody_says_why(vault: FakeVault, health: int, named: str) -> None:
    """Its health is asked outside all namespaces, where alone it is to be had."""
    vault.say(LOOK_UP, refused(503, "Vault is sealed"))
    vault.say("GET sys/health", Told(health, {}))
    place = Place(vault.address, namespace="platform/iam")

    error = await unavailable(VaultTransit(place, A_TOKEN, "rolecall", clock=SystemClock()).names())

    assert named in error.what
    assert ["X-Vault-Namespace" in asked.headers for asked in vault.asked] == [True, False]


async def test_an_answer_that_repeats_our_secrets_is_not_repeated(vault: FakeVault) -> None:
    def echo(asked: Asked) -> Told:
        return refused(400, f"what is\n{json.dumps(asked.body)} or {asked.token} supposed to be?")

    vault.instead["POST auth/approle/login"] = echo
    assert "supposed to be?" in (await unavailable(custodian(vault, AN_APP_ROLE).names())).what
    vault.instead[READ] = echo
    assert "supposed to be?" in (await unavailable(custodian(vault).names())).what


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
        ({"type": "ml-dsa"}, "of type ml-dsa"),
        ({"type": None}, "of type None"),
        ({"derived": True}, "which AWS STS does not take"),
        ({"keys": None}, "does not list the versions"),
        ({"keys": {"1": 1700000000}}, "comes without a public half"),
        ({"keys": {"1": {"public_key": ""}}}, "comes without a public half"),
        ({"keys": {}}, "comes without a public half"),
        ({"latest_version": "1"}, "latest_version is no number"),
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


async def test_a_port_where_nobody_listens_is_named() -> None:
    port = own_port()
    transit = VaultTransit(Place(f"http://127.0.0.1:{port}"), A_TOKEN, "rolecall", clock=SystemClock())

    error = await unavailable(transit.names())

    assert error.what == f"Vault at http://127.0.0.1:{port} cannot be reached, or broke off"


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


async def test_a_wait_for_an_answer_has_an_end_of_its_own(vault: FakeVault) -> None:
    """Else every server that hangs would cost a thread for ever."""
    gate = threading.Event()
    vault.instead[LOOK_UP] = lambda _: Told(200 if gate.wait(20) else 500)

    error = await unavailable(custodian(vault, clock=FakeClock(), patience=0.1).names())

    assert "did not answer in time" in error.what
    gate.set()


async def test_a_server_that_sends_a_byte_now_and_then_is_given_up(vault: FakeVault) -> None:
    """Each byte comes in time, and the answer never."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.sendall(head)
            while not over.wait(0.02):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        place = Place(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = Server(place, 0.3, SystemClock())
        with pytest.raises(KeyUnavailable, match="did not answer in time"):
            await asyncio.to_thread(server.ask, "GET", "sys/health")
        over.set()
        thread.join()


@pytest.fixture
def over_tls(vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """Vault's address behind TLS with a certificate of its own making, and that certificate."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*new, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with fake_vault(tls=context) as fake:
        yield fake.address, certificate


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(over_tls: tuple[str, Path]) -> None:
    transit = VaultTransit(Place(over_tls[0]), A_TOKEN, "rolecall", clock=SystemClock())

    error = await unavailable(transit.names())

    assert "is not trusted" in error.what
    assert "ca_bundle" in error.hint


async def test_an_authority_of_ones_own_is_trusted_once_it_is_named(over_tls: tuple[str, Path]) -> None:
    place = Place(over_tls[0], ca_bundle=over_tls[1])

    assert await VaultTransit(place, A_TOKEN, "rolecall", clock=SystemClock()).names()


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_certificates_that_cannot_be_read_are_named(
    over_tls: tuple[str, Path], tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)

    error = await unavailable(
        VaultTransit(Place(over_tls[0], ca_bundle=bundle), A_TOKEN, "rolecall", clock=SystemClock()).names()
    )

    assert str(bundle) in error.what
    assert "ca_bundle" in error.hint


async def test_what_is_closed_signs_no_more(vault: FakeVault) -> None:
    transit = custodian(vault)
    key = await transit.open("rolecall:v1")

    await transit.close()

    assert "has been closed" in (await unavailable(key.sign(b"x"))).what
