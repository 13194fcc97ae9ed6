from collections.abc import Callable
from pathlib import Path

import pytest

from agent.settings import OAuth2, Settings
from agent.settings.tokens import signs

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

SOURCE = 'source = "self_signed"'
HERE = 'source = "oauth2"\nissuer = "https://login.example.com/"\nclient_id = "us"\n'
SECRET = 'client_secret_file = "/etc/rolecall/secret"\n'


def oauth2(read: Read, words: str, **about: str) -> OAuth2:
    identity = read((SOURCE, HERE + words), **about).identity
    assert isinstance(identity, OAuth2)
    return identity


def test_an_issuer_and_a_secret_are_all_there_has_to_be(read: Read) -> None:
    words = oauth2(read, SECRET)

    assert (words.issuer, words.client_id) == ("https://login.example.com/", "us")
    assert words.secret_paths == {"client_secret_file": Path("/etc/rolecall/secret")}
    assert (words.token, words.assertion_audience, words.resource) == ("access_token", "issuer", ())
    assert not words.signs


def test_a_client_id_may_name_the_host(read: Read) -> None:
    words = read((SOURCE, HERE.replace('"us"', '"us-${HOST}"') + SECRET), host="db-7").identity

    assert isinstance(words, OAuth2)
    assert words.client_id == "us-db-7"


def test_a_certificate_names_its_key_as_a_secret(read: Read, tmp_path: Path) -> None:
    words = oauth2(
        read, 'client_authentication = "tls"\nclient_certificate = "client.pem"\nclient_key = "/etc/rolecall/key"'
    )

    assert words.client_certificate == tmp_path / "client.pem"
    assert words.secret_paths == {"client_key": Path("/etc/rolecall/key")}


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        ("", True),
        (HERE + SECRET, False),
        (HERE + 'client_authentication = "private_key_jwt"', True),
        ('source = "file"\nfile = "/var/run/token"', False),
    ],
)
def test_our_key_signs_tokens_and_what_shows_who_we_are(read: Read, words: str, ours: bool) -> None:  # noqa: FBT001 - a row
    assert signs(read((SOURCE, words or SOURCE)).identity) is ours


def test_where_our_key_shows_who_we_are_keys_follow_one_another(read: Read) -> None:
    published = ("", '\n[publishing]\nto = "directory"\ndirectory = "site"\n')

    by_key = read((SOURCE, HERE + 'client_authentication = "private_key_jwt"'), published)
    by_secret = read((SOURCE, HERE + SECRET), published)

    assert by_key.rotation is not None
    assert by_secret.rotation is None


@pytest.mark.parametrize("scope", ["openid", "a b c", "https://api.example.com/.default", "a!#[]~"])
def test_a_scope_is_kept_as_it_is_written(read: Read, scope: str) -> None:
    assert oauth2(read, f'{SECRET}scope = "{scope}"').scope == scope


@pytest.mark.parametrize("scope", ["", " ", "a  b", " a", "a ", "a\\tb", 'a\\"b', "ä", "a\\\\b"])
def test_a_scope_that_no_provider_takes_is_refused(mistakes: Mistakes, scope: str) -> None:
    told = mistakes((SOURCE, f'{HERE}{SECRET}scope = "{scope}"'))

    assert len(told) == 1
    assert told[0].startswith("identity.scope: ")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('"urn:one"', ("urn:one",)),
        ('["https://a.example.com/x?y=z", "urn:two"]', ("https://a.example.com/x?y=z", "urn:two")),
    ],
)
def test_resources_are_one_or_several(read: Read, written: str, kept: tuple[str, ...]) -> None:
    assert oauth2(read, f"{SECRET}resource = {written}").resource == kept


@pytest.mark.parametrize("resource", ["https://a.example.com/#x", "/path", "//a.example.com", "a b", ""])
def test_a_resource_is_an_absolute_uri_without_a_fragment(mistakes: Mistakes, resource: str) -> None:
    told = mistakes((SOURCE, f'{HERE}{SECRET}resource = ["{resource}"]'))

    assert [line.partition(":")[0] for line in told] == ["identity.resource#1"]


@pytest.mark.parametrize(
    "url",
    ["http://login.example.com/token", "https://u:p@login.example.com/", "https://", "https://a.example.com/?a=b"],
)
def test_a_token_endpoint_is_reached_over_tls_alone(mistakes: Mistakes, url: str) -> None:
    told = mistakes((SOURCE, f'{HERE}{SECRET}token_endpoint = "{url}"'))

    assert len(told) == 1
    assert told[0].startswith("identity.token_endpoint: ")
    assert "u:p" not in told[0]


def test_a_token_endpoint_may_have_a_port(read: Read) -> None:
    url = "https://login.example.com:8443/token"

    assert oauth2(read, f'{SECRET}token_endpoint = "{url}"').token_endpoint == url
