"""The custodian of Vault's Transit keys, on a real Vault: keys, versions and signatures."""

import asyncio
import json
from pathlib import Path

import jwt
import pytest

from agent.errors import ConfigurationError
from agent.jose import compact, signing_input
from agent.keys import Kind, SigningKey
from tests.fakes.memory_key import KINDS
from tests.live.vault.opening import POLICY, Opening, refused
from tests.live.vault.running import BINARY, WHY_NOT, Vault

pytestmark = pytest.mark.skipif(BINARY is None, reason=WHY_NOT)


def verify(key: SigningKey, signature: bytes, message: bytes) -> object:
    public = key.public
    return jwt.decode(compact(message, signature), jwt.PyJWK(dict(public.jwk), public.algorithm), [public.algorithm])


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
    await transit.discard("rolecall:v2")

    assert there(vault) == (2, ["2"])


@pytest.mark.parametrize(
    ("floors", "then"),
    [
        ({"min_decryption_version": 2, "min_encryption_version": 2}, (2, 2)),
        ({"min_decryption_version": 2}, (2, 2)),
        ({"min_decryption_version": 3, "min_encryption_version": 3}, (3, 3)),
        ({"min_encryption_version": 3}, (2, 3)),
    ],
)
async def test_what_somebody_else_forbids_stays_forbidden(
    vault: Vault, custodian: Opening, floors: dict[str, int], then: tuple[int, int]
) -> None:
    """Somebody else, or this very thing before it was cut off in its middle."""
    transit = custodian()
    for _ in range(3):
        await transit.make("ec-p256")
    vault.write("transit/keys/rolecall/config", **floors)

    await transit.discard("rolecall:v1")

    key = vault.read("transit/keys/rolecall")["data"]
    assert key["min_available_version"] == 2
    assert (key["min_decryption_version"], key["min_encryption_version"]) == then


async def test_nothing_is_destroyed_where_nothing_is(custodian: Opening) -> None:
    await custodian().discard("rolecall:v1")


def test_the_documented_policy_is_the_one_that_is_tried() -> None:
    page = Path(__file__).parents[3] / "docs/keys/vault-transit.md"
    written = page.read_text()

    for path, capabilities in POLICY.items():
        listed = json.dumps(capabilities.split())
        assert f'path "{path}" {{ capabilities = {listed} }}' in " ".join(written.split())


def test_it_is_vault_that_is_tried(server: Vault) -> None:
    assert server.read("sys/health")["version"].startswith("1.")
