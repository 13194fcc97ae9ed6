from datetime import timedelta
from pathlib import Path

import pytest

from agent.cli.granted_token import granted
from agent.errors import ConfigurationError
from agent.settings import Settings, load

UNIT = ("systemd.unit", "web@1.service")
CONFIGURATION = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[[grants]]
audiences = ["orders"]
unit = "web@*.service"
scopes = ["read", "write"]
claims = { unit = "${UNIT}" }
[[grants]]
audiences = ["orders"]
anyone = true
lifetime = "2m"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    written = tmp_path / "rolecall.toml"
    written.write_text(CONFIGURATION)
    return load(written, environ={}, host="web-1")


def test_a_caller_is_given_what_the_first_grant_says_that_means_it(settings: Settings) -> None:
    ours, others = (
        granted(settings, "orders", (), frozenset({UNIT})),
        granted(settings, "orders", (), frozenset({("unix.user", "alice")})),
    )
    assert ours is not None
    assert ours.as_claims() == {"scope": "read write", "unit": "web@1.service"}
    assert others is not None
    assert (others.as_claims(), others.lifetime) == ({}, timedelta(minutes=2))


def test_of_what_nobody_is_granted_there_is_nothing(settings: Settings) -> None:
    assert granted(settings, "vault", (), frozenset()) is None


def test_what_depends_on_who_asks_needs_somebody_who_does(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"grants#\d names \$\{UNIT\}"):
        granted(settings, "orders", (), frozenset())


@pytest.mark.parametrize(
    ("template", "facts", "hint"),
    [
        ("${UNIT}", frozenset(), "say as whom, as in: --unit backup.service"),
        ("${UID}", frozenset({UNIT}), "say as whom, as in: --user backup"),
        (
            "${UID}",
            frozenset({UNIT, ("unix.user", "no one")}),
            "there is no user 'no one' on this machine; name one that there is",
        ),
    ],
)
def test_what_has_to_be_said_of_a_caller_is_named(
    template: str, facts: frozenset[tuple[str, str]], hint: str, tmp_path: Path
) -> None:
    written = tmp_path / "rolecall.toml"
    written.write_text(CONFIGURATION.replace("${UNIT}", template))
    with pytest.raises(ConfigurationError) as caught:
        granted(load(written, environ={}, host="web-1"), "orders", (), facts)
    assert caught.value.hint == hint


def test_a_scope_that_is_not_granted_is_refused_with_those_that_are(settings: Settings) -> None:
    with pytest.raises(ConfigurationError) as caught:
        granted(settings, "orders", ("admin",), frozenset({UNIT}))
    assert caught.value.hint == "granted is: read, write"
