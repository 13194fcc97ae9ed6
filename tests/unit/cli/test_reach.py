import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.cli.reach import Access, Stranger, access, get, presence, status_of
from agent.errors import AgentError, AgentUnreachable, CallerDenied, ConfigurationError, CredentialsUnavailable
from agent.secret import Secret
from agent.settings import Address, Settings, load
from tests.fakes.answering import answering, http
from tests.fakes.ports import own_port
from tests.fakes.written import SET, TOKEN, role_status, status_json, write_configuration

NOT_READY = http(503, {"code": "CredentialsNotReady", "message": "Not yet."})
DENIED = http(403, {"code": "AccessDenied", "message": "This caller may not have this role."})


@pytest.fixture(autouse=True)
def no_token_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", raising=False)


def here(port: int, token: str | None = TOKEN) -> Access:
    return Access("backup", Address("127.0.0.1", port), Secret(token) if token else None, None)


def settings(home: Path, **how: int | str) -> Settings:
    return load(write_configuration(home, **how).config, environ={}, host="host")  # type: ignore[arg-type]  # ports


def test_the_token_is_shown_as_it_is_and_the_answer_read() -> None:
    with answering(http(200, SET)) as agent:
        reply = here(agent.port).fetch()
    assert (reply.status, reply.document) == (200, SET)
    head = agent.requests[0].decode().split("\r\n")
    assert head[0] == "GET /v1/credentials/backup HTTP/1.1"
    assert f"Authorization: {TOKEN}" in head
    assert f"Host: 127.0.0.1:{agent.port}" in head


def test_who_needs_no_token_shows_none() -> None:
    with answering(http(200, SET)) as agent:
        here(agent.port, token=None).fetch()
    assert b"authorization" not in agent.requests[0].lower()


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{own_port()}")
    with answering(http(200, SET)) as agent:
        assert here(agent.port).fetch().status == 200


def test_an_ipv6_listener_is_reached_and_its_url_has_brackets() -> None:
    with answering(http(200, SET), host="::1") as agent:
        reach = Access("backup", Address("::1", agent.port))
        assert reach.fetch().status == 200
        assert reach.url == f"http://[::1]:{agent.port}/v1/credentials/backup"


def test_credentials_that_are_on_their_way_are_waited_for() -> None:
    with answering(NOT_READY, NOT_READY, http(200, SET)) as agent:
        assert here(agent.port).fetch_patiently(10).document == SET
    assert len(agent.requests) == 3


def test_credentials_that_do_not_come_in_time_are_not_waited_for_longer() -> None:
    with answering(NOT_READY) as agent, pytest.raises(CredentialsUnavailable, match="role backup yet") as caught:
        here(agent.port).fetch_patiently(0)
    assert "rolecall status" in caught.value.hint


def test_a_refusal_is_final_and_names_the_token_file_but_not_the_token(tmp_path: Path) -> None:
    with answering(DENIED) as agent, pytest.raises(CallerDenied, match="may not have this role") as caught:
        access(settings(tmp_path, credentials=agent.port), "backup", None).fetch_patiently(30)
    assert len(agent.requests) == 1
    assert str(tmp_path / "backup.token") in caught.value.hint
    assert TOKEN not in caught.value.what + caught.value.hint


def test_where_nobody_listens_the_agent_is_said_to_be_away() -> None:
    port = own_port()
    with pytest.raises(AgentUnreachable, match=f"no agent answers at 127.0.0.1:{port}: connection refused") as caught:
        here(port).fetch()
    assert caught.value.retryable
    assert "systemctl status rolecall" in caught.value.hint


HTML = b"<html><title>Welcome to nginx!</title></html>"

STRANGERS = {
    "a page": http(200, HTML, "text/html"),
    "a page that is not there": http(404, HTML, "text/html"),
    "somebody else's 404": http(404, {"detail": "Not Found"}),
    "somebody else's 500": http(500, {"error": "oops"}),
    "a list": http(200, []),
    "nothing": http(200, b""),
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
    "an SSH server": b"SSH-2.0-OpenSSH_9.2\r\n",
    "bytes": bytes(range(256)),
    "very deep JSON": http(200, b"[" * 100_000),
    "text of no encoding": http(200, b'{"a": "\xff\xfe"}'),
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200,
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
}


@pytest.mark.parametrize("said", STRANGERS.values(), ids=STRANGERS)
def test_what_is_not_the_agent_is_told_apart_from_it_at_once(said: bytes) -> None:
    started = time.monotonic()
    with answering(said) as stranger, pytest.raises(Stranger) as caught:
        here(stranger.port).fetch_patiently(30)
    assert time.monotonic() - started < 5
    assert caught.value.what == f"what answers at 127.0.0.1:{stranger.port} is not the agent"
    assert "ss -ltnp" in caught.value.hint


def test_what_closes_without_a_word_is_an_agent_that_is_away() -> None:
    with answering(b"") as stranger, pytest.raises(AgentUnreachable, match="no agent answers"):
        here(stranger.port).fetch()


def test_what_says_nothing_is_not_waited_for_for_ever() -> None:
    with answering(None) as silent, pytest.raises(AgentUnreachable, match=r"nothing came from .* within 1 s"):
        here(silent.port).fetch_patiently(0)


def test_an_endless_answer_is_cut_off() -> None:
    with answering(http(200, b" " * 3_000_000)) as stranger, pytest.raises(Stranger):
        get(Address("127.0.0.1", stranger.port), "/", {})


def test_nobody_who_listens_there_can_steer_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\r\nerror: pay"
    with answering(http(403, {"code": "AccessDenied", "message": evil, evil: [{"a": evil}]})) as stranger:
        with pytest.raises(CallerDenied) as caught:
            here(stranger.port).fetch()
        shown = str(get(Address("127.0.0.1", stranger.port), "/", {}).document) + caught.value.what
    assert not set("\x1b\x07\r\n") & set(shown)
    assert "\\x1b" not in shown
    assert "owned" in shown


def test_a_port_that_the_system_chooses_cannot_be_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="leaves the port to the system"):
        status_of(settings(tmp_path, credentials="127.0.0.1:0", admin="127.0.0.1:0"))


def test_the_status_is_that_of_an_agent_or_none(tmp_path: Path) -> None:
    with answering(http(200, status_json(role_status("backup"))), http(200, {"status": "UP"})) as agent:
        known = settings(tmp_path, admin=agent.port)
        assert status_of(known)["version"] == "1.2.3"
        with pytest.raises(Stranger):
            status_of(known)


class TestTheTokenShown:
    def test_is_the_one_granted(self, tmp_path: Path) -> None:
        reach = access(settings(tmp_path), "backup", None)
        assert (reach.token, reach.token_file, reach.bare) == (Secret(TOKEN), tmp_path / "backup.token", True)

    def test_is_that_of_the_file_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "mine").write_text("another-token-0123456789")
        known = settings(tmp_path)
        monkeypatch.chdir(tmp_path)
        reach = access(known, "backup", Path("mine"))
        assert (reach.token, reach.token_file) == (Secret("another-token-0123456789"), tmp_path / "mine")

    def test_is_none_where_anyone_may_have_the_role(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "of another role"))
        reach = access(settings(tmp_path), "reports", None)
        assert (reach.token, reach.token_file) == (None, None)

    def test_is_that_of_the_environment_only_where_none_granted_can_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "credential").write_text("the-token-of-the-unit")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "credential"))
        known = settings(tmp_path)
        assert access(known, "backup", None).token == Secret(TOKEN)
        (tmp_path / "backup.token").unlink()
        assert access(known, "backup", None).token == Secret("the-token-of-the-unit")

    @pytest.mark.parametrize("written", [f"{TOKEN}\n", f"{TOKEN}\r\n", f"  {TOKEN} ", f"{TOKEN}\nold-token\n"])
    def test_is_the_first_of_the_file_and_the_file_not_bare(self, written: str, tmp_path: Path) -> None:
        known = settings(tmp_path)
        (tmp_path / "backup.token").write_text(written)
        reach = access(known, "backup", None)
        assert (reach.token, reach.bare) == (Secret(TOKEN), False)

    @pytest.mark.parametrize(
        ("written", "said"),
        [
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b"tok\x00en-0123456789", "no header can carry"),
            ("tökén-0123456789".encode(), "no header can carry"),
            (b"\xff\xfe\x00", "no header can carry"),
        ],
    )
    def test_must_be_one(self, written: bytes, said: str, tmp_path: Path) -> None:
        known = settings(tmp_path)
        (tmp_path / "backup.token").write_bytes(written)
        with pytest.raises(ConfigurationError, match=said) as caught:
            access(known, "backup", None)
        assert "0123456789" not in caught.value.what + caught.value.hint

    def test_is_not_looked_for_in_a_file_without_end(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no header can carry"):
            access(settings(tmp_path), "backup", Path("/dev/zero"))

    @pytest.mark.parametrize(("name", "said"), [("missing", "no such file"), ("", "is a directory")])
    def test_must_be_in_a_file(self, name: str, said: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=said):
            access(settings(tmp_path), "backup", tmp_path / name)

    def test_must_be_granted(self, tmp_path: Path) -> None:
        known = settings(tmp_path)
        with pytest.raises(ConfigurationError, match="no role 'bakcup'") as caught:
            access(known, "bakcup", None)
        assert "backup, reports" in caught.value.hint


#: Said twice, first unheard and as root, which imports all that it takes: nobody may not read where we live.
AS_NOBODY = """
import contextlib, encodings.ascii, os, sys
from agent.cli import main
said = ["env", "backup", "-c", sys.argv[1]]
with open(os.devnull, "w") as unheard, contextlib.redirect_stdout(unheard), contextlib.redirect_stderr(unheard):
    main(said)
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(main(said))
"""


@pytest.fixture
def for_all_to_enter() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_token_file_that_is_missing_is_not_said_to_be_unreadable(tmp_path: Path) -> None:
    written = write_configuration(tmp_path, token=None)
    with pytest.raises(ConfigurationError) as caught:
        access(load(written.config, environ={}, host="host"), "backup", None)
    assert caught.value.what == f"no token file that grants role backup exists: {tmp_path}/backup.token"
    assert f"rolecall token new {tmp_path}/backup.token" in caught.value.hint


def granting(home: Path, *grants: str, more: str = "") -> Settings:
    """Settings in which these are the grants of `backup` and `reports`, in turn."""
    config = write_configuration(home).config
    before, _, after = config.read_text().partition("[[grants]]")
    roles = ("backup", "reports")
    written = [f'[[grants]]\nroles = ["{roles[number % 2]}"]\n{grant}\n' for number, grant in enumerate(grants)]
    config.write_text(before + "".join(written) + after[after.index("[listen]") :] + more)
    return load(config, environ={}, host="host")


def test_who_is_known_by_what_it_is_shows_no_token_whatever_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = granting(tmp_path, 'unit = "backup.service"', 'user = "alice"')
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "backup.token"))
    for role in ("", "backup", "reports"):
        assert access(found, role, None) == Access(role, found.listen.credentials)


def test_without_a_role_nobody_is_given_one_of_two_tokens_by_chance(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("another-token-0123456789")
    found = granting(tmp_path, f'token_file = "{tmp_path}/backup.token"', f'token_file = "{tmp_path}/other"')
    with pytest.raises(ConfigurationError, match="tokens for several roles: backup, reports"):
        access(found, "", None)
    assert access(found, "reports", None).token == Secret("another-token-0123456789")
    assert access(found, "", tmp_path / "other").path == "/v1/credentials"


TOKENS = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
audiences = ["orders"]
anyone = true
[[grants]]
roles = ["backup"]
audiences = ["vault"]
token_file = "HOME/backup.token"
"""


def test_who_asks_for_tokens_shows_what_those_grants_want_and_who_asks_for_a_role_what_that_does(
    tmp_path: Path,
) -> None:
    (tmp_path / "backup.token").write_text(TOKEN)
    path = tmp_path / "rolecall.toml"
    path.write_text(TOKENS.replace("HOME", str(tmp_path)))
    known = load(path, environ={}, host="host")
    for role in ("", "backup"):  # of which the grant of tokens to anyone says nothing
        assert access(known, role, None).token == Secret(TOKEN)
    assert presence(known, "vault", None).token == Secret(TOKEN)
    assert presence(known, "orders", None).token is None
    assert presence(known, "", None).token is None
    with pytest.raises(ConfigurationError, match="nobody is granted role nosuch"):
        presence(known, "nosuch", None)


def test_without_a_role_the_token_is_shown_that_sdks_here_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = granting(tmp_path, 'unit_token = "backup.service"', 'user = "alice"', more="[unit_tokens]\n")
    write_configuration(tmp_path)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "backup.token"))
    assert access(found, "", None).token == Secret(TOKEN)
    assert access(found, "", None, elsewhere=True).token is None


def test_a_role_for_tokens_of_units_leads_to_their_socket(tmp_path: Path) -> None:
    grants = ('unit_token = "backup.service"', 'unit_token = "reports.service"')
    found = granting(tmp_path, *grants, more='[unit_tokens]\nsocket = "/run/made-up.sock"\n')
    for role in ("", "backup"):
        assert access(found, role, None) == Access(
            role, found.listen.credentials, unit_tokens=Path("/run/made-up.sock")
        )


def test_a_token_file_of_somebody_else_is_said_to_be_one(for_all_to_enter: Path) -> None:
    """As nobody; without root to give up, it is our own file that nobody may read."""
    written = write_configuration(for_all_to_enter)
    written.token.chmod(0o600 if os.getuid() == 0 else 0)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, written.config],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "error: no token file that grants role backup can be read by this user",
        f"hint: name one with --token-file, or run as a user who can read one of: {written.token}",
    ]


def test_no_error_holds_what_the_other_end_said() -> None:
    canary = "wJalr-canary"
    for said in (http(200, canary.encode()), http(404, {"canary": canary}), http(200, [canary])):
        with answering(said) as stranger, pytest.raises(AgentError) as caught:
            here(stranger.port).fetch()
        assert canary not in json.dumps([str(caught.value), caught.value.hint, repr(caught.value.__cause__)])
