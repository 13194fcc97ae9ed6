import re
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.first_configuration import Answers, checked, text
from agent.errors import ConfigurationError
from agent.settings import Directory, Https, Pem, SelfSigned, load

BACKUP = {"backup": "arn:aws:iam::123456789012:role/backup"}
ANSWERS = Answers("https://oidc.example.com", "eu-central-1", BACKUP, Path("/etc/rolecall"))


def test_it_is_read_as_what_was_answered() -> None:
    roles = BACKUP | {"web.v2": "arn:aws:iam::210987654321:role/site/web"}
    settings = checked(replace(ANSWERS, roles=roles, issuer="https://oidc.example.com/a/", subject="host:${HOST}/x"))
    assert settings.issuer is not None
    assert settings.issuer.url == "https://oidc.example.com/a/"
    assert isinstance(settings.identity, SelfSigned)
    assert settings.identity.subject == f"host:{socket.gethostname()}/x"
    assert settings.identity.audience == "sts.amazonaws.com"
    assert settings.sts.region == "eu-central-1"
    assert {name: role.arn for name, role in settings.token_roles.items()} == roles
    assert [(grant.roles, grant.anyone) for grant in settings.grants] == [(("backup",), False), (("web.v2",), False)]
    assert [[str(file) for file in grant.token_file] for grant in settings.grants] == [
        ["/etc/rolecall/tokens/backup"],
        ["/etc/rolecall/tokens/web.v2"],
    ]
    assert isinstance(settings.publishing, Directory)
    assert settings.publishing.directory == Path("/etc/rolecall/site")
    assert isinstance(settings.key, Pem)
    assert settings.key.directory == Path("/etc/rolecall/keys")


def test_what_the_agent_writes_is_where_it_may_write() -> None:
    settings = checked(replace(ANSWERS, service=True, state=Path("/var/lib/rolecall")))
    assert isinstance(settings.key, Pem)
    assert isinstance(settings.publishing, Directory)
    assert settings.key.directory == Path("/var/lib/rolecall/keys")
    assert settings.publishing.directory == Path("/var/lib/rolecall/site")
    assert [str(file) for grant in settings.grants for file in grant.token_file] == ["/etc/rolecall/tokens/backup"]


def test_keys_follow_one_another_and_where_each_stands_is_written_beside_them() -> None:
    found = checked(ANSWERS).rotation
    assert found is not None
    assert (found.automatic, found.state) == (True, Path("/etc/rolecall/keys"))
    assert 'state = "/etc/rolecall/keys"' in text(ANSWERS)  # so that it stays there when [key] says another place


@pytest.mark.parametrize(("service", "key"), [(False, "/k.pem"), (True, "/run/credentials/rolecall.service/tls-key")])
def test_the_key_of_our_own_listener_is_a_file_or_what_systemd_hands_over(key: str, *, service: bool) -> None:
    words = {"to": "https", "certificate": "/c.pem", "private_key": "/k.pem"}
    place = checked(replace(ANSWERS, service=service, publishing=words)).publishing
    assert isinstance(place, Https)
    assert (place.certificate, place.private_key) == (Path("/c.pem"), Path(key))


def test_durations_that_are_shown_are_the_defaults(tmp_path: Path) -> None:
    said, count = re.subn(r'^#(\w+ = "\d+[dhm]")', r"\1", text(ANSWERS), flags=re.MULTILINE)
    assert count == 4
    (tmp_path / "rolecall.toml").write_text(said)
    settings, usual = load(tmp_path / "rolecall.toml", environ={}, host=socket.gethostname()), checked(ANSWERS)
    assert settings.rotation is not None
    assert usual.rotation is not None
    assert settings.rotation.model_dump() == usual.rotation.model_dump()
    assert settings.token_roles["backup"].duration == usual.token_roles["backup"].duration == timedelta(hours=1)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=30))
def test_any_subject_that_settings_take_is_written_so_that_they_read_it_back(subject: str) -> None:
    answers = replace(ANSWERS, subject=subject.replace("$", "$$"))
    if subject.isprintable() and subject == subject.strip() and len(subject.encode()) <= 127:
        identity = checked(answers).identity
        assert isinstance(identity, SelfSigned)
        assert identity.subject == subject
    else:
        with pytest.raises(ConfigurationError, match=r"identity\.subject"):
            checked(answers)


@pytest.mark.parametrize("directory", ['/srv/a "quoted" place', "/srv/back\\slash", "/srv/ünïcode", "/srv/#no/comment"])
def test_any_directory_with_a_printable_name_will_do(directory: str) -> None:
    settings = checked(replace(ANSWERS, directory=Path(directory)))
    assert isinstance(settings.key, Pem)
    assert settings.key.directory == Path(directory, "keys")


@pytest.mark.parametrize("directory", ["/srv/line\nbreak", "/srv/\udcff", "/srv/\x7f"])
def test_a_directory_that_cannot_be_written_down_is_refused(directory: str) -> None:
    for answers in (replace(ANSWERS, directory=Path(directory)), replace(ANSWERS, state=Path(directory))):
        with pytest.raises(ConfigurationError, match="characters that cannot be printed"):
            checked(answers)


def test_what_no_encoding_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is not text"):
        checked(replace(ANSWERS, subject="host:\udcff"))


def test_all_mistakes_are_told_at_once_and_none_names_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError) as refused:
        checked(replace(ANSWERS, issuer="http://x", region="mars", roles={"web": "nonsense"}))
    assert [line.split(":")[0] for line in refused.value.what.splitlines()] == [
        "issuer.url",
        "sts.region",
        "roles.web.arn",
    ]
    assert "rolecall.toml" not in refused.value.what + refused.value.hint
