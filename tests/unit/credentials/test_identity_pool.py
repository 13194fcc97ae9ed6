"""Credentials by way of an identity pool: served only if they are of the role that is configured."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from agent.clock import RemoteClock
from agent.credentials.identity_pool import Given, PooledIdentity, PooledRole
from agent.credentials.identity_pool.pool import IdentityGone
from agent.errors import ConfigurationError, CredentialsRefused, CredentialsUnavailable, SignInNeeded
from agent.secret import Secret
from agent.tokens import Token
from tests.fakes.clock import START, FakeClock

ARN = "arn:aws:iam::123456789012:role/some/path/backup"
SESSION = "arn:aws:sts::123456789012:assumed-role/backup/CognitoIdentityCredentials"


@dataclass
class Pool:
    lasts: timedelta = timedelta(hours=1)
    gone: int = 0
    asked: list[str] = field(default_factory=list)

    async def identity(self, token: Secret) -> str:
        self.asked.append(f"identity for {token.reveal()}")
        return f"identity-{len(self.asked)}"

    async def credentials(self, identity: str, token: Secret) -> Given:
        self.asked.append(f"{identity} for {token.reveal()}")
        if self.gone:
            self.gone -= 1
            raise IdentityGone
        return Given("ASIAEXAMPLEEXAMPLE12", Secret("canary-secret"), Secret("canary-session"), START + self.lasts)


@dataclass
class Tokens:
    failure: Exception | None = None
    given: int = 0

    async def token(self) -> Token:
        if self.failure is not None:
            raise self.failure
        self.given += 1
        return Token(Secret(f"token-{self.given}"), START + timedelta(minutes=5))


def source(pool: Pool, tokens: Tokens | None = None, *, session: str = SESSION) -> PooledIdentity:
    async def who_am_i(access_key_id: str, secret: Secret, session_token: Secret) -> str:
        assert (access_key_id, secret.reveal(), session_token.reveal()) == (
            "ASIAEXAMPLEEXAMPLE12",
            "canary-secret",
            "canary-session",
        )
        return session

    return PooledIdentity(pool, PooledRole(ARN, "roles.backup"), tokens or Tokens(), RemoteClock(FakeClock()), who_am_i)


async def test_what_the_pool_gives_is_the_roles() -> None:
    given = await source(Pool()).fetch()

    assert (given.role_arn, given.account_id) == (ARN, "123456789012")
    assert given.lifetime == timedelta(hours=1)
    assert given.secret_access_key.reveal() == "canary-secret"


async def test_the_identity_is_asked_for_once_and_a_token_each_time() -> None:
    pool = Pool()
    one = source(pool)
    await one.fetch()
    await one.fetch()

    assert pool.asked == ["identity for token-1", "identity-1 for token-1", "identity-1 for token-2"]


async def test_an_identity_that_somebody_deleted_is_asked_for_anew() -> None:
    pool = Pool(gone=1)

    await source(pool).fetch()

    assert pool.asked == [
        "identity for token-1",
        "identity-1 for token-1",
        "identity for token-1",
        "identity-3 for token-1",
    ]


@pytest.mark.parametrize(
    "session",
    [
        "arn:aws:sts::123456789012:assumed-role/another/CognitoIdentityCredentials",
        "arn:aws:sts::123456789012:assumed-role/backup2/CognitoIdentityCredentials",
        "arn:aws:sts::999999999999:assumed-role/backup/CognitoIdentityCredentials",
        "arn:aws-cn:sts::123456789012:assumed-role/backup/CognitoIdentityCredentials",
        "arn:aws:sts::123456789012:assumed-role/backup",
        "arn:aws:iam::123456789012:user/backup",
        "\x1b[31m",
        "",
    ],
)
async def test_credentials_of_another_role_are_not_served(session: str) -> None:
    with pytest.raises(CredentialsRefused) as caught:
        await source(Pool(), session=session).fetch()

    assert ARN in caught.value.what
    assert "roles.backup.arn" in caught.value.hint
    assert "canary" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.what.isprintable()


@pytest.mark.parametrize("lasts", [timedelta(0), timedelta(hours=-1), timedelta(hours=2)])
async def test_times_that_cannot_be_are_not_believed(lasts: timedelta) -> None:
    with pytest.raises(CredentialsUnavailable, match="cannot be"):
        await source(Pool(lasts)).fetch()


async def test_why_there_is_no_token_is_passed_on_as_it_is() -> None:
    failure = SignInNeeded("nobody has signed in", hint="sign in with: rolecall login")
    with pytest.raises(SignInNeeded) as caught:
        await source(Pool(), Tokens(failure)).fetch()
    assert caught.value is failure


def test_a_role_is_an_arn() -> None:
    with pytest.raises(ConfigurationError, match=r"roles\.backup\.arn"):
        PooledRole("backup", "roles.backup")
