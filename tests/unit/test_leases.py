"""Are credentials and tokens told of in the same way, each in words of its own?"""

from datetime import UTC, datetime, timedelta

import pytest

from agent.credentials import Credentials
from agent.errors import CallerDenied, KeyUnavailable
from agent.events import (
    CredentialsVended,
    RenewalFailed,
    SessionRenewed,
    TokenDenied,
    TokenRenewalFailed,
    TokenRenewed,
    TokenVended,
    VendingDenied,
)
from agent.leases import CREDENTIALS, TOKENS, Kind, Lease
from agent.secret import Secret
from agent.tokens import IssuedToken

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
SOMEBODY = frozenset({("unix.uid", "1000")})
LOCKED, DENIED = KeyUnavailable("locked", hint="unlock it"), CallerDenied("no", hint="ask")
SET = Credentials("ASIAEXAMPLE000000001", Secret("s"), Secret("t"), NOON, NOON + HOUR, "arn", "123456789012")
TOKEN = IssuedToken(Secret("jwt"), "jti-1", "vault", "read", NOON, NOON + HOUR)


@pytest.mark.parametrize(("lease", "called"), [(SET, "ASIAEXAMPLE000000001"), (TOKEN, "jti-1")])
def test_what_is_held_is_good_from_one_instant_to_another_and_has_a_public_name(lease: Lease, called: str) -> None:
    assert (lease.id, lease.obtained_at, lease.expires_at, lease.lifetime) == (called, NOON, NOON + HOUR, HOUR)


@pytest.mark.parametrize(
    ("kind", "renewed", "failed", "vended", "denied"),
    [
        (
            CREDENTIALS,
            SessionRenewed("web", "id", NOON, SECOND, HOUR, "for a"),
            RenewalFailed("web", LOCKED, 2, SECOND, HOUR, NOON, "for a"),
            CredentialsVended("web", "caller", "id", NOON, SOMEBODY),
            VendingDenied("web", "caller", "not_granted", DENIED, SOMEBODY),
        ),
        (
            TOKENS,
            TokenRenewed("web", "id", NOON, SECOND, HOUR, "for a"),
            TokenRenewalFailed("web", LOCKED, 2, SECOND, HOUR, NOON, "for a"),
            TokenVended("web", "caller", "id", NOON, SOMEBODY),
            TokenDenied("web", "caller", "not_granted", DENIED, SOMEBODY),
        ),
    ],
)
def test_each_kind_makes_the_facts_of_its_own(
    kind: Kind, renewed: object, failed: object, vended: object, denied: object
) -> None:
    assert kind.renewed("web", "id", NOON, SECOND, HOUR, "for a") == renewed
    assert kind.failed("web", LOCKED, 2, SECOND, HOUR, NOON, "for a") == failed
    assert kind.vended("web", "caller", "id", NOON, SOMEBODY) == vended
    assert kind.denied("web", "caller", "not_granted", DENIED, SOMEBODY) == denied


def test_what_is_held_is_called_by_what_it_is_named_by() -> None:
    assert CREDENTIALS.of("backup") == "credentials of role backup"
    assert TOKENS.of("vault") == "tokens of audience vault"
    assert (CREDENTIALS.path, TOKENS.path) == ("/v1/credentials/ROLE", "/v1/token?aud=AUDIENCE")
