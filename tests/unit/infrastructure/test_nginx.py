from datetime import timedelta
from pathlib import PurePath

import pytest

from agent.errors import ConfigurationError
from agent.infrastructure.hosting import Folder, Site
from agent.infrastructure.nginx import Tls, nginx

SITE = Site.of(["https://oidc.example.com"])


def folder(path: str) -> Folder:
    return Folder(PurePath(path), timedelta(minutes=5))


def test_each_document_of_each_issuer_has_its_exact_place() -> None:
    site = Site.of(["https://oidc.example.com/site-a", "https://oidc.example.com/b/"])
    text = nginx(site, {"site-a": folder("/srv/a"), "b": folder("/srv/b")})
    places = [line.split()[2] for line in text.splitlines() if line.strip().startswith("location = ")]
    assert places == [
        "/site-a/.well-known/openid-configuration",
        "/site-a/.well-known/jwks.json",
        "/b/.well-known/openid-configuration",
        "/b/.well-known/jwks.json",
    ]
    assert "alias /srv/b/.well-known/jwks.json;" in text
    assert text.count('add_header Cache-Control "public, max-age=300";') == 4


def test_certificate_and_key_are_where_they_are_said_to_be() -> None:
    text = nginx(SITE, {"": folder("/srv")}, tls=Tls(PurePath("/x/c.pem"), PurePath("/x/k.pem")))
    assert "ssl_certificate     /x/c.pem;\n    ssl_certificate_key /x/k.pem;" in text
    assert "ssl_certificate     /etc/ssl/oidc.example.com/fullchain.pem;" in nginx(SITE, {"": folder("/srv")})


@pytest.mark.parametrize(
    ("path", "written"),
    [("/srv/a b", '"/srv/a b'), ("/srv/a;b", '"/srv/a;b'), ('/srv/"', '"/srv/\\"'), ("/srv/a\\b", '"/srv/a\\\\b')],
)
def test_a_path_is_written_so_that_nginx_reads_just_that(path: str, written: str) -> None:
    assert f'alias {written}/.well-known/jwks.json";' in nginx(SITE, {"": folder(path)})


@pytest.mark.parametrize("path", ["/srv/$host", "/srv/a\nb"])
def test_a_path_that_nginx_cannot_write_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="nginx has no way") as refused:
        nginx(SITE, {"": folder(path)})
    assert refused.value.hint
