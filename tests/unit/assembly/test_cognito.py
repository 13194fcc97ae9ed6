"""Signing in by hand and for commands, and what the page on Cognito shows."""

import asyncio
import re
import stat
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest

from agent.assembly.cognito import Cognito, fetched, sign_in_by_hand
from agent.clock import RemoteClock
from agent.errors import AgentError, ConfigurationError, CredentialsRefused, KeyUnavailable, SignInNeeded
from agent.sandbox import Sandbox, World
from agent.sandbox.cognito.totp import STEP, code_at
from agent.secret import Secret
from agent.settings import Cognito as Words
from agent.settings import IdentityPoolRole, load
from agent.settings.credentials import Sts
from agent.settings.section import Surroundings, read
from tests.fakes.clock import FakeClock
from tests.fakes.cognito import (
    ALL_FLOWS,
    CLIENT,
    IDENTITY_POOL,
    ISSUER,
    PASSWORD,
    POOL_ID,
    POOLED_ARN,
    SECRET,
    TOTP_SECRET,
    USER,
    a_world,
    asked_of,
    sandbox_of,
    with_client,
    with_user,
)

PAGE = (Path(__file__).parents[3] / "docs" / "cognito.md").read_text()


@dataclass
class Typist:
    """Somebody at a terminal, with answers in order for each question."""

    passwords: list[str] = field(default_factory=lambda: [PASSWORD])
    answers: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def password(self, user: str) -> Secret:
        self.heard.append(f"password of {user}")
        return Secret(self.passwords.pop(0))

    def answer(self, challenge: str, destination: str) -> Secret:
        self.heard.append(f"{challenge} {destination}".strip())
        return Secret(self.answers.pop(0))

    def told(self, trouble: AgentError) -> None:
        self.heard.append("told")
        assert "anary" not in f"{trouble.what} {trouble.hint}"


@dataclass
class Scene:
    words: Words
    sandbox: Sandbox
    clock: FakeClock
    home: Path

    async def sign_in(self, typist: Typist) -> Path:
        return await sign_in_by_hand(self.words, None, typist, self.clock)


@asynccontextmanager
async def scene(home: Path, world: World | None = None, **words: Any) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with sandbox_of(world or a_world(), clock) as sandbox:
        table = {
            "source": "cognito",
            "region": "eu-central-1",
            "user_pool": POOL_ID,
            "client_id": CLIENT,
            "user": USER,
            "state": str(home / "state.json"),
            "endpoint_url": sandbox.endpoint_url,
            **words,
        }
        section, mistakes = read(Words, table, "identity", Surroundings(home, None, {"HOST": "web-1"}))
        assert mistakes == []
        assert section is not None
        yield Scene(section, sandbox, clock, home)


def private(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return str(path)


async def test_what_a_person_has_signed_in_to_is_what_the_agent_goes_on_with(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        typist = Typist()
        assert await one.sign_in(typist) == tmp_path / "state.json"
        assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600
        assert typist.heard == [f"password of {USER}"]

        token = await fetched(one.words, None, RemoteClock(one.clock))

        assert jwt.decode(token.value.reveal(), options={"verify_signature": False})["iss"] == ISSUER
        assert asked_of(one.sandbox) == ["InitiateAuth", "RespondToAuthChallenge", "GetTokensFromRefreshToken"]


async def test_a_password_that_is_in_a_file_is_not_asked_for(tmp_path: Path) -> None:
    world = with_user(a_world(), mfa="SOFTWARE_TOKEN_MFA", totp_secret=TOTP_SECRET)
    async with scene(tmp_path, world, password_file=private(tmp_path / "password", PASSWORD)) as one:
        typist = Typist([], [code_at(TOTP_SECRET, int(one.clock.now().timestamp()) // STEP)])
        await one.sign_in(typist)
        assert typist.heard == ["SOFTWARE_TOKEN_MFA"]


async def test_what_was_typed_wrong_is_asked_for_again_but_not_often_enough_to_lock(tmp_path: Path) -> None:
    world = with_user(a_world(), mfa="SOFTWARE_TOKEN_MFA", totp_secret=TOTP_SECRET)
    async with scene(tmp_path, world) as one:
        code = code_at(TOTP_SECRET, int(one.clock.now().timestamp()) // STEP)
        typist = Typist(["wrong", PASSWORD], ["000000", code])
        await one.sign_in(typist)
        question = f"password of {USER}"
        assert typist.heard == [question, "told", question, "SOFTWARE_TOKEN_MFA", "told", "SOFTWARE_TOKEN_MFA"]

        with pytest.raises(SignInNeeded, match="Incorrect"):
            await one.sign_in(Typist(["wrong"] * 9))
        assert len([call for call in asked_of(one.sandbox) if "NotAuthorized" in call]) == 4


async def test_a_wrong_password_in_a_file_is_not_tried_twice(tmp_path: Path) -> None:
    async with scene(tmp_path, password_file=private(tmp_path / "password", "wrong")) as one:
        with pytest.raises(SignInNeeded, match="Incorrect"):
            await one.sign_in(Typist())
        assert len(asked_of(one.sandbox)) == 2


async def test_where_it_cannot_be_kept_that_is_said(tmp_path: Path) -> None:
    async with scene(tmp_path, state=str(tmp_path / "gone" / "state.json")) as one:
        with pytest.raises(ConfigurationError, match="cannot be kept") as caught:
            await one.sign_in(Typist())
        assert "make the directory" in caught.value.hint


async def test_a_client_with_a_secret_shows_it(tmp_path: Path) -> None:
    world = with_client(a_world(), secret=SECRET, flows=ALL_FLOWS)
    path = private(tmp_path / "secret", SECRET)
    async with scene(tmp_path, world, client_secret_file=path, flow="password") as one:
        await one.sign_in(Typist())
        assert await fetched(one.words, None, RemoteClock(one.clock))


async def test_a_password_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    path = private(tmp_path / "password", PASSWORD)
    Path(path).chmod(0o644)
    async with scene(tmp_path, password_file=path) as one:
        with pytest.raises(KeyUnavailable, match="password"):
            await fetched(one.words, None, RemoteClock(one.clock))
        assert asked_of(one.sandbox) == []


async def test_a_pools_role_is_had_by_the_same_sign_in_and_must_be_the_configured_one(tmp_path: Path) -> None:
    async with scene(tmp_path, password_file=private(tmp_path / "password", PASSWORD)) as one:
        clock = RemoteClock(one.clock)
        cognito = Cognito(one.words, None, clock=clock, report=lambda _: None)
        around = Surroundings(tmp_path, None, {})
        sts, _ = read(Sts, {"region": "eu-central-1", "endpoint_url": one.sandbox.endpoint_url}, "sts", around)
        assert sts is not None
        async with cognito.open():
            await asyncio.gather(*(cognito.token() for _ in range(3)))
            for arn, good in ((POOLED_ARN, True), (POOLED_ARN + "2", False)):
                table = {"source": "identity_pool", "arn": arn, "identity_pool": IDENTITY_POOL}
                role, _ = read(IdentityPoolRole, table, "roles.pooled", around)
                assert role is not None
                source = cognito.pooled("pooled", role, sts)
                if good:
                    assert (await source.fetch()).role_arn == arn
                else:
                    with pytest.raises(CredentialsRefused, match="gives arn"):
                        await source.fetch()
        assert asked_of(one.sandbox)[:2] == ["InitiateAuth", "RespondToAuthChallenge"]
        assert asked_of(one.sandbox).count("InitiateAuth") == 1
        assert cognito.jobs


def test_the_configurations_that_the_page_shows_are_good(tmp_path: Path) -> None:
    shown = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert tomllib.loads(shown[0])["identity"]["source"] == "cognito"
    (tmp_path / "rolecall.toml").write_text(shown[1])
    settings = load(tmp_path / "rolecall.toml", environ={}, host="web-1")
    assert settings.roles.keys() == {"backup", "reports"}
