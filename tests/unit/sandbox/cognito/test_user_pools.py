from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest

from agent.sandbox.cognito.desk import secret_hash
from agent.sandbox.cognito.totp import STEP, code_at
from tests.fakes.cognito import (
    CLIENT,
    ISSUER,
    SECRET,
    TOTP_SECRET,
    USER,
    a_client,
    a_world,
    pool_keys,
    with_client,
    with_user,
)
from tests.unit.sandbox.cognito.counter import Counter, with_all_flows

HOUR = timedelta(hours=1)
INCORRECT = ("NotAuthorizedException", "Incorrect username or password.")
EXCEEDED = ("NotAuthorizedException", "Password attempts exceeded")


def verified(token: str, key: Any, **options: Any) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        key.key.public_key(),
        ["RS256"],
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
        **options,
    )
    return claims


async def test_id_and_access_tokens_say_what_awss_say_and_each_has_its_key() -> None:
    counter = Counter(with_user(with_all_flows(), groups=("ops",), attributes={"email": "m@example.com"}))
    tokens = await counter.tokens()

    shown = verified(tokens["IdToken"], pool_keys().of_id_tokens, audience=CLIENT)
    access = verified(tokens["AccessToken"], pool_keys().of_access_tokens)

    now = int(counter.clock.now().timestamp())
    assert jwt.get_unverified_header(tokens["IdToken"]) == {"alg": "RS256", "kid": pool_keys().of_id_tokens.kid}
    assert (shown["token_use"], shown["aud"], shown["cognito:username"]) == ("id", CLIENT, USER)
    assert (shown["iat"], shown["exp"], shown["auth_time"]) == (now, now + 3600, now)
    assert (shown["cognito:groups"], shown["email"]) == (["ops"], "m@example.com")
    assert (access["token_use"], access["client_id"], access["username"]) == ("access", CLIENT, USER)
    assert "aud" not in access
    assert shown["sub"] == access["sub"]
    assert shown["jti"] != access["jti"]
    assert tokens["RefreshToken"].count(".") == 4


async def test_srp_is_a_proof_that_whoever_knows_the_password_passes() -> None:
    counter = Counter()
    own, posed = await counter.pose()

    assert posed["ChallengeName"] == "PASSWORD_VERIFIER"
    assert "Session" not in posed
    assert "IdToken" in (await counter.prove(own, posed))["AuthenticationResult"]


async def test_srp_is_nothing_for_others_and_each_challenge_is_good_once() -> None:
    counter = Counter()
    own, posed = await counter.pose()
    assert (await counter.prove(own, posed, "wrong"))["error"] == INCORRECT

    used = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.")
    assert (await counter.prove(own, posed))["error"] == used


@pytest.mark.parametrize(
    "stamp", ["2026-11-20T12:00:00Z", "Fri Nov 20 12:00:00 CET 2026", "Mon Nov 20 12:00:00 UTC 2026"]
)
async def test_the_timestamp_is_written_as_java_writes_it(stamp: str) -> None:
    counter = Counter()
    own, posed = await counter.pose()

    error = (await counter.prove(own, posed, TIMESTAMP=stamp))["error"]

    assert error == ("InvalidParameterException", "TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english")


async def test_a_timestamp_of_an_hour_ago_is_as_wrong_as_a_password() -> None:
    counter = Counter()
    own, posed = await counter.pose()

    assert (await counter.prove(own, posed, TIMESTAMP="Fri Nov 20 11:00:00 UTC 2026"))["error"] == INCORRECT


@pytest.mark.parametrize("public", ["", "xyz", "0", "f" * 2000])
async def test_an_srp_a_that_cannot_be_is_refused(public: str) -> None:
    shown = {"USERNAME": USER, "SRP_A": public}
    answer = await Counter().ask("InitiateAuth", AuthFlow="USER_SRP_AUTH", ClientId=CLIENT, AuthParameters=shown)
    assert answer["error"][0] == "InvalidParameterException"


@pytest.mark.parametrize(
    "flow", ["USER_PASSWORD_AUTH", "USER_SRP_AUTH", "REFRESH_TOKEN_AUTH", "REFRESH_TOKEN", "USER_AUTH"]
)
async def test_a_flow_is_there_if_the_client_has_it(flow: str) -> None:
    counter = Counter(with_client(a_world(), flows=()))
    answer = await counter.ask("InitiateAuth", AuthFlow=flow, ClientId=CLIENT, AuthParameters={})
    assert answer["error"] == ("InvalidParameterException", f"{flow} flow not enabled for this client")


async def test_a_client_without_a_secret_takes_none_and_one_with_a_secret_nothing_else() -> None:
    counter = Counter()
    assert (await counter.sign_in(SECRET_HASH="x"))["error"][0] == "NotAuthorizedException"

    counter = Counter(with_all_flows(secret=SECRET))
    wanted = f"Client {CLIENT} is configured for secret but secret was not received"
    assert (await counter.sign_in())["error"] == ("NotAuthorizedException", wanted)
    unable = f"Unable to verify secret hash for client {CLIENT}"
    assert (await counter.sign_in(SECRET_HASH="x"))["error"] == ("NotAuthorizedException", unable)
    right = secret_hash(a_client(secret=SECRET), USER)
    assert "AuthenticationResult" in await counter.sign_in(SECRET_HASH=right)


async def test_from_the_fifth_wrong_password_on_a_user_is_locked_for_twice_as_long_each_time() -> None:
    counter = Counter()
    for _ in range(5):
        assert (await counter.sign_in("wrong"))["error"] == INCORRECT
    assert (await counter.sign_in())["error"] == EXCEEDED
    await counter.clock.advance(timedelta(seconds=1))
    for seconds in (2, 4, 8):
        assert (await counter.sign_in("wrong"))["error"] == INCORRECT
        await counter.clock.advance(timedelta(seconds=seconds - 0.5))
        assert (await counter.sign_in("wrong"))["error"] == EXCEEDED  # which makes it no longer
        await counter.clock.advance(timedelta(seconds=0.5))

    assert "AuthenticationResult" in await counter.sign_in()
    assert (await counter.sign_in("wrong"))["error"] == INCORRECT


async def test_a_lock_is_never_longer_than_a_quarter_of_an_hour_and_peace_forgets_it() -> None:
    counter = Counter()
    pool = counter.world.user_pools[0]
    for _ in range(60):
        counter.room.users._attempts.failed(pool, pool.users[0], counter.clock.now())
    await counter.clock.advance(timedelta(minutes=14))
    assert (await counter.sign_in("wrong"))["error"] == EXCEEDED
    await counter.clock.advance(timedelta(minutes=2))
    for _ in range(4):
        assert (await counter.sign_in("wrong"))["error"] == INCORRECT


async def test_wrong_proofs_lock_as_wrong_passwords_do() -> None:
    counter = Counter()
    for _ in range(5):
        assert (await counter.prove(*await counter.pose(), password="wrong"))["error"] == INCORRECT
    assert (await counter.prove(*await counter.pose()))["error"] == EXCEEDED


async def test_who_is_not_there_fails_as_one_with_a_wrong_password_does() -> None:
    counter = Counter()
    assert (await counter.sign_in(user="nobody"))["error"] == INCORRECT
    own, posed = await counter.pose("nobody")
    assert posed["ChallengeParameters"]["USER_ID_FOR_SRP"] == "nobody"
    assert (await counter.prove(own, posed))["error"] == INCORRECT

    counter = Counter(with_all_flows(prevent_user_existence_errors=False))
    assert (await counter.sign_in(user="nobody"))["error"] == ("UserNotFoundException", "User does not exist.")
    assert (await counter.pose("nobody"))[1]["error"][0] == "UserNotFoundException"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"state": "UNCONFIRMED"}, ("UserNotConfirmedException", "User is not confirmed.")),
        ({"state": "RESET_REQUIRED"}, ("PasswordResetRequiredException", "Password reset required for the user")),
        ({"enabled": False}, ("NotAuthorizedException", "User is disabled.")),
    ],
)
async def test_who_may_not_sign_in_learns_it_once_the_password_is_right(
    changes: dict[str, Any], error: tuple[str, str]
) -> None:
    counter = Counter(with_user(with_all_flows(), **changes))
    assert (await counter.sign_in())["error"] == error
    assert (await counter.sign_in("wrong"))["error"] == INCORRECT


async def test_a_temporary_password_is_changed_and_the_session_is_good_once() -> None:
    counter = Counter(with_user(with_all_flows(), state="FORCE_CHANGE_PASSWORD"))
    challenge = await counter.sign_in()
    assert challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    assert challenge["ChallengeParameters"]["USER_ID_FOR_SRP"] == USER

    assert "AuthenticationResult" in await counter.respond(challenge, NEW_PASSWORD="Another-Pass-1")
    again = await counter.respond(challenge, NEW_PASSWORD="Another-Pass-2")
    assert again["error"] == (
        "NotAuthorizedException",
        "Invalid session for the user, session can only be used once.",
    )
    assert "AuthenticationResult" in await counter.sign_in("Another-Pass-1")


async def test_a_new_password_has_to_fit_the_policy() -> None:
    counter = Counter(with_user(with_all_flows(), state="FORCE_CHANGE_PASSWORD"))
    answer = await counter.respond(await counter.sign_in(), NEW_PASSWORD="short")
    assert answer["error"][0] == "InvalidPasswordException"


async def test_a_session_ends_after_three_minutes() -> None:
    counter = Counter(with_user(with_all_flows(), state="FORCE_CHANGE_PASSWORD"))
    challenge = await counter.sign_in()
    await counter.clock.advance(timedelta(minutes=3))

    answer = await counter.respond(challenge, NEW_PASSWORD="Another-Pass-1")

    assert answer["error"] == ("NotAuthorizedException", "Invalid session for the user, session is expired.")


async def test_a_session_is_for_its_challenge_and_its_user_alone() -> None:
    counter = Counter(with_user(with_all_flows(), state="FORCE_CHANGE_PASSWORD"))
    wrong = ("NotAuthorizedException", "Invalid session for the user.")
    challenge = await counter.sign_in()
    assert (await counter.respond({**challenge, "ChallengeName": "SMS_MFA"}, SMS_MFA_CODE="1"))["error"] == wrong
    challenge = await counter.sign_in()
    assert (await counter.respond(challenge, USERNAME="other", NEW_PASSWORD="x" * 9))["error"] == wrong
    invented = {"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "x" * 30}
    assert (await counter.respond(invented, NEW_PASSWORD="x" * 9))["error"] == wrong
    missing = {"ChallengeName": "NEW_PASSWORD_REQUIRED"}
    assert (await counter.respond(missing, NEW_PASSWORD="x" * 9))["error"][0] == "InvalidParameterException"


async def test_the_code_of_an_authenticator_is_good_for_its_half_minute_and_once() -> None:
    counter = Counter(with_user(with_all_flows(), mfa="SOFTWARE_TOKEN_MFA", totp_secret=TOTP_SECRET))
    step = int(counter.clock.now().timestamp()) // STEP

    async def enter(code: str) -> dict[str, Any]:
        return await counter.respond(await counter.sign_in(), SOFTWARE_TOKEN_MFA_CODE=code)

    assert (await enter(code_at(TOTP_SECRET, step - 2)))["error"] == ("CodeMismatchException", "Code mismatch")
    assert "AuthenticationResult" in await enter(code_at(TOTP_SECRET, step))
    assert (await enter(code_at(TOTP_SECRET, step)))["error"][0] == "ExpiredCodeException"


async def test_a_code_by_sms_is_told_to_whoever_runs_the_sandbox() -> None:
    counter = Counter(with_user(with_all_flows(), mfa="SMS_MFA", attributes={"phone_number": "+491701234567"}))
    challenge = await counter.sign_in()
    code = counter.cloud.calls[-1].why[-6:]

    assert challenge["ChallengeParameters"]["CODE_DELIVERY_DESTINATION"] == "+********4567"
    assert (await counter.respond(challenge, SMS_MFA_CODE=code[::-1] + "0"))["error"][0] == "CodeMismatchException"
    challenge = await counter.sign_in()
    code = counter.cloud.calls[-1].why[-6:]
    assert "AuthenticationResult" in await counter.respond(challenge, SMS_MFA_CODE=code)


async def test_a_pool_that_wants_a_second_factor_wants_it_of_everybody_and_one_that_has_none_of_nobody() -> None:
    world = with_all_flows()
    counter = Counter(replace(world, user_pools=(replace(world.user_pools[0], mfa="ON"),)))
    assert (await counter.sign_in())["ChallengeName"] == "MFA_SETUP"

    world = with_user(world, mfa="SOFTWARE_TOKEN_MFA", totp_secret=TOTP_SECRET)
    counter = Counter(replace(world, user_pools=(replace(world.user_pools[0], mfa="OFF"),)))
    assert "AuthenticationResult" in await counter.sign_in()


# --- refresh tokens


@pytest.mark.parametrize("flow", ["REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"])
async def test_a_refresh_token_gives_new_tokens_of_the_same_sign_in(flow: str) -> None:
    counter = Counter()
    tokens = await counter.tokens()
    await counter.clock.advance(HOUR)

    parameters = {"REFRESH_TOKEN": tokens["RefreshToken"]}
    answer = await counter.ask("InitiateAuth", AuthFlow=flow, ClientId=CLIENT, AuthParameters=parameters)
    again = await counter.ask("GetTokensFromRefreshToken", RefreshToken=tokens["RefreshToken"], ClientId=CLIENT)

    for result in (answer["AuthenticationResult"], again["AuthenticationResult"]):
        first, second = (jwt.decode(one["IdToken"], options={"verify_signature": False}) for one in (tokens, result))
        assert "RefreshToken" not in result
        assert first["origin_jti"] == second["origin_jti"]
        assert first["auth_time"] == second["auth_time"]
        assert second["iat"] == first["iat"] + 3600


async def renew(counter: Counter, token: str, **more: object) -> dict[str, Any]:
    return await counter.ask("GetTokensFromRefreshToken", RefreshToken=token, ClientId=CLIENT, **more)


ROTATING: dict[str, Any] = {"flows": ("ALLOW_USER_PASSWORD_AUTH",), "rotation": True}


async def test_a_rotated_refresh_token_is_good_once_and_its_successor_no_longer_than_it_was() -> None:
    counter = Counter(with_client(a_world(), **ROTATING, refresh_lifetime=3 * HOUR))
    first = (await counter.tokens())["RefreshToken"]
    await counter.clock.advance(HOUR)
    second = (await renew(counter, first))["AuthenticationResult"]["RefreshToken"]

    assert second != first
    assert (await renew(counter, first))["error"][0] == "RefreshTokenReuseException"
    await counter.clock.advance(HOUR)
    third = (await renew(counter, second))["AuthenticationResult"]["RefreshToken"]
    await counter.clock.advance(HOUR)
    assert (await renew(counter, third))["error"] == ("NotAuthorizedException", "Refresh Token has expired")


async def test_the_grace_of_a_client_lets_a_rotated_token_be_used_again_for_a_while() -> None:
    counter = Counter(with_client(a_world(), **ROTATING, grace=timedelta(seconds=30)))
    first = (await counter.tokens())["RefreshToken"]
    assert "AuthenticationResult" in await renew(counter, first)
    await counter.clock.advance(timedelta(seconds=29))
    assert "AuthenticationResult" in await renew(counter, first)
    await counter.clock.advance(timedelta(seconds=1))
    assert (await renew(counter, first))["error"][0] == "RefreshTokenReuseException"


async def test_revoking_one_ends_all_that_came_of_it() -> None:
    counter = Counter(with_client(a_world(), **ROTATING))
    first = (await counter.tokens())["RefreshToken"]
    second = (await renew(counter, first))["AuthenticationResult"]["RefreshToken"]

    assert await counter.ask("RevokeToken", Token=first, ClientId=CLIENT) == {}
    assert (await renew(counter, second))["error"] == ("NotAuthorizedException", "Refresh Token has been revoked")
    assert await counter.ask("RevokeToken", Token="a.b.c.d.e", ClientId=CLIENT) == {}
    other = await counter.ask("RevokeToken", Token="a.b.c", ClientId=CLIENT)
    assert other["error"][0] == "UnsupportedTokenTypeException"


async def test_a_refresh_token_is_of_its_client_and_the_client_shows_its_secret() -> None:
    counter = Counter(with_all_flows(secret=SECRET))
    right = secret_hash(a_client(secret=SECRET), USER)
    token = (await counter.sign_in(SECRET_HASH=right))["AuthenticationResult"]["RefreshToken"]

    assert (await renew(counter, token))["error"][0] == "NotAuthorizedException"
    assert (await renew(counter, token, ClientSecret="y" * 30))["error"][0] == "NotAuthorizedException"
    assert "AuthenticationResult" in await renew(counter, token, ClientSecret=SECRET)
    assert (await renew(counter, "a.b.c.d.e", ClientSecret=SECRET))["error"] == (
        "NotAuthorizedException",
        "Invalid Refresh Token",
    )


async def test_a_user_who_has_gone_or_is_disabled_renews_nothing() -> None:
    counter = Counter()
    token = (await counter.tokens())["RefreshToken"]
    counter.cloud.world = with_user(counter.world, enabled=False)
    assert (await renew(counter, token))["error"] == ("NotAuthorizedException", "User is disabled.")
    counter.cloud.world = with_user(counter.world, name="another")
    assert (await renew(counter, token))["error"][0] == "UserNotFoundException"


# --- requests


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"ClientId": CLIENT}, "InvalidParameterException"),
        ({"ClientId": CLIENT, "AuthFlow": "GUESS"}, "InvalidParameterException"),
        ({"ClientId": "no client!", "AuthFlow": "USER_SRP_AUTH"}, "InvalidParameterException"),
        ({"ClientId": "c" * 129, "AuthFlow": "USER_SRP_AUTH"}, "InvalidParameterException"),
        ({"ClientId": "", "AuthFlow": "USER_SRP_AUTH"}, "InvalidParameterException"),
        ({"ClientId": "gone", "AuthFlow": "USER_SRP_AUTH"}, "ResourceNotFoundException"),
        ({"ClientId": 7, "AuthFlow": "USER_SRP_AUTH"}, "SerializationException"),
        ({"ClientId": CLIENT, "AuthFlow": "USER_SRP_AUTH"}, "InvalidParameterException"),
        ({"ClientId": CLIENT, "AuthFlow": "USER_SRP_AUTH", "AuthParameters": []}, "SerializationException"),
        (
            {"ClientId": CLIENT, "AuthFlow": "USER_SRP_AUTH", "AuthParameters": {"USERNAME": 1}},
            "SerializationException",
        ),
    ],
)
async def test_parameters_are_what_the_services_model_allows(members: dict[str, Any], code: str) -> None:
    assert (await Counter().ask("InitiateAuth", **members))["error"][0] == code


async def test_other_operations_are_not_there() -> None:
    assert (await Counter().ask("AdminInitiateAuth"))["error"][0] == "UnknownOperationException"
