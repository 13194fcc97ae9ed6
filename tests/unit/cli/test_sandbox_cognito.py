"""The account that a configuration with Cognito calls for."""

from pathlib import Path

import pytest

from agent.cli.sandbox_cognito import sign_in_world
from agent.errors import ConfigurationError, KeyUnavailable
from agent.settings import Cognito, Settings, load
from tests.fakes.cognito import CLIENT, IDENTITY_POOL, ISSUER, POOL_ID, USER

ROLES = f"""
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
duration = "12h"
policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
[roles.pooled]
source = "identity_pool"
arn = "arn:aws:iam::123456789012:role/pooled"
identity_pool = "{IDENTITY_POOL}"
"""


def settings_of(home: Path, *identity: str, roles: str = ROLES) -> tuple[Settings, Cognito]:
    path = home / "rolecall.toml"
    lines = "\n".join(identity)
    path.write_text(
        f'[identity]\nsource = "cognito"\nregion = "eu-central-1"\nuser_pool = "{POOL_ID}"\n'
        f'client_id = "{CLIENT}"\nuser = "{USER}"\n{lines}\n[sts]\nregion = "eu-central-1"\n{roles}'
    )
    settings = load(path, environ={}, host="web-1")
    assert isinstance(settings.identity, Cognito)
    return settings, settings.identity


def private(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return str(path)


def test_the_pool_the_user_and_the_roles_are_those_of_the_configuration(tmp_path: Path) -> None:
    password, secret = private(tmp_path / "p", "known"), private(tmp_path / "s", "s" * 30)
    made = sign_in_world(*settings_of(tmp_path, f'password_file = "{password}"', f'client_secret_file = "{secret}"'))

    world = made.world
    assert made.password == ""
    (pool,) = world.user_pools
    (client,), (user,) = pool.clients, pool.users
    assert (pool.issuer, client.client_id, client.secret, user.name, user.password) == (
        ISSUER,
        CLIENT,
        "s" * 30,
        USER,
        "known",
    )
    assert client.rotation
    assert client.flows == ("ALLOW_USER_SRP_AUTH",)
    assert world.identity_pools[0].authenticated_role == "arn:aws:iam::123456789012:role/pooled"
    assert world.providers[0].client_ids == (CLIENT,)
    by_arn = {role.name: role for role in world.roles}
    assert user.subject in str(by_arn["backup"].trust_policy)
    assert IDENTITY_POOL in str(by_arn["pooled"].trust_policy)
    assert by_arn["backup"].max_session.total_seconds() == 43_200
    assert "arn:aws:iam::aws:policy/ReadOnlyAccess" in world.managed_policies


def test_without_a_file_a_password_is_drawn_and_told(tmp_path: Path) -> None:
    first, second = (sign_in_world(*settings_of(tmp_path, 'flow = "password"')) for _ in range(2))
    assert first.password == first.world.user_pools[0].users[0].password
    assert first.password != second.password
    assert first.world.user_pools[0].clients[0].flows == ("ALLOW_USER_PASSWORD_AUTH",)


def test_roles_are_in_one_account(tmp_path: Path) -> None:
    roles = ROLES.replace("123456789012:role/pooled", "999999999999:role/pooled")
    with pytest.raises(ConfigurationError, match="2 accounts"):
        sign_in_world(*settings_of(tmp_path, roles=roles))


def test_a_password_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match="password"):
        sign_in_world(*settings_of(tmp_path, f'password_file = "{tmp_path}/gone"'))
