"""The custodian of Vault's Transit keys, on a real Vault: who is let in, and when nobody is."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from agent.clock import SystemClock
from agent.errors import KeyUnavailable
from agent.keys.vault_transit.custodian import AppRole, Jwt, Place, TokenFile, VaultTransit
from agent.secret import Secret
from tests.fakes.clock import FakeClock
from tests.fakes.memory_key import pem
from tests.live.vault.opening import POLICY, Opening, holding, refused
from tests.live.vault.running import BINARY, WHY_NOT, Vault, running_vault

pytestmark = pytest.mark.skipif(BINARY is None, reason=WHY_NOT)


# Who may


@pytest.mark.parametrize(
    ("lacking", "capability"),
    [
        ("transit/keys/rolecall", "read"),
        ("transit/sign/rolecall", "update"),
        ("transit/keys/rolecall/rotate", "update"),
    ],
)
async def test_a_policy_that_lacks_something_is_named(
    vault: Vault, custodian: Opening, lacking: str, capability: str
) -> None:
    await custodian().make("ec-p256")
    vault.policy("lacking", {path: may for path, may in POLICY.items() if path != lacking})
    transit = custodian(custodian.token(policies=["lacking"]))

    async def all_of_it() -> None:
        await transit.make("ec-p256")
        await transit.open("rolecall:v1")

    error = await refused(all_of_it())

    assert f"does not allow this token {capability} on {lacking}" in error.what
    assert error.hint == f'write into its policy: path "{lacking}" {{ capabilities = ["{capability}"] }}'


async def test_a_token_that_may_only_sign_is_enough_where_keys_are_not_ours(vault: Vault, custodian: Opening) -> None:
    await custodian().make("ec-p256")
    rules = {**POLICY, "transit/keys/rolecall": "read"}
    for path in ("rotate", "config", "trim"):
        del rules[f"transit/keys/rolecall/{path}"]
    vault.policy("lacking", rules)

    key = await custodian(custodian.token(policies=["lacking"]), make_keys=False).open("rolecall:v1")

    await key.sign(b"x")


async def test_to_make_the_first_version_takes_what_the_error_names(vault: Vault, custodian: Opening) -> None:
    vault.policy("lacking", {**POLICY, "transit/keys/rolecall": "read"})
    transit = custodian(custodian.token(policies=["lacking"]))

    error = await refused(transit.make("ec-p256"))
    named = error.hint.split('capabilities = ["')[1].split('"')[0]
    vault.policy("lacking", {**POLICY, "transit/keys/rolecall": f"read {named}"})

    assert await transit.make("ec-p256") == "rolecall:v1"


async def test_a_mount_that_is_not_there_is_named(vault: Vault, custodian: Opening) -> None:
    transit = custodian(TokenFile(holding(vault.root)), mount="transfer")

    error = await refused(transit.names())

    assert error.what == "Vault has no secrets engine at transfer"
    assert "vault secrets enable -path=transfer transit" in error.hint


# Tokens


async def test_a_token_is_renewed_before_it_ends_and_not_before_half_of_its_life(
    vault: Vault, custodian: Opening
) -> None:
    clock = FakeClock()
    token = vault.token(policies=["rolecall"], period="1h")
    transit = custodian(TokenFile(holding(token)), clock=clock)
    await transit.make("ec-p256")

    def renewed() -> bool:
        return "last_renewal" in vault.write("auth/token/lookup", token=token)["data"]

    clock.suspend(timedelta(minutes=29))
    await transit.names()
    assert not renewed()
    clock.suspend(timedelta(minutes=2))
    await transit.names()
    assert renewed()


class Hurried(SystemClock):
    """A clock by which an hour is a second."""

    def steady(self) -> float:
        return super().steady() * 3600

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 3600)


async def test_it_stays_signed_in_while_nothing_is_signed(vault: Vault, custodian: Opening) -> None:
    token = vault.token(policies=["rolecall"], period="1h")
    transit = custodian(TokenFile(holding(token)), clock=Hurried(), patience=1e5)

    staying = asyncio.ensure_future(transit.stay_signed_in())
    while "last_renewal" not in vault.write("auth/token/lookup", token=token)["data"]:
        assert not staying.done()
        await asyncio.sleep(0.05)
    staying.cancel()


async def test_an_expired_token_is_named_and_a_new_one_in_the_file_works_without_a_restart(
    vault: Vault, custodian: Opening, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(vault.token(policies=["rolecall"], ttl="1h") + "\n")
    transit = custodian(TokenFile(lambda: Secret(file.read_text())))
    key = await transit.open(await transit.make("ec-p256"))
    vault.write("auth/token/revoke", token=file.read_text().strip())

    for _ in range(2):
        error = await refused(key.sign(b"x"))
        assert "the Vault token has expired or was revoked" in error.what
        assert "token file" in error.hint

    file.write_text(vault.token(policies=["rolecall"], ttl="1h") + "\n")
    await key.sign(b"x")


async def test_a_token_that_cannot_be_renewed_is_good_until_it_ends(vault: Vault, custodian: Opening) -> None:
    transit = custodian(custodian.token(policies=["rolecall"], ttl="2s", renewable=False))
    key = await transit.open(await transit.make("ec-p256"))

    with pytest.raises(KeyUnavailable, match="the Vault token has expired"):
        while True:
            await key.sign(b"x")
            await asyncio.sleep(0.05)


async def test_the_root_token_which_never_ends_is_taken(vault: Vault, custodian: Opening) -> None:
    transit = custodian(TokenFile(holding(vault.root)))

    assert await transit.make("ec-p256") == "rolecall:v1"


# AppRole


def app_role(vault: Vault, **settings: object) -> AppRole:
    vault.delete("auth/approle/role/rolecall")
    vault.write("auth/approle/role/rolecall", token_policies=["rolecall"], **settings)
    role_id = vault.read("auth/approle/role/rolecall/role-id")["data"]["role_id"]
    secret_id = vault.write("auth/approle/role/rolecall/secret-id")["data"]["secret_id"]
    return AppRole(holding(role_id), holding(secret_id))


async def test_app_role_signs_in_and_again_when_its_token_is_dead(vault: Vault, custodian: Opening) -> None:
    transit = custodian(app_role(vault, token_ttl="1s", token_max_ttl="1s", secret_id_num_uses=0))
    key = await transit.open(await transit.make("ec-p256"))

    await asyncio.sleep(1.5)

    await key.sign(b"x")


async def test_a_secret_id_that_is_used_up_is_named(vault: Vault, custodian: Opening) -> None:
    login = app_role(vault, token_ttl="1h", secret_id_num_uses=1)
    await custodian(login).make("ec-p256")

    error = await refused(custodian(login).names())

    assert error.what == "Vault refused the AppRole login at auth/approle: invalid role or secret ID"
    assert "used up" in error.hint


async def test_a_new_secret_id_in_the_file_works_without_a_restart(vault: Vault, custodian: Opening) -> None:
    login = app_role(vault, token_ttl="1h")
    secret_ids = ["f1b5c5a2-0000-0000-0000-000000000000"]
    transit = custodian(AppRole(login.role_id, lambda: Secret(secret_ids[-1])))
    await refused(transit.names())

    secret_ids.append(login.secret_id().reveal())

    await transit.names()


async def test_tokens_of_a_kind_that_cannot_be_renewed_are_replaced(vault: Vault, custodian: Opening) -> None:
    clock = FakeClock()
    transit = custodian(app_role(vault, token_type="batch", token_ttl="1h", secret_id_num_uses=0), clock=clock)
    key = await transit.open(await transit.make("ec-p256"))

    for _ in range(5):
        clock.suspend(timedelta(minutes=50))
        await key.sign(b"x")


# JWT


def a_jwt(lifetime: int, audience: str = "vault") -> str:
    now = int(time.time())  # noqa: TID251 - Vault has no other clock
    claims = {
        "sub": "system:serviceaccount:rolecall:rolecall",
        "aud": audience,
        "iat": now - 7200,
        "exp": now + lifetime,
    }
    return jwt.encode(claims, pem("ec-p256"), "ES256")


@pytest.fixture
def role(vault: Vault) -> str:
    vault.write(
        "auth/kubernetes/role/rolecall",
        role_type="jwt",
        bound_audiences=["vault"],
        user_claim="sub",
        bound_subject="system:serviceaccount:rolecall:rolecall",
        token_policies=["rolecall"],
    )
    return "rolecall"


async def test_a_jwt_signs_in(custodian: Opening, role: str) -> None:
    transit = custodian(Jwt(holding(a_jwt(600)), role, "kubernetes"))

    key = await transit.open(await transit.make("ec-p256"))

    await key.sign(b"x")


@pytest.mark.parametrize(
    ("token", "asked", "named"),
    [
        (lambda: a_jwt(-3600), "rolecall", "expired"),
        (lambda: a_jwt(600, audience="other"), "rolecall", "aud"),
        (lambda: a_jwt(600), "nobody", 'role "nobody" could not be found'),
        (lambda: "no-jwt-at-all", "rolecall", "compact JWS format|malformed|parts"),
    ],
    ids=["expired", "audience", "role", "garbage"],
)
async def test_a_jwt_that_vault_does_not_take_is_refused_with_its_reason(
    custodian: Opening, role: str, token: Any, asked: str, named: str
) -> None:
    transit = custodian(Jwt(holding(token()), asked, "kubernetes"))

    with pytest.raises(KeyUnavailable, match=named) as caught:
        await transit.names()

    assert f"refused the login with a JWT at auth/kubernetes as {asked}" in caught.value.what
    assert "expired" in caught.value.hint


async def test_a_login_that_is_not_enabled_is_refused(vault: Vault, custodian: Opening, role: str) -> None:
    error = await refused(custodian(Jwt(holding(a_jwt(600)), role, "nowhere")).names())

    assert "auth/nowhere" in error.what


# The server


async def test_a_sealed_vault_says_so_and_signing_goes_on_once_it_is_unsealed(vault: Vault, custodian: Opening) -> None:
    transit = custodian()
    key = await transit.open(await transit.make("ec-p256"))

    vault.seal()
    try:
        error = await refused(key.sign(b"x"))
        assert error.what == f"Vault at {vault.address} is sealed"
        assert "vault operator unseal" in error.hint
    finally:
        vault.unseal()

    for _ in range(50):  # a Vault that was unsealed just now still puts itself in order
        try:
            await key.sign(b"x")
            break
        except KeyUnavailable:
            await asyncio.sleep(0.1)
    else:
        pytest.fail("unsealed, and still not signing")


async def test_a_vault_that_was_never_initialised_says_so() -> None:
    with running_vault() as fresh:
        transit = VaultTransit(Place(fresh.address), TokenFile(holding("hvs.x")), "rolecall", clock=SystemClock())

        assert "has not been initialised" in (await refused(transit.names())).what
        await transit.close()


async def test_a_rate_limit_is_named(vault: Vault, custodian: Opening) -> None:
    transit = custodian()
    key = await transit.open(await transit.make("ec-p256"))
    vault.write("sys/quotas/rate-limit/tight", rate=1, interval="1m", path="transit/")
    try:
        with pytest.raises(KeyUnavailable, match="takes no more requests now") as caught:
            for _ in range(3):
                await key.sign(b"x")
    finally:
        vault.delete("sys/quotas/rate-limit/tight")

    assert "quota" in caught.value.what
