"""The table of what goes wrong with a sign-in, against the sandbox's Cognito; and that all that goes right is kept."""

import asyncio
import json
import resource
import stat
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from agent.errors import AgentError, CredentialsRefused, SignInNeeded, TokenUnavailable
from agent.events import SignedIn, SignInOver
from agent.sandbox import Fault, Sandbox, World
from agent.tokens.cognito.state import Kept
from tests.fakes.clock import FakeClock
from tests.fakes.cognito import (
    ALL_FLOWS,
    CLIENT,
    ISSUER,
    PASSWORD,
    POOL_ID,
    SECRET,
    TOTP_SECRET,
    Agent,
    a_world,
    agent_of,
    asked_of,
    pool_keys,
    sandbox_of,
    users_of,
    with_client,
    with_user,
)

pytestmark = pytest.mark.long

SRP = ["InitiateAuth", "RespondToAuthChallenge"]
RENEWAL = "GetTokensFromRefreshToken"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@dataclass
class Stage:
    """A sandbox, and agents that start and end."""

    sandbox: Sandbox
    clock: FakeClock
    home: Path
    stack: AsyncExitStack
    options: dict[str, Any] = field(default_factory=dict)

    async def agent(self, *, password: str | None = PASSWORD, **options: Any) -> Agent:
        file = self.home / "password"
        file.unlink(missing_ok=True)
        if password is not None:
            file.write_text(password)
        return await self.stack.enter_async_context(agent_of(self.sandbox, self.home, self.clock, **options))

    @property
    def asked(self) -> list[str]:
        return asked_of(self.sandbox)

    def change(self, changed: Callable[..., World], **changes: Any) -> None:
        self.sandbox.world = changed(self.sandbox.world, **changes)

    def forget_calls(self) -> None:
        self.sandbox.requests.clear()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(sandbox_of(a_world(), clock))
        yield Stage(sandbox, clock, tmp_path, stack)


async def failing(agent: Agent, kind: type[AgentError]) -> AgentError:
    """Ask, be refused in this way, and see that nothing secret is in what is said."""
    with pytest.raises(kind) as caught:
        await agent.source.token()
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert "anary" not in shown  # the password, the client's secret
    assert "eyJ" not in shown
    assert caught.value.hint
    return caught.value


def good(token: str) -> dict[str, Any]:
    """What a token says, verified by somebody else."""
    key = pool_keys().of_id_tokens.key.public_key()
    claims: dict[str, Any] = jwt.decode(
        token, key, ["RS256"], audience=CLIENT, issuer=ISSUER, options={"verify_exp": False, "verify_iat": False}
    )
    return claims


# --- what goes right


@pytest.mark.parametrize("flow", ["srp", "password"])
@pytest.mark.parametrize("secret", [None, SECRET])
async def test_a_user_signs_in_and_the_id_token_is_given(stage: Stage, flow: str, secret: str | None) -> None:
    stage.change(with_client, flows=ALL_FLOWS, secret=secret)
    agent = await stage.agent(flow=flow, secret=secret)

    token = await agent.source.token()

    assert good(token.value.reveal())["token_use"] == "id"
    assert token.expires_at == stage.clock.now() + HOUR


async def test_one_who_signs_in_by_an_alias_proves_what_the_pool_knows(stage: Stage) -> None:
    stage.change(with_user, attributes={"email": "m@example.com"})
    pool = stage.sandbox.world.user_pools[0]
    stage.sandbox.world = replace(stage.sandbox.world, user_pools=(replace(pool, aliases=("email",)),))
    stage.change(with_client, secret=SECRET)

    agent = await stage.agent(user="m@example.com", secret=SECRET)

    assert good((await agent.source.token()).value.reveal())["cognito:username"] == "machine"


async def test_the_token_is_had_once_for_all_who_ask_at_once(stage: Stage) -> None:
    agent = await stage.agent()

    tokens = await asyncio.gather(*(agent.source.token() for _ in range(50)))

    assert len({one.value for one in tokens}) == 1
    assert stage.asked == SRP


async def test_the_token_is_given_until_it_nears_its_end_and_then_renewed_without_the_password(stage: Stage) -> None:
    agent = await stage.agent()
    first = await agent.source.token()
    stage.forget_calls()

    await stage.clock.advance(54 * MINUTE)
    assert (await agent.source.token()).value == first.value
    await stage.clock.advance(MINUTE)
    second = await agent.source.token()

    assert stage.asked == [RENEWAL]
    assert second.expires_at == first.expires_at + 55 * MINUTE


async def test_a_token_of_five_minutes_is_renewed_in_its_last_one(stage: Stage) -> None:
    stage.change(with_client, token_lifetime=5 * MINUTE)
    agent = await stage.agent()
    await agent.source.token()
    stage.forget_calls()

    await stage.clock.advance(timedelta(minutes=3, seconds=59))
    await agent.source.token()
    assert stage.asked == []
    await stage.clock.advance(timedelta(seconds=2))
    await agent.source.token()
    assert stage.asked == [RENEWAL]


async def test_the_next_start_needs_no_password(stage: Stage) -> None:
    await (await stage.agent()).source.token()
    stage.forget_calls()

    again = await stage.agent(password=None)

    assert good((await again.source.token()).value.reveal())
    assert stage.asked == [RENEWAL]


async def test_what_is_kept_is_for_its_owner_alone(stage: Stage) -> None:
    agent = await stage.agent()
    await agent.source.token()

    assert stat.S_IMODE(agent.state.path.stat().st_mode) == 0o600
    assert PASSWORD not in agent.state.path.read_text()


async def test_what_is_kept_of_another_user_is_not_used(stage: Stage) -> None:
    agent = await stage.agent()
    agent.state.write(Kept(POOL_ID, CLIENT, "somebody-else", (await agent.source.token()).value))
    stage.forget_calls()

    again = await stage.agent()
    await again.source.token()

    assert stage.asked == SRP


# --- rotation


async def test_rotated_refresh_tokens_are_on_the_disk_before_the_last_is_forgotten(stage: Stage) -> None:
    stage.change(with_client, flows=("ALLOW_USER_SRP_AUTH",), rotation=True)
    agent = await stage.agent()
    await agent.source.token()
    seen = set()
    for _ in range(4):
        seen.add(json.loads(agent.state.path.read_text())["refresh_token"])
        await stage.clock.advance(HOUR)
        await agent.source.token()

    assert len(seen) == 4
    assert stage.asked == [*SRP, *[RENEWAL] * 4]


async def test_two_agents_with_one_file_spend_no_refresh_token_twice(stage: Stage) -> None:
    stage.change(with_client, flows=("ALLOW_USER_SRP_AUTH",), rotation=True)
    agents = [await stage.agent() for _ in range(2)]
    for _ in range(3):
        asking = asyncio.gather(*(one.source.token() for one in agents))
        while not asking.done():  # who waits for the other sleeps by the clock
            await asyncio.sleep(0.01)
            await stage.clock.advance(timedelta(milliseconds=100))
        await asking
        await stage.clock.advance(HOUR)

    assert not [one for one in stage.asked if "Reuse" in one]
    assert stage.asked.count(RENEWAL) == 5


async def test_who_gives_up_waiting_loses_no_refresh_token(stage: Stage) -> None:
    stage.change(with_client, flows=("ALLOW_USER_SRP_AUTH",), rotation=True)
    agent = await stage.agent()
    await agent.source.token()
    await stage.clock.advance(HOUR)
    waiting = asyncio.ensure_future(agent.source.token())
    await asyncio.sleep(0)

    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    await agent.source.settle()

    await stage.clock.advance(HOUR)
    await agent.source.token()
    assert stage.asked == [*SRP, RENEWAL, RENEWAL]


async def test_a_refresh_token_that_was_used_by_another_leads_back_to_the_password(stage: Stage) -> None:
    stage.change(with_client, flows=("ALLOW_USER_SRP_AUTH",), rotation=True)
    agent = await stage.agent()
    await agent.source.token()
    old = agent.state.path.read_bytes()
    await stage.clock.advance(HOUR)
    await agent.source.token()
    agent.state.path.write_bytes(old)  # as a backup that was put back
    stage.forget_calls()

    await stage.clock.advance(HOUR)
    assert good((await agent.source.token()).value.reveal())

    assert stage.asked == [f"{RENEWAL}: RefreshTokenReuseException", *SRP]


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process can grow, as on a disk that is full; Python ignores the signal for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_on_a_full_disk_the_token_is_given_and_somebody_is_told(stage: Stage) -> None:
    stage.change(with_client, flows=("ALLOW_USER_SRP_AUTH",), rotation=True)
    agent = await stage.agent()
    await agent.source.token()
    kept = agent.state.path.read_bytes()
    with no_room():
        for _ in range(2):  # the second time by the refresh token that lives in memory alone
            await stage.clock.advance(HOUR)
            assert await agent.source.token()
    assert agent.kinds() == ["RefreshTokenUnsaved"] * 2
    assert agent.state.path.read_bytes() == kept
    assert [one.name for one in stage.home.iterdir() if "cognito.json." in one.name] == [".cognito.json.lock"]

    await stage.clock.advance(HOUR)
    await agent.source.token()

    assert stage.asked == [*SRP, *[RENEWAL] * 3]
    assert json.loads(agent.state.path.read_text())["refresh_token"] in users_of(stage.sandbox).refresh_tokens.known
    again = await stage.agent(password=None)
    assert await again.source.token()


async def test_a_first_sign_in_on_a_full_disk_lasts_as_long_as_the_agent(stage: Stage) -> None:
    agent = await stage.agent()
    with no_room():
        assert await agent.source.token()
        agent.password_file.unlink()
        await stage.clock.advance(HOUR)
        assert await agent.source.token()

    await stage.clock.advance(HOUR)
    assert await agent.source.token()
    assert agent.state.path.exists()


# --- what goes wrong


async def test_a_wrong_password_is_tried_once_and_not_again_until_it_is_corrected(stage: Stage) -> None:
    agent = await stage.agent(password="wrong")
    error = await failing(agent, SignInNeeded)
    assert "Incorrect username or password" in error.what
    assert "identity.password_file" in error.hint
    for _ in range(20):
        await failing(agent, SignInNeeded)
        await stage.clock.advance(MINUTE)
    assert stage.asked == ["InitiateAuth", "RespondToAuthChallenge: NotAuthorizedException"]

    agent.password_file.write_text(PASSWORD)

    assert good((await agent.source.token()).value.reveal())


async def test_a_wrong_password_is_tried_again_after_an_hour_since_it_may_be_right_by_then(stage: Stage) -> None:
    agent = await stage.agent(password="Later-Correct-1")
    await failing(agent, SignInNeeded)
    stage.change(with_user, password="Later-Correct-1")

    await stage.clock.advance(timedelta(minutes=59))
    await failing(agent, SignInNeeded)
    await stage.clock.advance(MINUTE)

    assert await agent.source.token()


async def test_a_wrong_password_for_a_day_locks_nobody_out(stage: Stage) -> None:
    agent = await stage.agent(password="wrong")
    for _ in range(24 * 2):
        await failing(agent, SignInNeeded)
        await stage.clock.advance(30 * MINUTE)

    assert not any("exceeded" in one.why for one in stage.sandbox.requests)
    agent.password_file.write_text(PASSWORD)
    assert await agent.source.token()


async def test_who_is_locked_is_left_in_peace_for_a_quarter_of_an_hour(stage: Stage) -> None:
    users = users_of(stage.sandbox)
    pool = stage.sandbox.world.user_pools[0]
    for _ in range(14):
        users._attempts.failed(pool, pool.users[0], stage.clock.now())
    agent = await stage.agent()

    error = await failing(agent, TokenUnavailable)
    assert "Password attempts exceeded" in error.what
    assert error.retryable
    for _ in range(15):
        await stage.clock.advance(MINUTE)
        await failing(agent, TokenUnavailable)
    assert len(stage.asked) == 2
    await stage.clock.advance(MINUTE)

    assert await agent.source.token()


async def test_a_revoked_refresh_token_leads_back_to_the_password(stage: Stage) -> None:
    agent = await stage.agent()
    await agent.source.token()
    users_of(stage.sandbox).refresh_tokens.revoke_user(POOL_ID, "machine")
    stage.forget_calls()

    await stage.clock.advance(HOUR)
    assert await agent.source.token()

    assert stage.asked == [f"{RENEWAL}: NotAuthorizedException", *SRP]


async def test_a_revoked_refresh_token_and_no_password_need_a_person(stage: Stage) -> None:
    agent = await stage.agent()
    await agent.source.token()
    agent.password_file.unlink()
    users_of(stage.sandbox).refresh_tokens.revoke_user(POOL_ID, "machine")
    await stage.clock.advance(HOUR)

    error = await failing(agent, SignInNeeded)

    assert "Refresh Token has been revoked" in error.what
    assert "rolecall login" in error.hint
    assert not error.retryable
    assert agent.kinds() == ["SignInOver"]


async def test_a_refresh_token_that_has_ended_leads_back_to_the_password(stage: Stage) -> None:
    stage.change(with_client, refresh_lifetime=HOUR)
    agent = await stage.agent()
    await agent.source.token()
    stage.forget_calls()

    await stage.clock.advance(2 * HOUR)
    await agent.source.token()

    assert stage.asked == [f"{RENEWAL}: NotAuthorizedException", *SRP]


async def test_nobody_has_signed_in_and_there_is_no_password(stage: Stage) -> None:
    agent = await stage.agent(password=None)

    error = await failing(agent, SignInNeeded)

    assert "nobody has signed in as machine" in error.what
    assert "rolecall login" in error.hint
    assert stage.asked == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "FORCE_CHANGE_PASSWORD"}, "a new password"),
        ({"mfa": "SOFTWARE_TOKEN_MFA", "totp_secret": TOTP_SECRET}, "the code of an authenticator"),
        ({"mfa": "SMS_MFA", "attributes": {"phone_number": "+491701234567"}}, "a code that it has sent by SMS"),
        ({"state": "UNCONFIRMED"}, "User is not confirmed"),
        ({"state": "RESET_REQUIRED"}, "Password reset required"),
    ],
)
async def test_what_only_a_person_can_answer_is_asked_once_a_day_and_says_what_to_run(
    stage: Stage, changes: dict[str, Any], said: str
) -> None:
    stage.change(with_user, **changes)
    agent = await stage.agent()

    error = await failing(agent, SignInNeeded)
    for _ in range(20):
        await stage.clock.advance(HOUR)
        await failing(agent, SignInNeeded)

    assert said in error.what
    assert "rolecall login" in error.hint
    assert len(stage.asked) == 2  # no SMS but the one
    assert agent.kinds() == ["SignInOver"]
    assert [one.command for one in agent.events if isinstance(one, SignInOver)] == ["rolecall login"]


async def test_a_challenge_that_nobody_can_answer_says_which(stage: Stage) -> None:
    pool = stage.sandbox.world.user_pools[0]
    stage.sandbox.world = replace(stage.sandbox.world, user_pools=(replace(pool, mfa="ON"),))
    agent = await stage.agent()

    assert "MFA_SETUP" in (await failing(agent, SignInNeeded)).what


async def test_somebody_who_signs_in_by_hand_is_noticed_at_once(stage: Stage) -> None:
    await (await stage.agent()).source.token()
    kept = (stage.home / "cognito.json").read_bytes()
    (stage.home / "cognito.json").unlink()
    agent = await stage.agent(password=None)
    await failing(agent, SignInNeeded)
    watching = asyncio.ensure_future(agent.source.keep_watch())
    await stage.clock.advance(timedelta(seconds=5))
    assert agent.kinds() == ["SignInOver"]

    (stage.home / "cognito.json").write_bytes(kept)
    await stage.clock.advance(timedelta(seconds=1))

    assert isinstance(agent.events[-1], SignedIn)
    assert await agent.source.token()
    watching.cancel()


async def test_a_flow_that_is_not_enabled_names_what_to_enable(stage: Stage) -> None:
    agent = await stage.agent(flow="password")

    error = await failing(agent, CredentialsRefused)

    assert "ALLOW_USER_PASSWORD_AUTH" in error.hint
    assert not isinstance(error, SignInNeeded)


@pytest.mark.parametrize("secret", [None, "x" * 30])
async def test_a_clients_secret_that_is_missing_or_wrong_names_the_setting(stage: Stage, secret: str | None) -> None:
    stage.change(with_client, secret=SECRET)
    agent = await stage.agent(secret=secret)

    assert "identity.client_secret_file" in (await failing(agent, CredentialsRefused)).hint


async def test_a_client_that_is_not_there_names_the_setting(stage: Stage) -> None:
    stage.change(with_client, client_id="another")
    agent = await stage.agent()

    assert "identity.client_id" in (await failing(agent, CredentialsRefused)).hint


async def test_a_user_who_is_not_there_looks_like_a_wrong_password_unless_the_client_tells(stage: Stage) -> None:
    agent = await stage.agent(user="nobody")
    assert "Incorrect username or password" in (await failing(agent, SignInNeeded)).what

    stage.change(with_client, prevent_user_existence_errors=False)
    agent = await stage.agent(user="nobody")
    assert "identity.user" in (await failing(agent, CredentialsRefused)).hint


async def test_a_user_who_is_disabled_has_his_sign_in_ended(stage: Stage) -> None:
    agent = await stage.agent()
    await agent.source.token()
    stage.change(with_user, enabled=False)
    await stage.clock.advance(HOUR)

    assert "enable the user machine" in (await failing(agent, CredentialsRefused)).hint


@pytest.mark.parametrize(
    "fault",
    [
        Fault("throttled"),
        Fault("status", status=500),
        Fault("status", status=503),
        Fault("drop"),
        Fault("garbage", garbage="html"),
        Fault("garbage", garbage="empty"),
        Fault("garbage", garbage="truncated"),
        Fault("garbage", garbage="not_xml"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.garbage}",
)
async def test_what_passes_is_asked_again_soon_and_by_one_for_all(stage: Stage, fault: Fault) -> None:
    agent = await stage.agent()
    stage.sandbox.faults.add(fault)

    outcomes = await asyncio.gather(*(agent.source.token() for _ in range(20)), return_exceptions=True)
    assert {type(one) for one in outcomes} == {TokenUnavailable}
    await failing(agent, TokenUnavailable)
    assert len(stage.asked) == 1

    stage.sandbox.faults.clear()
    await stage.clock.advance(timedelta(seconds=6))
    assert await agent.source.token()


async def test_an_outage_before_the_end_is_not_noticed(stage: Stage) -> None:
    agent = await stage.agent()
    first = await agent.source.token()
    stage.sandbox.faults.add(Fault("status", status=500))

    await stage.clock.advance(58 * MINUTE)
    assert (await agent.source.token()).value == first.value
    await stage.clock.advance(3 * MINUTE)
    await failing(agent, TokenUnavailable)


@pytest.mark.parametrize("hours", [-1, 1, -24])
async def test_a_clock_that_is_wrong_changes_nothing(stage: Stage, hours: int) -> None:
    """Proofs carry the pool's time, and a token's life is counted from when it came."""
    stage.sandbox.faults.add(Fault("clock", seconds=hours * 3600))
    agent = await stage.agent()

    first = await agent.source.token()
    await stage.clock.advance(50 * MINUTE)
    assert (await agent.source.token()).value == first.value
    await stage.clock.advance(6 * MINUTE)
    assert (await agent.source.token()).value != first.value
    assert stage.asked == [*SRP, RENEWAL]


async def test_a_machine_that_was_paused_does_not_show_an_old_token(stage: Stage) -> None:
    agent = await stage.agent()
    first = await agent.source.token()

    stage.clock.pause(2 * HOUR)
    agent.aws_time.learn(stage.clock.now())  # as STS says when it is shown the old token

    assert (await agent.source.token()).value != first.value


async def test_what_is_in_the_file_may_be_anything(stage: Stage) -> None:
    agent = await stage.agent()
    for content in (b"", b"{", b"[]", b"null", b'{"format": 2}', b"\xff" * 100, b"[" * 10_000, b"x" * 200_000):
        agent.state.path.write_bytes(content)
        again = await stage.agent()
        assert await again.source.token()


async def test_a_nudge_tries_again_what_was_put_off(stage: Stage) -> None:
    agent = await stage.agent(password="wrong")
    await failing(agent, SignInNeeded)
    stage.change(with_user, password="wrong")

    agent.source.retry_now()

    assert await agent.source.token()
