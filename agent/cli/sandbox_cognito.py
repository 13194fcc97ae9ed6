"""Which account does a configuration call for whose identity is a user of Amazon Cognito?"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.assembly.cognito import secret_in
from agent.cli.keys import credentials_directory
from agent.errors import ConfigurationError
from agent.infrastructure import Account, Trust
from agent.infrastructure import Role as Created
from agent.infrastructure.trust import policy_of
from agent.sandbox import Provider, Role, World, use_of_bucket
from agent.sandbox.pools import AppClient, Flow, IdentityPool, User, UserPool
from agent.settings import Cognito, IdentityPoolRole, Settings, StsRole

_FLOWS: Final[Mapping[str, Flow]] = {"srp": "ALLOW_USER_SRP_AUTH", "password": "ALLOW_USER_PASSWORD_AUTH"}
_PRINCIPAL: Final = "cognito-identity.amazonaws.com"


@dataclass(frozen=True, slots=True)
class SignInWorld:
    """The account, and a password that is in no file: somebody is to sign in with it; "" if there is none."""

    world: World
    password: str


def sign_in_world(settings: Settings, words: Cognito) -> SignInWorld:
    """The account with the user pool, its app client and the user, identity pools, and roles that trust them.

    Refresh tokens rotate there, as the strictest of app clients has it. Raises ConfigurationError where roles live in
    several accounts, and KeyUnavailable where a file with a secret cannot be read.
    """
    known = _secret(words.password_file, "password")
    drawn = "" if known else f"Sandbox-{secrets.token_urlsafe(9)}"
    user = User(words.user, known or drawn)
    client = AppClient(
        words.client_id, _secret(words.client_secret_file, "client secret"), (_FLOWS[words.flow],), rotation=True
    )
    pool = UserPool(words.user_pool, (client,), (user,))
    account = _account(settings)
    trust = Trust(pool.issuer, client.client_id, user.subject)
    world = World(account_id=account.number, partition=account.partition)
    roles, given = [], {}
    for name, role in settings.roles.items():
        match role:
            case StsRole():
                longest = Created.of(name, role.arn, role.duration).max_session
                roles.append(Role(role.arn, policy_of(trust, account), longest, (use_of_bucket(world),)))
            case IdentityPoolRole():
                policy = _trust_in_pool(role.identity_pool)
                roles.append(Role(role.arn, policy, policies=(use_of_bucket(world),)))
                given[role.identity_pool] = role.arn
            case _:
                continue
    pools = [
        IdentityPool(pool_id, ((pool.provider_name, client.client_id),), authenticated_role=arn)
        for pool_id, arn in given.items()
    ]
    named = [
        *(role.policy_arns for role in settings.token_roles.values()),
        *(one.policy_arns for one in settings.grants),
    ]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    made = World(
        account_id=account.number,
        partition=account.partition,
        providers=(Provider(pool.issuer, (client.client_id,)),),
        roles=tuple({role.arn: role for role in roles}.values()),
        objects={"hello.txt": b"Hello from the sandbox.\n"},
        managed_policies=dict.fromkeys(sorted({arn for arns in named for arn in arns}), everything),
        user_pools=(pool,),
        identity_pools=tuple(pools),
    )
    return SignInWorld(made, drawn)


def _account(settings: Settings) -> Account:
    """The one account of all roles. Raises ConfigurationError."""
    arns = [role.arn for role in settings.roles.values() if isinstance(role, StsRole | IdentityPoolRole)]
    accounts = {(arn.split(":")[1], arn.split(":")[4]) for arn in arns}
    if len(accounts) != 1:
        raise ConfigurationError(
            f"the roles live in {len(accounts)} accounts, and a sandbox is one account",
            hint="start one for each with: rolecall sandbox --world FILE",
        )
    return Account(*accounts.pop())


def _trust_in_pool(pool_id: str) -> Mapping[str, object]:
    condition = {
        "StringEquals": {f"{_PRINCIPAL}:aud": pool_id},
        "ForAnyValue:StringLike": {f"{_PRINCIPAL}:amr": "authenticated"},
    }
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": _PRINCIPAL},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _secret(path: Path | None, what: str) -> str | None:
    """What is in a file, so that the sandbox knows the same. Raises KeyUnavailable."""
    if path is None:
        return None
    return secret_in(path, credentials_directory(), what).reveal()
