"""How is the URL of an issuer written?"""

import re
from typing import Final
from urllib.parse import urlsplit

from agent.settings.mistakes import Wrong, shown
from agent.settings.section import Surroundings

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_URL_EXAMPLE: Final = 'as in "https://oidc.example.com"'


def issuer_url(value: str, _: Surroundings) -> str:
    """Keep it byte for byte: AWS compares it so, the slash at its end included. Raises Wrong."""
    if not value.startswith("https://"):
        raise Wrong(f"{shown(value)} does not begin with https://, which AWS requires; write it {_URL_EXAMPLE}")
    if len(value) > 255:
        raise Wrong(f"is {len(value)} characters long; AWS takes at most 255")
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        raise Wrong("has blanks or characters that a URL cannot have; write it " + _URL_EXAMPLE)
    try:
        parts = urlsplit(value)
    except ValueError:
        raise Wrong("is not a URL; write it " + _URL_EXAMPLE) from None
    if "@" in parts.netloc:
        raise Wrong("has a user name or password in it; the issuer's documents are public, so leave that out")
    if "?" in value or "#" in value:
        raise Wrong(f"{shown(value)} has a query or a fragment, which AWS does not take; leave out what follows")
    if ":" in parts.netloc:
        raise Wrong(f"{shown(value)} names a port; AWS takes only the usual one, 443, so leave it out")
    if not _HOST.fullmatch(parts.netloc):
        raise Wrong(f"{shown(value)} has no proper host name; write it {_URL_EXAMPLE}")
    if "/.well-known" in parts.path:
        raise Wrong(f"{shown(value)} is a document's address; write only what stands before /.well-known")
    return value
