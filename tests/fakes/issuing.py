"""A host that has an issuer, written down in a folder, and the world that reads it: for commands called in place."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.assembly.keys import make_key
from agent.sandbox import Sandbox, in_thread, practice_world

ISSUER = "https://oidc.example.com"
JWKS = ".well-known/jwks.json"


@dataclass
class Issuing:
    """The folder, with keys/ and site/ in it, and the sandbox through which the world sees the site."""

    home: Path
    sandbox: Sandbox
    key: str = ""
    publishing: str = ""
    more: str = ""
    roles: tuple[str, ...] = ("backup",)

    @property
    def config(self) -> Path:
        return self.home / "rolecall.toml"

    @property
    def ring(self) -> Path:
        return self.home / "keys" / "ring.json"

    def write(self) -> None:
        """Write the configuration as it is now."""
        key = self.key or f'custodian = "pem"\ndirectory = "{self.home}/keys"'
        publishing = self.publishing or f'to = "directory"\ndirectory = "{self.home}/site"'
        roles = "".join(f'[roles.{role}]\narn = "arn:aws:iam::123456789012:role/{role}"\n' for role in self.roles)
        self.config.write_text(f"""
[issuer]
url = "{ISSUER}"
proxy = "{self.sandbox.proxy_url}"
ca_bundle = "{self.sandbox.ca_file}"
[key]
{key}
[publishing]
{publishing}
[sts]
region = "eu-central-1"
endpoint_url = "{self.sandbox.endpoint_url}"
{roles}
[[grants]]
roles = {json.dumps(list(self.roles))}
anyone = true
{self.more}
""")

    def pems(self) -> list[str]:
        """The kids of the keys that are there, as files have them."""
        return sorted(path.stem for path in (self.home / "keys").glob("*.pem"))

    def shown(self) -> list[str]:
        """The kids on the site."""
        return [key["kid"] for key in json.loads((self.home / "site" / JWKS).read_text())["keys"]]


@contextmanager
def issuing(home: Path) -> Iterator[Issuing]:
    """With one key, nothing published yet, and everything well."""
    (home / "keys").mkdir(mode=0o700)
    (home / "site").mkdir()
    make_key(home / "keys", "ec-p256")
    with in_thread(Sandbox(practice_world(), sites={ISSUER: home / "site"}, public=True)) as sandbox:
        made = Issuing(home, sandbox)
        made.write()
        yield made
