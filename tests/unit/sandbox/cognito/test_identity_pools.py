from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest

from agent.sandbox import PracticeIssuer, Provider, Role, World
from agent.sandbox.pools import IdentityPool
from tests.fakes.cognito import (
    CLIENT,
    IDENTITY_POOL,
    ISSUER,
    POOLED_ARN,
    a_client,
    a_pool,
    a_world,
    pool_keys,
    trust_in_pool,
)
from tests.unit.sandbox.cognito.counter import Counter, with_all_flows
from tests.unit.sandbox.scene import rsa_key

PROVIDER = ISSUER.removeprefix("https://")
HOUR = timedelta(hours=1)


def with_pool(world: World | None = None, **changes: Any) -> World:
    world = world or with_all_flows()
    return replace(world, identity_pools=(replace(world.identity_pools[0], **changes),))


async def identity(counter: Counter, logins: dict[str, str] | None) -> dict[str, Any]:
    return await counter.ask("GetId", IdentityPoolId=IDENTITY_POOL, Logins=logins)


async def keys(counter: Counter, logins: dict[str, str] | None, **more: object) -> dict[str, Any]:
    found = await identity(counter, logins)
    if "error" in found:
        return found
    return await counter.ask("GetCredentialsForIdentity", IdentityId=found["IdentityId"], Logins=logins, **more)


async def logins(counter: Counter) -> dict[str, str]:
    return {PROVIDER: (await counter.tokens())["IdToken"]}


async def test_a_login_has_one_identity_and_its_credentials_are_the_roles() -> None:
    counter = Counter()
    shown = await logins(counter)
    first, second = await identity(counter, shown), await identity(counter, await logins(counter))
    given = (await keys(counter, shown))["Credentials"]

    assert first == second
    assert first["IdentityId"].startswith("eu-central-1:")
    issued = counter.cloud.register.find(given["AccessKeyId"])
    assert issued is not None
    assert issued.role_arn == POOLED_ARN
    assert issued.arn == "arn:aws:sts::123456789012:assumed-role/pool/CognitoIdentityCredentials"
    assert issued.secret_access_key.reveal() == given["SecretKey"]
    assert given["Expiration"] == (counter.clock.now() + HOUR).timestamp()


async def refusal(counter: Counter, shown: dict[str, str] | None) -> str:
    answer = await identity(counter, shown)
    assert answer["error"][0] == "NotAuthorizedException"
    text: str = answer["error"][1]
    return text


async def test_an_access_token_is_no_login() -> None:
    counter = Counter()
    assert "Not a valid OpenId" in await refusal(counter, {PROVIDER: (await counter.tokens())["AccessToken"]})


async def test_a_token_is_verified_as_sts_verifies_it() -> None:
    counter = Counter()
    token = (await counter.tokens())["IdToken"]
    claims = jwt.decode(token, options={"verify_signature": False})

    def forged(key: Any, algorithm: str = "RS256", **changes: object) -> dict[str, str]:
        kid = {"kid": pool_keys().of_id_tokens.kid}
        return {PROVIDER: jwt.encode(claims | changes, key, algorithm, headers=kid)}

    ours = pool_keys().of_id_tokens.key
    assert "could not be validated" in await refusal(counter, forged(rsa_key()))
    assert "not a valid JWT" in await refusal(counter, forged("", "none"))
    assert "not a valid JWT" in await refusal(counter, forged("x" * 40, "HS256"))
    assert "Incorrect token audience" in await refusal(counter, forged(ours, aud="another"))
    assert "Issuer doesn't match" in await refusal(counter, forged(ours, iss="https://other.example.com"))
    assert await identity(counter, forged(ours))  # so it was not the forging
    await counter.clock.advance(2 * HOUR)
    assert "Invalid login token. Token expired" in await refusal(counter, {PROVIDER: token})


async def test_a_login_is_of_a_provider_that_the_pool_takes() -> None:
    counter = Counter(with_pool(clients=()))
    assert "not from a supported provider" in await refusal(counter, await logins(counter))
    other = Counter(with_pool(clients=((PROVIDER, "another"),)))
    assert "Incorrect token audience" in await refusal(other, await logins(other))


async def test_another_issuers_token_is_taken_by_that_issuers_keys() -> None:
    issuer = PracticeIssuer("https://oidc.example.com/a", rsa_key())
    world = with_all_flows()
    world = replace(world, providers=(*world.providers, Provider(issuer.url)))
    counter = Counter(with_pool(world, openid_providers=(issuer.url,)))
    counter.sites.documents = {
        "https://oidc.example.com/a/.well-known/openid-configuration": issuer.discovery,
        "https://oidc.example.com/a/keys.json": {"keys": [issuer.jwk]},
    }
    shown = {"oidc.example.com/a": issuer.sign(issuer.claims(counter.clock.now()))}

    assert "Credentials" in await keys(counter, shown)
    counter.sites.documents = {}
    assert "retrieve verification key" in await refusal(counter, shown)


async def test_guests_are_let_in_where_the_pool_says_so() -> None:
    assert "not supported" in await refusal(Counter(), None)

    guest = "arn:aws:iam::123456789012:role/guest"
    world = with_all_flows()
    world = replace(world, roles=(*world.roles, Role(guest, trust_in_pool(amr="unauthenticated"))))
    counter = Counter(with_pool(world, allow_unauthenticated=True, unauthenticated_role=guest))
    assert (await identity(counter, None)) != (await identity(counter, None))
    given = (await keys(counter, None))["Credentials"]
    issued = counter.cloud.register.find(given["AccessKeyId"])
    assert issued is not None
    assert issued.role_arn == guest


@pytest.mark.parametrize(
    "changes",
    [
        {"authenticated_role": None},
        {"authenticated_role": "arn:aws:iam::123456789012:role/gone"},
        {"authenticated_role": "arn:aws:iam::123456789012:role/backup"},  # trusts the user pool, not the identity pool
    ],
)
async def test_a_role_is_given_that_is_there_and_trusts_the_pool(changes: dict[str, Any]) -> None:
    counter = Counter(with_pool(**changes))
    answer = await keys(counter, await logins(counter))
    assert answer["error"][0] == "InvalidIdentityPoolConfigurationException"


async def test_an_identity_is_of_its_own_login() -> None:
    client = a_client(client_id="second", flows=("ALLOW_USER_PASSWORD_AUTH",))
    counter = Counter()
    found = await identity(counter, await logins(counter))
    del client
    answer = await counter.ask("GetCredentialsForIdentity", IdentityId=found["IdentityId"])
    assert answer["error"][0] == "NotAuthorizedException"
    unknown = "eu-central-1:00000000-0000-0000-0000-000000000000"
    answer = await counter.ask("GetCredentialsForIdentity", IdentityId=unknown)
    assert answer["error"] == ("ResourceNotFoundException", f"Identity '{unknown}' not found.")


async def test_a_pool_that_is_not_there_is_said() -> None:
    answer = await Counter().ask("GetId", IdentityPoolId="eu-central-1:00000000-0000-0000-0000-000000000000")
    assert answer["error"][0] == "ResourceNotFoundException"


async def test_a_role_that_the_login_does_not_carry_is_not_given() -> None:
    counter = Counter()
    answer = await keys(counter, await logins(counter), CustomRoleArn=POOLED_ARN)
    assert answer["error"][0] == "NotAuthorizedException"


async def test_the_classic_flow_gives_a_token_of_the_pool_where_it_is_enabled() -> None:
    counter = Counter()
    shown = await logins(counter)
    found = await identity(counter, shown)
    refused = await counter.ask("GetOpenIdToken", IdentityId=found["IdentityId"], Logins=shown)
    assert refused["error"][0] == "InvalidParameterException"

    counter = Counter(with_pool(allow_classic=True))
    shown = await logins(counter)
    found = await identity(counter, shown)
    given = await counter.ask("GetOpenIdToken", IdentityId=found["IdentityId"], Logins=shown)
    identities = counter.room._identities
    assert identities is not None
    claims = jwt.decode(
        given["Token"],
        identities.key.key.public_key(),
        ["RS256"],
        audience=IDENTITY_POOL,
        issuer="https://cognito-identity.amazonaws.com",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["sub"] == found["IdentityId"]
    assert claims["amr"][:2] == ["authenticated", PROVIDER]
    assert claims["exp"] - claims["iat"] == 600


def test_the_world_of_these_tests_is_what_they_say() -> None:
    world = a_world()
    assert world.identity_pools == (
        IdentityPool(IDENTITY_POOL, ((a_pool().provider_name, CLIENT),), authenticated_role=POOLED_ARN),
    )
