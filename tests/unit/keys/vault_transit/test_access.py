"""With which token does the custodian ask, and when does it get another? Against what no real server does on demand."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.errors import KeyUnavailable
from agent.keys.vault_transit.custodian import Jwt, TokenFile
from agent.secret import Secret
from tests.fakes.clock import FakeClock
from tests.fakes.vault import (
    AN_APP_ROLE,
    LOOK_UP,
    READ,
    RENEW,
    SIGN,
    TOKEN,
    FakeVault,
    Told,
    custodian,
    holding,
    refused,
    unavailable,
)


@pytest.mark.parametrize("content", ["", "\n", "two words", "hvs.canary\nhvs.canary", "hvs.canary-ä"])
async def test_a_file_that_holds_no_token_is_named_and_nothing_sent(vault: FakeVault, content: str) -> None:
    error = await unavailable(custodian(vault, TokenFile(holding(content))).names())

    assert error.what == "the file for the token of Vault is empty or holds something else"
    assert vault.asked == []


async def test_a_file_that_is_away_for_a_moment_is_not_noticed(vault: FakeVault) -> None:
    content: list[str] = []

    def read() -> Secret:
        if not content:
            raise KeyUnavailable("there is no such file", hint="write it")
        return Secret(content[-1])

    transit = custodian(vault, TokenFile(read))
    assert (await unavailable(transit.names())).what == "there is no such file"
    content.append(TOKEN)
    await transit.names()
    content.clear()

    assert await transit.names()


async def test_another_token_in_the_file_is_used_from_then_on(vault: FakeVault) -> None:
    content = [TOKEN]
    transit = custodian(vault, TokenFile(lambda: Secret(content[-1])))
    await transit.names()
    vault.tokens = {TOKEN, "hvs.second"}

    content.append("hvs.second\n")
    await transit.names()

    assert [asked.token for asked in vault.asked] == [TOKEN, TOKEN, "hvs.second", "hvs.second"]


async def test_a_token_is_renewed_once_at_half_of_its_life(vault: FakeVault) -> None:
    clock = FakeClock()
    vault.ttl, vault.renewable = 3600, True
    transit = custodian(vault, clock=clock)

    for _ in range(10):
        clock.suspend(timedelta(minutes=6))
        await transit.names()

    # Looked up after 6 minutes; due after 36, again after 66.
    assert vault.paths().count(RENEW) == 1
    assert vault.paths().count(LOOK_UP) == 1


@pytest.mark.parametrize("told", [refused(400, "lease is not renewable"), refused(403, "permission denied")])
async def test_a_token_that_cannot_be_renewed_goes_on_being_used(vault: FakeVault, told: Told) -> None:
    clock = FakeClock()
    vault.ttl, vault.renewable = 3600, True
    transit = custodian(vault, clock=clock)
    await transit.names()
    vault.say(RENEW, told)

    clock.suspend(timedelta(minutes=31))
    await transit.names()
    await transit.names()

    assert vault.paths().count(RENEW) == 1


async def test_a_login_whose_token_can_be_renewed_no_further_is_made_anew_in_time(vault: FakeVault) -> None:
    clock = FakeClock()
    vault.ttl, vault.renewable = 3600, True
    transit = custodian(vault, AN_APP_ROLE, clock=clock)
    await transit.names()
    vault.say(RENEW, Told(200, {"auth": {"client_token": "hvs.login-1", "lease_duration": 60, "renewable": True}}))

    clock.suspend(timedelta(minutes=31))
    await transit.names()

    assert vault.logins == 2
    assert vault.asked[-1].token == "hvs.login-2"


async def test_what_counts_is_the_life_that_a_token_once_had(vault: FakeVault) -> None:
    """Else one whose life shrinks little by little would be renewed till its end."""
    clock = FakeClock()
    vault.ttl, vault.renewable = 3600, True
    transit = custodian(vault, AN_APP_ROLE, clock=clock)
    await transit.names()

    for seconds, logins in ((2400, 1), (1600, 2)):
        token = {"client_token": "hvs.login-1", "lease_duration": seconds, "renewable": True}
        vault.say(RENEW, Told(200, {"auth": token}))
        clock.suspend(timedelta(minutes=31))
        await transit.names()
        assert vault.logins == logins


async def test_a_login_that_is_refused_while_the_token_lives_is_not_noticed(vault: FakeVault) -> None:
    clock = FakeClock()
    vault.ttl = 3600
    transit = custodian(vault, AN_APP_ROLE, clock=clock)
    await transit.names()
    vault.say("POST auth/approle/login", refused(400, "invalid role or secret ID"))

    clock.suspend(timedelta(minutes=31))
    await transit.names()

    clock.suspend(timedelta(minutes=30))
    assert "invalid role or secret ID" in (await unavailable(transit.names())).what


async def test_a_token_that_was_revoked_is_replaced_within_the_same_request(vault: FakeVault) -> None:
    vault.ttl = 3600
    key = await custodian(vault, AN_APP_ROLE).open("rolecall:v1")
    vault.tokens.clear()

    assert await key.sign(b"x")
    assert [asked.token for asked in vault.asked if asked.path == "auth/approle/login"] == [None, None]


async def test_a_policy_that_does_not_reach_so_far_costs_no_login(vault: FakeVault) -> None:
    """A secret id may be good for few logins."""
    key = await custodian(vault, AN_APP_ROLE).open("rolecall:v1")
    vault.say(SIGN, refused(403, "1 error occurred: permission denied"))

    for _ in range(3):
        assert "does not allow this token update on transit/sign/rolecall" in (await unavailable(key.sign(b"x"))).what

    assert vault.logins == 1


async def test_a_token_that_is_refused_again_after_a_login_is_not_tried_for_ever(vault: FakeVault) -> None:
    vault.say(READ, refused(403, "permission denied"))
    vault.say(LOOK_UP, refused(403, "permission denied"))

    await unavailable(custodian(vault, AN_APP_ROLE).names())

    assert vault.logins == 2


async def test_a_login_that_wants_a_second_factor_is_named(vault: FakeVault) -> None:
    vault.say("POST auth/approle/login", Told(200, {"auth": {"client_token": "", "mfa_requirement": {}}}))

    assert "gave no token" in (await unavailable(custodian(vault, AN_APP_ROLE).names())).what


async def test_a_jwt_is_read_anew_for_every_login(vault: FakeVault) -> None:
    tokens = iter(["first-jwt", "second-jwt"])
    transit = custodian(vault, Jwt(lambda: Secret(next(tokens)), "rolecall", "kubernetes"))
    await transit.names()
    vault.tokens.clear()

    await transit.names()

    logins = [asked.body for asked in vault.asked if asked.path == "auth/kubernetes/login"]
    assert logins == [{"role": "rolecall", "jwt": "first-jwt"}, {"role": "rolecall", "jwt": "second-jwt"}]


async def test_it_stays_signed_in_through_an_outage(vault: FakeVault) -> None:
    clock = FakeClock()
    vault.ttl, vault.renewable = 3600, True
    vault.say(LOOK_UP, refused(503))
    patient = custodian(vault, clock=clock, patience=1e6)
    staying = asyncio.ensure_future(patient.stay_signed_in())

    async def until(wanted: Callable[[], bool]) -> None:
        while not wanted():
            assert not staying.done()
            await clock.advance(timedelta(seconds=30))
            await asyncio.sleep(0.005)

    await until(lambda: "GET sys/health" in vault.paths())
    vault.instead.clear()
    await until(lambda: vault.paths().count(LOOK_UP) > 1)
    known = clock.steady()
    await until(lambda: RENEW in vault.paths())
    staying.cancel()

    assert clock.steady() - known >= 1800 - 60
