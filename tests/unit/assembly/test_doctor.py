"""What the doctor makes of a configuration; the whole chain is tried in tests/live/test_doctor.py."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.assembly.doctor import Around, examine, lock_holder
from agent.assembly.keys import write_key
from agent.clock import SystemClock
from agent.doctor import LINKS, configuration
from agent.doctor.diagnosis import Diagnosis
from agent.doctor.endpoint import Served
from agent.errors import AgentUnreachable
from agent.settings import Settings, load
from tests.fakes.oauth_provider import oauth_provider


class Nobody:
    """No agent."""

    async def status(self) -> Mapping[str, Any]:
        raise AgentUnreachable("no agent answers", hint="start it")

    async def fetch(self, role: str) -> Served:
        raise AssertionError(role)

    async def who(self) -> Mapping[str, Any]:
        raise AssertionError("nobody is there to say")


def settings(home: Path, key: str = "") -> Settings:
    path = home / "rolecall.toml"
    path.write_text(f"""
[issuer]
url = "https://oidc.example.com"
proxy = "http://127.0.0.1:1"
[key]
custodian = "pem"
file = "{key or home / "key.pem"}"
[identity]
subject = "host:web-1"
[sts]
region = "eu-central-1"
endpoint_url = "http://127.0.0.1:1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
""")
    return load(path, environ={"CREDENTIALS_DIRECTORY": "/run/credentials/rolecall.service"}, host="web-1")


async def examined(known: Settings, told: list[str]) -> Diagnosis:
    around = Around(SystemClock(), None, Nobody(), {}, Path("/nonexistent"), told.append)
    return await examine(known, configuration.read("rolecall.toml", []), around)


async def test_every_link_has_its_say_however_much_is_broken_and_no_cause_is_told_twice(tmp_path: Path) -> None:
    told: list[str] = []
    diagnosis = await examined(settings(tmp_path), told)
    always = [link for link in LINKS if link not in {"sign-in", "rules"}]  # nobody signs in, or shows us tokens
    assert [one.link for one in diagnosis.tried] == always
    assert [(one.link, one.severity) for one in diagnosis.findings] == [
        ("key", "error"),
        ("sts", "error"),
        ("issuer", "error"),
        ("endpoint", "warning"),
    ]
    assert {one.link: one.not_tried for one in diagnosis.tried if one.not_tried} == {
        "clock": "STS does not answer",
        "token": "there is no key to sign it with",
        "roles": "STS does not answer as it should",
    }
    assert [line.split()[0] for line in told] == ["looking", "having", "asking", "asking", "looking", "looking"]


async def test_a_key_that_systemd_hands_to_the_unit_alone_is_not_tried(tmp_path: Path) -> None:
    diagnosis = await examined(settings(tmp_path, "credential:key"), [])
    (key,) = [one for one in diagnosis.tried if one.link == "key"]
    assert not key.is_broken
    assert key.not_tried.startswith("systemd hands it to the agent's unit alone")


async def test_where_there_are_rules_alone_they_alone_are_tried(tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_text('[verify.api]\nissuer = "http://127.0.0.1:1"\naudiences = ["a"]\n')
    diagnosis = await examined(load(path, environ={}, host="web-1"), [])
    assert [(one.link, one.severity) for one in diagnosis.findings] == [("rules", "error"), ("endpoint", "warning")]
    assert diagnosis.findings[0].what.startswith("no token can be verified by the rule api: http://127.0.0.1:1/")
    assert diagnosis.findings[1].what.endswith("nothing is verified for anybody")
    assert {one.link for one in diagnosis.tried if one.not_tried} == {
        "key", "sts", "clock", "issuer", "token", "roles", "callers", "environment",
    }  # fmt: skip


@contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    path.touch()
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def test_who_holds_a_lock_is_told_without_taking_it(tmp_path: Path) -> None:
    if not Path("/proc/locks").exists():
        pytest.skip("this kernel does not tell who holds which lock")
    path = tmp_path / ".agent.lock"
    with locked(path, fcntl.LOCK_EX):
        assert lock_holder(path) == os.getpid()
    assert lock_holder(path) is None
    with locked(path, fcntl.LOCK_SH):  # somebody only asks
        assert lock_holder(path) is None


def test_a_lock_file_that_is_not_there_is_held_by_nobody(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "none") is None
    assert list(tmp_path.iterdir()) == []


def test_where_the_kernel_does_not_tell_nobody_is_blamed(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", fcntl.LOCK_EX):
        assert lock_holder(tmp_path / "lock", tmp_path / "no-locks") is None


async def test_a_provider_that_does_not_know_us_leads_to_where_it_should_have_found_our_key(tmp_path: Path) -> None:
    async with oauth_provider(tmp_path) as provider:
        provider.status, provider.answer = 401, {"error": "invalid_client"}
        provider.headers = {}  # it is now, as this machine sees it
        write_key(tmp_path / "key.pem", "ec-p256")
        settings(tmp_path)
        provided = f'source = "oauth2"\ntoken_endpoint = "{provider.url}/token"\nca_bundle = "{provider.ca}"\n'
        by_key = 'client_id = "us"\nclient_authentication = "private_key_jwt"'
        text = (tmp_path / "rolecall.toml").read_text().replace('subject = "host:web-1"', provided + by_key)
        (tmp_path / "rolecall.toml").write_text(text)
        known = load(tmp_path / "rolecall.toml", environ={}, host="web-1")

        diagnosis = await examined(known, [])

    links = {one.link: one for one in diagnosis.tried}
    assert links["key"].good
    assert "the proxy cannot be reached" in links["issuer"].findings[0].what  # the way to our own site, not to theirs
    assert "invalid_client" in links["token"].findings[0].what
    assert len(provider.forms) == 1
