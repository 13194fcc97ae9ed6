"""A user pool, an identity pool and roles that trust them, in a sandbox with a clock that is told the time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from agent.clients.cognito import CognitoEndpoint, cognito_client
from agent.clock import RemoteClock
from agent.events import Event
from agent.sandbox import Provider, Role, Sandbox, World
from agent.sandbox.cognito.issuing import PoolKeys, new_keys
from agent.sandbox.cognito.user_pools import UserPools
from agent.sandbox.pools import AppClient, IdentityPool, User, UserPool
from agent.secret import Secret
from agent.tokens.cognito.pool import UserPool as AskedPool
from agent.tokens.cognito.sign_in import Flow, SignIn
from agent.tokens.cognito.source import Account, CognitoTokens
from agent.tokens.cognito.state import StateFile
from tests.fakes.clock import FakeClock

POOL_ID = "eu-central-1_Ab129faBb"
CLIENT = "1h57kf5cpq17m0eml12EXAMPLE"
SECRET = "canary0client0secret0canary0client"
USER = "machine"
PASSWORD = "Canary-Pass-word-1 ä"
TOTP_SECRET = "JBSWY3DPEHPK3PXP"
IDENTITY_POOL = "eu-central-1:01234567-89ab-cdef-0123-456789abcdef"
ROLE_ARN = "arn:aws:iam::123456789012:role/backup"
POOLED_ARN = "arn:aws:iam::123456789012:role/by/pool"
ALL_FLOWS = ("ALLOW_USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH")
ISSUER = f"https://cognito-idp.eu-central-1.amazonaws.com/{POOL_ID}"


@cache
def pool_keys() -> PoolKeys:
    """Keys take long to be made, and none of these tests is about them."""
    return new_keys(Random(1))


def a_client(**changes: Any) -> AppClient:
    return AppClient(**{"client_id": CLIENT, **changes})


def a_user(**changes: Any) -> User:
    return User(**{"name": USER, "password": PASSWORD, **changes})


def a_pool(*, client: AppClient | None = None, user: User | None = None, **changes: Any) -> UserPool:
    whole = {"pool_id": POOL_ID, "clients": (client or a_client(),), "users": (user or a_user(),), **changes}
    return UserPool(**whole)


def trust_in_users(pool: UserPool) -> Mapping[str, object]:
    name = pool.provider_name
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{name}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{name}:aud": [one.client_id for one in pool.clients]}},
            }
        ],
    }


def trust_in_pool(pool_id: str = IDENTITY_POOL, amr: str = "authenticated") -> Mapping[str, object]:
    principal = "cognito-identity.amazonaws.com"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": principal},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {f"{principal}:aud": pool_id},
                    "ForAnyValue:StringLike": {f"{principal}:amr": amr},
                },
            }
        ],
    }


def a_world(pool: UserPool | None = None, **changes: Any) -> World:
    """A user pool that is an OIDC provider of the account, and an identity pool, each with its role."""
    pool = pool or a_pool()
    clients = tuple((pool.provider_name, one.client_id) for one in pool.clients)
    whole = {
        "providers": (Provider(pool.issuer, tuple(one.client_id for one in pool.clients)),),
        "roles": (Role(ROLE_ARN, trust_in_users(pool)), Role(POOLED_ARN, trust_in_pool())),
        "user_pools": (pool,),
        "identity_pools": (IdentityPool(IDENTITY_POOL, clients, authenticated_role=POOLED_ARN),),
        **changes,
    }
    return World(**whole)


def with_client(world: World, **changes: Any) -> World:
    """The same world, its app client changed."""
    pool = world.user_pools[0]
    return replace(world, user_pools=(replace(pool, clients=(replace(pool.clients[0], **changes),)),))


def with_user(world: World, **changes: Any) -> World:
    """The same world, its user changed."""
    pool = world.user_pools[0]
    return replace(world, user_pools=(replace(pool, users=(replace(pool.users[0], **changes),)),))


@asynccontextmanager
async def sandbox_of(world: World, clock: FakeClock, **options: Any) -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(world, clock=clock, rng=Random(7), **options)
    for pool in world.user_pools:
        users_of(sandbox)._keys[pool.pool_id] = pool_keys()
    async with sandbox:
        yield sandbox


def users_of(sandbox: Sandbox) -> UserPools:
    """The mutable side of its user pools."""
    return sandbox._cognito.users


def asked_of(sandbox: Sandbox) -> list[str]:
    """What was asked of it, in order: operations, with the error where there was one."""
    return [one.action if one.code == "Success" else f"{one.action}: {one.code}" for one in sandbox.requests]


@dataclass
class Agent:
    """The agent's side: a source of tokens that signs in to the sandbox, and what it tells."""

    sandbox: Sandbox
    clock: FakeClock
    aws_time: RemoteClock
    source: CognitoTokens
    state: StateFile
    events: list[Event]
    password_file: Path
    flow: Flow = "srp"

    @property
    def asked(self) -> list[str]:
        return asked_of(self.sandbox)

    def kinds(self) -> list[str]:
        """The events, without those about the clock."""
        return [type(one).__name__ for one in self.events if type(one).__name__ != "ClockMeasured"]


@asynccontextmanager
async def agent_of(
    sandbox: Sandbox,
    home: Path,
    clock: FakeClock,
    *,
    flow: Flow = "srp",
    user: str = USER,
    secret: str | None = None,
) -> AsyncIterator[Agent]:
    """An agent of this user; `home` has the state, and the password unless there is none there."""
    password_file, events = home / "password", list[Event]()
    aws_time = RemoteClock(clock)

    async def password() -> Secret | None:
        return Secret(password_file.read_text()) if password_file.exists() else None

    async def client_secret() -> Secret | None:
        return None if secret is None else Secret(secret)

    state = StateFile(home / "cognito.json", clock)
    account = Account(POOL_ID, CLIENT, user, flow, password, client_secret, (password_file,))
    endpoint = CognitoEndpoint("eu-central-1", sandbox.endpoint_url)
    async with cognito_client("cognito-idp", endpoint) as client:
        pool = AskedPool(client, aws_time, events.append, patience=timedelta(seconds=20))
        sign_in = SignIn(pool, aws_time, Random(3).randbytes)
        source = CognitoTokens(account, sign_in, state, aws_time, report=events.append)
        yield Agent(sandbox, clock, aws_time, source, state, events, password_file, flow)
