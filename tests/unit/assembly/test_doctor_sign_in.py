from datetime import timedelta
from pathlib import Path

from agent.assembly.doctor_sign_in import sign_in_link
from agent.assembly.identity_center import cache_of, portal_of
from agent.clock import SystemClock
from agent.doctor import Tried
from agent.sandbox import Sandbox, practice_world
from agent.settings import load
from agent.sign_in import SignIn
from tests.fakes.center import REGION, START_URL, sign_in


async def looked(home: Path, kept: SignIn | None, endpoint: str = "http://127.0.0.1:1") -> tuple[Tried, bytes]:
    """What the doctor says, and what the file says then."""
    path = home / "rolecall.toml"
    path.write_text(f"""
[identity_center]
start_url = "{START_URL}"
region = "{REGION}"
cache = "cache"
endpoint_url = "{endpoint}"
[roles.dev]
source = "identity_center"
account = "123456789012"
permission_set = "Developer"
[[grants]]
roles = ["dev"]
anyone = true
""")
    settings = load(path, environ={}, host="web-1")
    assert settings.identity_center is not None
    cache = cache_of(settings.identity_center, portal_of(settings.identity_center))
    if kept is not None:
        with cache.room() as room:
            room.keep(kept)
    tried = await sign_in_link(settings, settings.identity_center, SystemClock())
    return tried, cache.path.read_bytes() if cache.path.exists() else b""


async def test_nobody_signed_in(tmp_path: Path) -> None:
    tried, _ = await looked(tmp_path, None)
    assert tried.is_broken
    assert "nobody has signed in" in tried.findings[0].what


async def test_an_access_token_that_has_ended_is_not_renewed_by_the_doctor(tmp_path: Path) -> None:
    old = sign_in(at=SystemClock().now() - timedelta(hours=2))
    tried, kept = await looked(tmp_path, old)
    assert not tried.is_broken
    assert "has to be renewed first" in tried.not_tried
    assert b"access-1" in kept


async def test_a_portal_that_does_not_answer_is_not_the_sign_in_s_fault(tmp_path: Path) -> None:
    tried, _ = await looked(tmp_path, sign_in(at=SystemClock().now()))
    assert not tried.is_broken
    assert "cannot be reached" in tried.not_tried


async def test_a_token_that_the_portal_does_not_take_is(tmp_path: Path) -> None:
    async with Sandbox(practice_world()) as sandbox:
        tried, _ = await looked(tmp_path, sign_in(at=SystemClock().now()), sandbox.endpoint_url)
    assert tried.is_broken
    assert "the sign-in is over" in tried.findings[0].what
