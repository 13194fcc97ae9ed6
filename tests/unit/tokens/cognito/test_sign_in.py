"""One challenge after the other, with somebody there to answer, and what a pool may say that is no challenge."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from agent.clock import RemoteClock
from agent.errors import SignInNeeded, TokenUnavailable
from agent.sandbox import Sandbox
from agent.sandbox.cognito.totp import STEP, code_at
from agent.secret import Secret
from agent.tokens.cognito.pool import App, Challenge, Tokens
from agent.tokens.cognito.refusals import Refused, Turn
from agent.tokens.cognito.sign_in import Nobody, SignIn, Who
from tests.fakes.clock import FakeClock
from tests.fakes.cognito import (
    CLIENT,
    PASSWORD,
    POOL_ID,
    TOTP_SECRET,
    USER,
    Agent,
    a_world,
    agent_of,
    sandbox_of,
    with_user,
)

APP = App(POOL_ID, CLIENT)
WHO = Who(APP, USER)


@dataclass
class Somebody:
    """Answers from a list, and remembers what was asked."""

    answers: Mapping[str, str]
    asked: list[str] = field(default_factory=list)

    async def answer(self, challenge: str, about: Mapping[str, str]) -> Secret:
        self.asked.append(f"{challenge} {about.get('CODE_DELIVERY_DESTINATION', '')}".strip())
        return Secret(self.answers[challenge])


@asynccontextmanager
async def stage(tmp_path: Any, **user: Any) -> AsyncIterator[tuple[Sandbox, Agent, FakeClock]]:
    clock = FakeClock()
    async with (
        sandbox_of(with_user(a_world(), **user), clock) as sandbox,
        agent_of(sandbox, tmp_path, clock) as agent,
    ):
        yield sandbox, agent, clock


async def test_a_temporary_password_is_exchanged_for_one_of_ones_own(tmp_path: Any) -> None:
    async with stage(tmp_path, state="FORCE_CHANGE_PASSWORD", attributes={"email": "m@example.com"}) as (
        sandbox,
        agent,
        _,
    ):
        somebody = Somebody({"NEW_PASSWORD_REQUIRED": "Another-Pass-1"})

        given = await agent.source._sign_in.with_password(WHO, Secret(PASSWORD), somebody)

        assert given.refresh_token
        assert sandbox.world.user_pools[0].users[0].password == "Another-Pass-1"
        again = await agent.source._sign_in.with_password(WHO, Secret("Another-Pass-1"), Nobody())
        assert again.id_token


async def test_a_new_password_that_is_too_short_is_refused(tmp_path: Any) -> None:
    async with stage(tmp_path, state="FORCE_CHANGE_PASSWORD") as (_, agent, _):
        with pytest.raises(Refused) as caught:
            await agent.source._sign_in.with_password(
                WHO, Secret(PASSWORD), Somebody({"NEW_PASSWORD_REQUIRED": "short"})
            )
        assert caught.value.turn is Turn.CODE


async def test_the_code_of_an_authenticator_is_good_once(tmp_path: Any) -> None:
    async with stage(tmp_path, mfa="SOFTWARE_TOKEN_MFA", totp_secret=TOTP_SECRET) as (_, agent, clock):
        code = code_at(TOTP_SECRET, int(clock.now().timestamp()) // STEP)
        somebody = Somebody({"SOFTWARE_TOKEN_MFA": code})
        assert await agent.source._sign_in.with_password(WHO, Secret(PASSWORD), somebody)

        with pytest.raises(Refused) as caught:
            await agent.source._sign_in.with_password(WHO, Secret(PASSWORD), somebody)
        assert caught.value.turn is Turn.CODE


async def test_a_code_by_sms_says_where_it_was_sent(tmp_path: Any) -> None:
    async with stage(tmp_path, mfa="SMS_MFA", attributes={"phone_number": "+491701234567"}) as (sandbox, agent, _):

        class Phone(Somebody):
            async def answer(self, challenge: str, about: Mapping[str, str]) -> Secret:
                await super().answer(challenge, about)
                return Secret(sandbox.requests[-1].why[-6:])

        phone = Phone({"SMS_MFA": ""})
        assert await agent.source._sign_in.with_password(WHO, Secret(PASSWORD), phone)
        assert phone.asked == ["SMS_MFA +********4567"]


async def test_a_wrong_code_is_refused(tmp_path: Any) -> None:
    async with stage(tmp_path, mfa="SMS_MFA", attributes={"phone_number": "+491701234567"}) as (_, agent, _):
        with pytest.raises(Refused) as caught:
            await agent.source._sign_in.with_password(WHO, Secret(PASSWORD), Somebody({"SMS_MFA": "ä"}))
        assert caught.value.turn is Turn.CODE


@dataclass
class Scripted:
    """A pool that poses these challenges, whatever is answered."""

    poses: list[Challenge | Tokens]
    said: list[Mapping[str, str]] = field(default_factory=list)

    async def begin(self, app: App, flow: str, parameters: Mapping[str, str]) -> Challenge | Tokens:
        del app, flow
        self.said.append(parameters)
        return self.poses[0]

    async def respond(self, app: App, challenge: Challenge, responses: Mapping[str, str]) -> Challenge | Tokens:
        del app, challenge
        self.said.append(responses)
        return self.poses[min(len(self.said) - 1, len(self.poses) - 1)]


def posed(name: str, **parameters: str) -> Challenge:
    return Challenge(name, Secret("session"), parameters)


def scripted(*poses: Challenge | Tokens) -> tuple[SignIn, Scripted]:
    pool = Scripted([*poses])
    return SignIn(pool, RemoteClock(FakeClock()), Random(1).randbytes), pool  # type: ignore[arg-type]  # as far as asked


DONE = Tokens(Secret("id"), Secret("refresh"))


async def test_of_several_second_factors_the_authenticator_is_chosen() -> None:
    choice = posed("SELECT_MFA_TYPE", MFAS_CAN_CHOOSE='["SMS_MFA","SOFTWARE_TOKEN_MFA"]')
    sign_in, pool = scripted(choice, posed("SOFTWARE_TOKEN_MFA"), DONE)

    assert (
        await sign_in.with_password(Who(APP, USER, "password"), Secret("x"), Somebody({"SOFTWARE_TOKEN_MFA": "123456"}))
        == DONE
    )
    assert pool.said[1] == {"USERNAME": USER, "ANSWER": "SOFTWARE_TOKEN_MFA"}
    assert pool.said[2] == {"USERNAME": USER, "SOFTWARE_TOKEN_MFA_CODE": "123456"}


@pytest.mark.parametrize("name", ["CUSTOM_CHALLENGE", "DEVICE_SRP_AUTH", "WEB_AUTHN", "SELECT_MFA_TYPE", "MFA_SETUP"])
async def test_what_has_no_answer_is_named(name: str) -> None:
    sign_in, _ = scripted(posed(name))
    with pytest.raises(SignInNeeded, match=name):
        await sign_in.with_password(Who(APP, USER, "password"), Secret("x"), Somebody({}))


async def test_a_pool_that_never_stops_asking_is_left() -> None:
    sign_in, pool = scripted(posed("SMS_MFA"))
    with pytest.raises(TokenUnavailable, match="one question after the other"):
        await sign_in.with_password(Who(APP, USER, "password"), Secret("x"), Somebody({"SMS_MFA": "1"}))
    assert len(pool.said) < 10


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"SALT": "zz", "SRP_B": "5", "SECRET_BLOCK": "YQ=="},
        {"SALT": "1", "SRP_B": "0", "SECRET_BLOCK": "YQ=="},
        {"SALT": "1", "SRP_B": "-5", "SECRET_BLOCK": "YQ=="},
        {"SALT": "1", "SRP_B": "f" * 5000, "SECRET_BLOCK": "YQ=="},
        {"SALT": "1", "SRP_B": "5", "SECRET_BLOCK": "not base64!"},
    ],
)
async def test_numbers_that_are_none_are_no_reason_to_crash(parameters: dict[str, str]) -> None:
    sign_in, _ = scripted(posed("PASSWORD_VERIFIER", **parameters))
    with pytest.raises(TokenUnavailable, match="not those of SRP"):
        await sign_in.with_password(WHO, Secret("canary"), Somebody({}))


async def test_a_password_is_never_shown_to_a_pool_that_was_to_have_a_proof() -> None:
    sign_in, pool = scripted(posed("NEW_PASSWORD_REQUIRED"), DONE)
    await sign_in.with_password(WHO, Secret("canary"), Somebody({"NEW_PASSWORD_REQUIRED": "new"}))
    assert "canary" not in str(pool.said)
