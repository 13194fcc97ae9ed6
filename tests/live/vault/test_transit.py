"""The custodian of Vault's Transit keys, on a real Vault."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from agent.clock import SystemClock
from agent.errors import ConfigurationError, KeyUnavailable
from agent.jose import compact, signing_input
from agent.keys import Kind, SigningKey
from agent.keys.vault_transit import AppRole, Jwt, Login, Place, TokenFile, VaultTransit
from agent.keys.vault_transit.access import Reader
from agent.secret import Secret
from tests.fakes.clock import FakeClock
from tests.fakes.memory_key import KINDS, pem
from tests.live.vault.running import BINARY, WHY_NOT, Vault, running_vault

pytestmark = pytest.mark.skipif(BINARY is None, reason=WHY_NOT)

#: The policy of docs/keys/vault-transit.md.
POLICY = {
    "transit/keys/rolecall": "read update",
    "transit/keys/rolecall/rotate": "update",
    "transit/keys/rolecall/config": "update",
    "transit/keys/rolecall/trim": "update",
    "transit/sign/rolecall": "update",
    "auth/token/lookup-self": "read",
    "auth/token/renew-self": "update",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Vault]:
    with running_vault() as vault:
        vault.initialise()
        vault.policy("rolecall", POLICY)
        vault.write("sys/auth/approle", type="approle")
        vault.write("sys/auth/kubernetes", type="jwt")
        public = load_pem_private_key(pem("ec-p256"), None).public_key()
        vault.write(
            "auth/kubernetes/config",
            jwt_validation_pubkeys=[public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()],
        )
        yield vault


@pytest.fixture
def vault(server: Vault) -> Vault:
    """Vault without any key."""
    server.delete("sys/mounts/transit")
    server.write("sys/mounts/transit", type="transit")
    return server


@dataclass
class Opening:
    """Makes custodians, and closes them afterwards."""

    vault: Vault
    made: list[VaultTransit] = field(default_factory=list)

    def __call__(self, login: Login | None = None, **settings: Any) -> VaultTransit:
        arguments = {"clock": SystemClock(), **settings}
        made = VaultTransit(
            Place(self.vault.address), login or self.token(policies=["rolecall"]), "rolecall", **arguments
        )
        self.made.append(made)
        return made

    def token(self, **members: object) -> TokenFile:
        return TokenFile(holding(self.vault.token(no_default_policy=True, **members)))


@pytest.fixture
async def custodian(vault: Vault) -> AsyncIterator[Opening]:
    opening = Opening(vault)
    yield opening
    for made in opening.made:
        await made.close()


def holding(secret: str) -> Reader:
    return lambda: Secret(secret)


def verify(key: SigningKey, signature: bytes, message: bytes) -> object:
    public = key.public
    return jwt.decode(compact(message, signature), jwt.PyJWK(dict(public.jwk), public.algorithm), [public.algorithm])


async def refused(work: object) -> KeyUnavailable:
    with pytest.raises(KeyUnavailable) as caught:
        await work  # type: ignore[misc]  # the point is what it raises
    assert caught.value.hint
    return caught.value


# Signing


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_is_made_opened_and_signs(custodian: Opening, kind: Kind) -> None:
    transit = custodian()

    key = await transit.open(await transit.make(kind))

    message = signing_input({"alg": key.public.algorithm}, {"sub": "host:web-1"})
    assert verify(key, await key.sign(message), message) == {"sub": "host:web-1"}


async def test_the_algorithm_can_be_chosen_for_rsa(custodian: Opening) -> None:
    transit = custodian(algorithm="RS512")

    key = await transit.open(await transit.make("rsa-2048"))

    message = signing_input({"alg": "RS512"}, {"n": 1})
    assert key.public.algorithm == "RS512"
    assert verify(key, await key.sign(message), message) == {"n": 1}


async def test_an_algorithm_that_does_not_fit_is_a_matter_of_configuration(custodian: Opening) -> None:
    name = await custodian().make("ec-p256")

    with pytest.raises(ConfigurationError, match="cannot sign with RS256"):
        await custodian(algorithm="RS256").open(name)


async def test_a_hundred_at_once_are_all_good(custodian: Opening) -> None:
    transit = custodian()
    key = await transit.open(await transit.make("ec-p256"))
    messages = [signing_input({"alg": "ES256"}, {"n": n}) for n in range(100)]

    signatures = await asyncio.gather(*(key.sign(message) for message in messages))

    for n, (message, signature) in enumerate(zip(messages, signatures, strict=True)):
        assert verify(key, signature, message) == {"n": n}


async def test_a_key_that_was_made_anew_under_the_same_name_signs_nothing(vault: Vault, custodian: Opening) -> None:
    transit = custodian()
    key = await transit.open(await transit.make("ec-p256"))
    vault.write("transit/keys/rolecall/config", deletion_allowed=True)
    vault.delete("transit/keys/rolecall")
    await transit.make("ec-p256")

    assert "is not from the key" in (await refused(key.sign(b"x"))).what


# Versions


async def test_before_any_key_is_made_there_is_none(custodian: Opening) -> None:
    assert list(await custodian().names()) == []
    assert "does not exist" in (await refused(custodian().open("rolecall:v1"))).what


async def test_what_is_made_cannot_leave_vault(vault: Vault, custodian: Opening) -> None:
    await custodian().make("ec-p256")

    key = vault.read("transit/keys/rolecall")["data"]
    assert (key["exportable"], key["allow_plaintext_backup"], key["type"]) == (False, False, "ecdsa-p256")


async def test_each_version_is_a_key_of_its_own_and_stays_what_it_is(custodian: Opening) -> None:
    transit = custodian()
    names = [await transit.make("rsa-2048") for _ in range(3)]
    opened = [await transit.open(name) for name in names]

    again = [await custodian().open(name) for name in names]

    assert names == ["rolecall:v1", "rolecall:v2", "rolecall:v3"]
    assert list(await transit.names()) == ["rolecall:v3"]
    assert len({key.public.kid for key in opened}) == 3
    assert [key.public for key in again] == [key.public for key in opened]
    for key in opened:
        message = signing_input({"alg": "RS256"}, {"kid": key.public.kid})
        assert verify(key, await key.sign(message), message) == {"kid": key.public.kid}


async def test_versions_that_are_made_at_once_by_two_are_two(custodian: Opening) -> None:
    await custodian().make("ec-p256")

    names = await asyncio.gather(*(custodian().make("ec-p256") for _ in range(8)))

    assert sorted(names) == [f"rolecall:v{version}" for version in range(2, 10)]


async def test_a_transit_key_has_one_type(custodian: Opening) -> None:
    await custodian().make("ec-p256")

    with pytest.raises(ConfigurationError, match=r"is of type ecdsa-p256.*kind rsa-2048"):
        await custodian().make("rsa-2048")


async def test_where_keys_are_not_ours_none_is_made_and_none_destroyed(vault: Vault, custodian: Opening) -> None:
    await custodian().make("ec-p256")
    transit = custodian(make_keys=False)

    for work in (transit.make("ec-p256"), transit.discard("rolecall:v1")):
        with pytest.raises(ConfigurationError, match="make_keys"):
            await work

    assert vault.read("transit/keys/rolecall")["data"]["latest_version"] == 1


@pytest.mark.parametrize("kind", ["aes256-gcm96", "chacha20-poly1305", "ed25519", "hmac"])
async def test_a_key_of_another_type_behind_the_name_is_refused(vault: Vault, custodian: Opening, kind: str) -> None:
    vault.write("transit/keys/rolecall", type=kind, **({"key_size": 32} if kind == "hmac" else {}))

    error = await refused(custodian().open("rolecall:v1"))

    assert f"of type {kind}" in error.what


@pytest.mark.parametrize("name", ["other:v1", "rolecall", "rolecall:v0", "rolecall:v1x", "rolecall:1", ""])
async def test_a_name_that_is_none_of_ours_is_refused(custodian: Opening, name: str) -> None:
    await custodian().make("ec-p256")

    assert "is no version of" in (await refused(custodian().open(name))).what


async def test_a_version_that_is_not_there_is_refused(custodian: Opening) -> None:
    await custodian().make("ec-p256")

    assert "has no version 2, the latest is 1" in (await refused(custodian().open("rolecall:v2"))).what


@pytest.mark.parametrize("floor", ["min_decryption_version", "min_encryption_version"])
async def test_a_version_that_vault_lets_sign_no_more_is_refused(vault: Vault, custodian: Opening, floor: str) -> None:
    transit = custodian()
    opened = [await transit.open(await transit.make("ec-p256")) for _ in range(2)]
    vault.write("transit/keys/rolecall/config", **{floor: 2})

    assert "below the least version that may sign (2)" in (await refused(transit.open("rolecall:v1"))).what
    await opened[1].sign(b"goes on")
    if floor == "min_encryption_version":
        assert "requested version for signing is less" in (await refused(opened[0].sign(b"x"))).what


# Destroying


def there(vault: Vault) -> tuple[int, list[str]]:
    """The oldest version that Vault has kept, and all that it lets sign."""
    key = vault.read("transit/keys/rolecall")["data"]
    return key["min_available_version"], sorted(key["keys"])


async def test_the_oldest_version_is_destroyed_and_the_others_go_on(vault: Vault, custodian: Opening) -> None:
    transit = custodian()
    opened = [await transit.open(await transit.make("ec-p256")) for _ in range(3)]

    await transit.discard("rolecall:v1")
    await transit.discard("rolecall:v1")

    assert there(vault) == (2, ["2", "3"])
    await refused(opened[0].sign(b"x"))
    await opened[1].sign(b"x")
    await opened[2].sign(b"x")


async def test_a_version_above_one_that_must_stay_goes_when_that_one_goes(vault: Vault, custodian: Opening) -> None:
    transit = custodian()
    first, *_ = [await transit.open(await transit.make("ec-p256")) for _ in range(4)]

    await transit.discard("rolecall:v2")

    assert there(vault) == (0, ["1", "2", "3", "4"])
    await first.sign(b"x")
    await transit.discard("rolecall:v1")
    assert there(vault) == (3, ["3", "4"])


async def test_the_latest_version_is_never_destroyed(vault: Vault, custodian: Opening) -> None:
    transit = custodian()
    for _ in range(2):
        await transit.make("ec-p256")

    await transit.discard("rolecall:v2")
    await transit.discard("rolecall:v1")

    assert there(vault) == (2, ["2"])


async def test_what_was_begun_is_ended_when_it_is_asked_again(vault: Vault, custodian: Opening) -> None:
    transit = custodian()
    for _ in range(2):
        await transit.make("ec-p256")
    vault.write("transit/keys/rolecall/config", min_decryption_version=2, min_encryption_version=2)

    await transit.discard("rolecall:v1")

    assert there(vault) == (2, ["2"])


async def test_nothing_is_destroyed_where_nothing_is(custodian: Opening) -> None:
    await custodian().discard("rolecall:v1")


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


async def test_it_stays_signed_in_while_nothing_is_signed(vault: Vault, custodian: Opening) -> None:
    """By the real clock: a token of two seconds is alive after three, and would be dead."""
    token = vault.token(policies=["rolecall"], period="2s")
    transit = custodian(TokenFile(holding(token)))
    staying = asyncio.ensure_future(custodian(TokenFile(holding(token)), clock=Hasty()).stay_signed_in())
    await asyncio.sleep(3)
    staying.cancel()

    await transit.make("ec-p256")


class Hasty(SystemClock):
    """Shortens the pauses, which are five seconds at least, but not what `within` waits."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(0.3 if seconds == 5.0 else seconds)


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

    await asyncio.sleep(1.2)
    await key.sign(b"x")
    await asyncio.sleep(1.3)

    assert "has expired" in (await refused(key.sign(b"x"))).what


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


def test_the_documented_policy_is_the_one_that_is_tried() -> None:
    page = Path(__file__).parents[3] / "docs/keys/vault-transit.md"
    written = page.read_text()

    for path, capabilities in POLICY.items():
        listed = json.dumps(capabilities.split())
        assert f'path "{path}" {{ capabilities = {listed} }}' in " ".join(written.split())


def test_it_is_vault_that_is_tried(server: Vault) -> None:
    assert server.read("sys/health")["version"].startswith("1.")
    assert base64.b64decode(server.write("sys/tools/random/16")["data"]["random_bytes"])
