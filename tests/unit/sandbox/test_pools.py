from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.errors import ConfigurationError
from agent.sandbox.pools import AppClient, IdentityPool, User, UserPool, check_once
from tests.fakes.cognito import IDENTITY_POOL, POOL_ID, a_client, a_pool, a_user, a_world

MISTAKES: list[Callable[[], object]] = [
    lambda: UserPool("eu-central-1"),
    lambda: UserPool("_Ab129faBb"),
    lambda: a_pool(mfa="SOMETIMES"),
    lambda: a_pool(shortest_password=5),
    lambda: a_pool(users=(a_user(), a_user())),
    lambda: a_pool(clients=(a_client(), a_client())),
    lambda: AppClient("no client!"),
    lambda: AppClient(""),
    lambda: a_client(secret="short"),
    lambda: a_client(flows=("ALLOW_ALL",)),
    lambda: a_client(rotation=True),
    lambda: a_client(flows=(), rotation=True, grace=timedelta(seconds=61)),
    lambda: a_client(token_lifetime=timedelta(minutes=4)),
    lambda: a_client(token_lifetime=timedelta(days=2)),
    lambda: a_client(refresh_lifetime=timedelta(minutes=59)),
    lambda: User("", "x"),
    lambda: User("two words", "x"),
    lambda: a_user(state="LOST"),
    lambda: a_user(mfa="EMAIL"),
    lambda: a_user(mfa="SOFTWARE_TOKEN_MFA"),
    lambda: a_user(mfa="SOFTWARE_TOKEN_MFA", totp_secret="1"),
    lambda: a_user(mfa="SMS_MFA"),
    lambda: IdentityPool("eu-central-1:x"),
    lambda: check_once("thing", ["a", "b", "a"]),
    lambda: a_world(user_pools=(a_pool(), a_pool())),
    lambda: a_world(user_pools=(a_pool(), a_pool(pool_id="eu-central-1_other"))),
]


@pytest.mark.parametrize("make", MISTAKES, ids=range(len(MISTAKES)))
def test_what_cognito_would_not_have_made_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert caught.value.hint


def test_a_pool_has_its_names() -> None:
    pool = a_pool()
    assert (pool.region, pool.name) == ("eu-central-1", "Ab129faBb")
    assert pool.provider_name == f"cognito-idp.eu-central-1.amazonaws.com/{POOL_ID}"
    assert pool.issuer == f"https://{pool.provider_name}"
    assert UserPool("cn-north-1_Ab1").issuer == "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_Ab1"
    assert IdentityPool(IDENTITY_POOL).region == "eu-central-1"


def test_users_are_found_by_name_and_by_the_aliases_of_the_pool() -> None:
    user = a_user(attributes={"email": "m@example.com"})
    assert a_pool(user=user).user_of("machine") == user
    assert a_pool(user=user).user_of("m@example.com") is None
    assert a_pool(user=user, aliases=("email",)).user_of("m@example.com") == user
    assert a_pool(user=user, aliases=("phone_number",)).user_of("nobody") is None
    assert a_pool().client_of("gone") is None


def test_a_user_is_the_same_in_every_run_and_shows_no_password() -> None:
    assert a_user().subject == a_user(password="another").subject
    assert a_user().subject != a_user(name="another").subject
    assert "anary" not in repr(a_pool(client=a_client(secret="canary" * 5)))
