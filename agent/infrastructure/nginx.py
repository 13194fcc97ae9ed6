"""How does nginx show the issuer's documents?

One server for all issuers of a host, and in it a place for each document and for nothing else. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from agent.errors import ConfigurationError
from agent.infrastructure.hosting import Folder, Site, keys
from agent.infrastructure.literals import filled
from agent.publishing.discovery import MEDIA_TYPE

_SERVER: Final = """\
# The web site @HOST@, for nginx 1.13 or newer: put this file where nginx.conf includes sites from, see to the paths of
# certificate and key, and then: nginx -t && systemctl reload nginx
# The certificate file holds the whole chain, the server's own first; readers at AWS look for nothing that is missing.
server {
@LISTEN@
    server_name @HOST@;

    ssl_certificate     @CERTIFICATE@;
    ssl_certificate_key @KEY@;
    ssl_protocols       TLSv1.2 TLSv1.3;

    server_tokens off;
    autoindex     off;

    # Whatever is not named below is not here: no index, no redirect to a slash, nothing else that lies in the folder.
    location / {
        return 404;
    }
@PLACES@}
"""

_PLACE: Final = """\

    location = @URL@ {
        alias @FILE@;
        types { }
        default_type @TYPE@;
        add_header Cache-Control "public, max-age=@AGE@";
        limit_except GET {
            deny all;
        }
    }
"""


@dataclass(frozen=True, slots=True)
class Tls:
    """Where certificate chain and private key are, in PEM."""

    certificate: PurePath
    private_key: PurePath

    @classmethod
    def usual(cls, host: str) -> "Tls":
        """Where they are said to be as long as nobody says otherwise."""
        place = PurePath("/etc/ssl", host)
        return cls(place / "fullchain.pem", place / "privkey.pem")


def nginx(
    site: Site,
    folders: Mapping[str, Folder],
    *,
    tls: Tls | None = None,
    listen: Sequence[str] = ("443", "[::]:443"),
) -> str:
    """The text of a site for nginx.

    Args:
        site: the issuers of one host.
        folders: the folder of each issuer, by its path.
        tls: certificate and key; by default those of `Tls.usual`.
        listen: addresses and ports, as nginx writes them.

    Raises:
        ConfigurationError: a path of a file is one that nginx cannot say.
    """
    files = tls or Tls.usual(site.host)
    places = [
        filled(
            _PLACE,
            url=f"/{key}",
            file=_file(folders[path].path / document),
            type=MEDIA_TYPE,
            age=str(int(folders[path].max_age.total_seconds())),
        )
        for path in site.paths
        for key, document in zip(keys(path), keys(""), strict=True)
    ]
    return filled(
        _SERVER,
        host=site.host,
        listen="\n".join(f"    listen {address} ssl;" for address in listen),
        certificate=_file(files.certificate),
        key=_file(files.private_key),
        places="".join(places),
    )


def _file(path: PurePath) -> str:
    """A path as nginx reads it: it looks for variables in it even within quotes, and has no way to write a dollar."""
    text = str(path)
    if "$" in text or not text.isprintable():
        raise ConfigurationError(
            f"nginx has no way to write the path {text!r}", hint="choose a folder without a dollar sign in its path"
        )
    if text.replace("/", "").replace("-", "").replace(".", "").replace("_", "").isalnum() and text.isascii():
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
