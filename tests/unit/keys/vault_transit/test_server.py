"""One request to Vault, against what no real server does on demand; what one can do is tried in tests/live/vault."""

import json
import socket
import ssl
import subprocess
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.errors import KeyUnavailable
from agent.keys.vault_transit.server import Place, Said, Server, members
from agent.secret import Secret
from tests.fakes.clock import FakeClock
from tests.fakes.ports import own_port
from tests.fakes.vault import LOOK_UP, READ, SIGN, TOKEN, Asked, FakeVault, Told, fake_vault, refused

HEALTH = "GET sys/health"


def server(vault: FakeVault, namespace: str | None = None) -> Server:
    return Server(Place(vault.address, namespace), 15, SystemClock())


def ask(asked: Server, question: str = READ, body: Mapping[str, object] | None = None) -> Mapping[str, object]:
    method, path = question.split()
    return asked.ask(method, path, body, token=Secret(TOKEN))


def problem(asked: Server, question: str = READ, body: Mapping[str, object] | None = None) -> KeyUnavailable:
    """What an operator is told, in which there is no secret however it is shown."""
    with pytest.raises((KeyUnavailable, Said)) as caught:
        ask(asked, question, body)
    error = caught.value
    told = asked.explained(error) if isinstance(error, Said) else error
    assert isinstance(told, KeyUnavailable)
    assert told.hint
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(told) + told.what + told.hint
    assert "canary" not in shown
    return told


# What is sent, and to whom


def test_the_answer_is_what_vault_says(vault: FakeVault) -> None:
    vault.say(READ, Told(200, {"data": {"type": "rsa-2048"}, "lease_duration": 0}))

    assert ask(server(vault)) == {"data": {"type": "rsa-2048"}, "lease_duration": 0}
    assert vault.asked[0].token == TOKEN


def test_an_answer_without_content_has_no_members(vault: FakeVault) -> None:
    vault.say(READ, Told(204, b""))

    assert ask(server(vault)) == {}


def test_a_login_shows_no_token_of_an_earlier_request(vault: FakeVault) -> None:
    asked = server(vault)
    ask(asked)

    asked.ask("POST", "auth/approle/login", {"role_id": "r", "secret_id": "s"})

    assert [one.token for one in vault.asked] == [TOKEN, None]
    assert vault.asked[1].body == {"role_id": "r", "secret_id": "s"}


def test_a_namespace_goes_with_each_request_and_is_named_in_what_goes_wrong(vault: FakeVault) -> None:
    asked = server(vault, "platform/iam")
    ask(asked)
    vault.say(READ, refused(403, "permission denied"))

    error = problem(asked)

    assert [one.headers.get("X-Vault-Namespace") for one in vault.asked] == ["platform/iam"] * 2
    assert error.what == "Vault does not allow this token read on transit/keys/rolecall in the namespace platform/iam"
    assert error.hint.endswith('path "transit/keys/rolecall" { capabilities = ["read"] }')


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_the_token_elsewhere(vault: FakeVault, status: int) -> None:
    with fake_vault() as other:
        vault.say(READ, Told(status, headers={"Location": f"{other.address}/v1/transit/keys/rolecall"}))

        assert "redirects to another server" in problem(server(vault)).what
        assert other.asked == []
        assert vault.paths() == [READ]


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_on_the_same_server_is_followed(vault: FakeVault, status: int) -> None:
    vault.say("GET old/keys/rolecall", Told(status, headers={"Location": "/v1/transit/keys/rolecall"}))

    assert "data" in ask(server(vault), "GET old/keys/rolecall")
    assert [one.token for one in vault.asked] == [TOKEN, TOKEN]


def test_redirects_in_circles_end(vault: FakeVault) -> None:
    vault.say(READ, Told(307, headers={"Location": "/v1/transit/keys/rolecall"}))

    assert "in circles" in problem(server(vault)).what
    assert vault.paths() == [READ] * 3


@pytest.mark.parametrize("where", ["http://127.0.0.1:a-port/v1/x", "http://[", "ftp://127.0.0.1/v1/x"])
def test_a_redirect_to_no_address_is_not_followed(vault: FakeVault, where: str) -> None:
    vault.say(READ, Told(307, headers={"Location": where}))

    assert "redirects to another server" in problem(server(vault)).what


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
        (refused(404, 'no handler for route "transit/sign/rolecall"'), "has no secrets engine at transit"),
        (Told(200, b"<html>Welcome</html>"), "is not Vault"),
        (Told(404, b"<html>Not found</html>"), "is not Vault"),
        (Told(200, b'["data"]'), "is not Vault"),
        (Told(200, b""), "is not Vault"),
        (Told(200, b"\xff\xfe"), "is not Vault"),
    ],
)
def test_an_answer_that_is_of_no_use_is_named(vault: FakeVault, told: Told, named: str) -> None:
    vault.say(SIGN, told)
    vault.say(HEALTH, Told(200, {}))

    assert named in problem(server(vault), SIGN, {"input": "eA=="}).what


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": ["x"]}, {"Data": {}}])
def test_a_member_that_is_no_object_is_named(answer: Mapping[str, object]) -> None:
    with pytest.raises(KeyUnavailable, match="it has no data"):
        members(answer, "data")


def test_what_only_the_one_who_asked_can_judge_is_left_to_him(vault: FakeVault) -> None:
    vault.say(SIGN, refused(400, "requested version\nfor signing is higher"))

    with pytest.raises(Said) as caught:
        ask(server(vault), SIGN, {"input": "eA=="})

    said = caught.value
    assert (said.status, said.path, said.capability) == (400, "transit/sign/rolecall", "update")
    assert said.words == "requested version for signing is higher"


@pytest.mark.parametrize(("health", "named"), [(501, "has not been initialised"), (503, "is sealed")])
def test_a_server_that_serves_nobody_says_why(vault: FakeVault, health: int, named: str) -> None:
    """Its health is asked outside all namespaces, where alone it is to be had."""
    vault.say(LOOK_UP, refused(503, "Vault is sealed"))
    vault.say(HEALTH, Told(health, {}))
    asked = server(vault, "platform/iam")

    assert named in problem(asked, LOOK_UP).what
    vault.instead.clear()
    ask(asked)

    assert ["X-Vault-Namespace" in one.headers for one in vault.asked] == [True, False, True]


def test_an_answer_that_repeats_our_secrets_is_not_repeated(vault: FakeVault) -> None:
    def echo(asked: Asked) -> Told:
        return refused(400, f"what is\n{json.dumps(asked.body)} or {asked.token} supposed to be?")

    vault.instead["POST auth/approle/login"] = echo

    error = problem(server(vault), "POST auth/approle/login", {"secret_id": "secret-id-canary"})

    assert "supposed to be?" in error.what
    assert "hvs." not in error.what


def test_of_long_words_the_beginning_is_enough(vault: FakeVault) -> None:
    vault.say(READ, refused(400, "x" * 10_000))

    assert len(problem(server(vault)).what) < 500


# Connections


@contextmanager
def dripping() -> Iterator[str]:
    """A server whose bytes come in time each, and whose answer never ends; its address."""
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.02):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def test_a_server_that_sends_a_byte_now_and_then_is_given_up() -> None:
    with dripping() as address:
        assert "did not answer in time" in problem(Server(Place(address), 0.3, SystemClock())).what


def test_a_wait_for_an_answer_has_an_end_of_its_own(vault: FakeVault) -> None:
    """Else every server that hangs would cost a thread for ever, whatever the loop's clock makes of it."""
    gate = threading.Event()
    vault.instead[READ] = lambda _: Told(200 if gate.wait(20) else 500)

    error = problem(Server(Place(vault.address), 0.1, FakeClock()))

    assert "did not answer in time" in error.what
    gate.set()


def test_a_port_where_nobody_listens_is_named() -> None:
    address = f"http://127.0.0.1:{own_port()}"

    error = problem(Server(Place(address), 15, SystemClock()))

    assert error.what == f"Vault at {address} cannot be reached, or broke off"


@pytest.fixture
def over_tls(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Vault's address behind TLS with a certificate of its own making, and that certificate."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*new, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with fake_vault(tls=context) as fake:
        yield fake.address, certificate


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(over_tls: tuple[str, Path]) -> None:
    error = problem(Server(Place(over_tls[0]), 15, SystemClock()))

    assert "is not trusted" in error.what
    assert "ca_bundle" in error.hint


def test_an_authority_of_ones_own_is_trusted_once_it_is_named(over_tls: tuple[str, Path]) -> None:
    assert ask(Server(Place(over_tls[0], ca_bundle=over_tls[1]), 15, SystemClock()))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_named(
    over_tls: tuple[str, Path], tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)

    error = problem(Server(Place(over_tls[0], ca_bundle=bundle), 15, SystemClock()))

    assert str(bundle) in error.what
    assert "ca_bundle" in error.hint
