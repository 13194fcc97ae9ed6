from collections.abc import Callable

import pytest

from agent.settings import Settings
from agent.settings.doubts import warnings

Read = Callable[..., Settings]
SOURCE = 'source = "self_signed"'
TOKEN = 'token_file = "/etc/rolecall/tokens/backup"'
LISTEN = 'credentials = "127.0.0.1:9170"'
SECOND_ROLE = '\n[roles.web]\narn = "arn:aws:iam::123456789012:role/web"\n'


def test_a_plain_configuration_leaves_no_doubt(read: Read) -> None:
    assert warnings(read()) == []


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ((SOURCE, 'lifetime = "16m"'),
         "identity.lifetime: 16m is long; a token is used within seconds, and whoever steals it can use it as long"),
        ((SOURCE, "pin_roles = false"),
         "identity.pin_roles: is off; one stolen token opens every role that trusts its subject"),
        (("https://oidc", "https://OIDC"),
         'issuer.url: has capitals in its host name; AWS compares byte for byte, "oidc.example.com" is safer'),
        (("https://oidc.example.com", "https://localhost"),
         "issuer.url: AWS must be able to fetch documents from localhost, which is no public name"),
        (("", SECOND_ROLE), "roles.web: is granted to nobody; add [[grants]] with it, or take it out"),
        (('role/backup"', 'role/backup"\nduration = "15m"'),
         ("roles.backup.duration: 15m is short; callers will see credentials with less than 20 minutes left, "
          "for which some SDKs ask again at every request; 1h is usual")),
        ((TOKEN, "anyone = true"),
         "grants#1.anyone: every process that can connect to 127.0.0.1:9170 gets backup"),
        ((LISTEN, 'admin = "0.0.0.0:9171"'),
         ("listen.admin: 0.0.0.0:9171 is not a loopback address: other machines can read metrics and status there; "
          "it serves no secret, but names roles and callers")),
        ((LISTEN, 'credentials = "127.0.0.1:0"'),
         "listen.credentials: with port 0 the address is another one after each start"),
    ],
)  # fmt: skip
def test_what_is_probably_not_meant_is_said_once(change: tuple[str, str], doubt: str, read: Read) -> None:
    assert warnings(read(change)) == [doubt]


def test_sections_that_nobody_uses_are_said_to_be_so(read: Read) -> None:
    from_file = (SOURCE, 'source = "file"\nfile = "/var/run/token"')
    said = 'is not used, since identity.source is "file"'
    assert warnings(read(from_file)) == [f"issuer: {said}", f"key: {said}"]
    assert warnings(read(from_file, ("", '\n[publishing]\nto = "directory"\ndirectory = "site"\n'))) == []
