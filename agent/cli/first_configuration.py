"""What does a first configuration say, and is it sound?"""

import difflib
import json
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import ConfigurationError
from agent.settings import Settings, load
from agent.settings.spelling import UNIT_CREDENTIALS

SUBJECT: Final = "host:${HOST}"
AUDIENCE: Final = "sts.amazonaws.com"
#: What systemd/rolecall.service calls the private key.
KEY_CREDENTIAL: Final = "signing-key"


@dataclass(frozen=True, slots=True)
class Answers:
    """What the operator was asked. `roles` are ARNs by name; `directory` is where everything goes, absolute.

    With `service`, the private key is one file that systemd hands to the unit, and the agent has a user of its own.
    """

    issuer: str
    region: str
    roles: Mapping[str, str]
    directory: Path
    subject: str = SUBJECT
    audience: str = AUDIENCE
    service: bool = False

    @property
    def key_file(self) -> Path:
        """The private key of a service: what LoadCredential= in systemd/rolecall.service names."""
        return self.directory / "signing-key.pem"

    @property
    def keys(self) -> Path:
        """Where private keys are, if there is no service."""
        return self.directory / "keys"

    @property
    def site(self) -> Path:
        """What is to be served at the issuer's URL."""
        return self.directory / "site"

    def token_file(self, role: str) -> Path:
        """What a caller shows to get a role."""
        return self.directory / "tokens" / role


def text(answers: Answers) -> str:
    """The configuration, as TOML with comments."""
    return "".join([_tables(answers), *(_role(answers, name, arn) for name, arn in answers.roles.items()), _REST])


def checked(answers: Answers) -> Settings:
    """Read the configuration before it is written anywhere. Raises ConfigurationError with every mistake in it."""
    if not str(answers.directory).isprintable():
        raise ConfigurationError("the directory's name has characters that cannot be printed", hint="choose another")
    with tempfile.TemporaryDirectory() as made:
        path = Path(made, "rolecall.toml")
        try:
            path.write_text(text(answers), "utf-8")
            environ = {"CREDENTIALS_DIRECTORY": UNIT_CREDENTIALS} if answers.service else {}
            return load(path, environ=environ, host=socket.gethostname())
        except UnicodeEncodeError as error:
            raise ConfigurationError("what was given is not text", hint="see to the terminal's encoding") from error
        except ConfigurationError as error:
            raise ConfigurationError(error.what, hint="nothing was written; say it again as it should be") from error


def doubt_about(region: str) -> ConfigurationError | None:
    """What is odd about a region, as a warning: AWS may have opened it since our list of them was made."""
    from botocore.loaders import create_loader  # its list is the newest that is on this machine

    known = [
        name for partition in create_loader().load_data("partitions")["partitions"] for name in partition["regions"]
    ]
    if region in known:
        return None
    near = difflib.get_close_matches(region, known, n=1)
    return ConfigurationError(
        f"no region {region!r} is known here",
        hint=f"did you mean {near[0]}?" if near else "see that it is written right",
    )


def _tables(answers: Answers) -> str:
    return f"""\
# What rolecall does on this host. Everything that can be said here is in docs/configuration.md;
# "rolecall check" says what is wrong with it.

# Who we are to the world: AWS reads our public keys there, and compares this byte for byte.
[issuer]
url = {_quoted(answers.issuer)}

{_key(answers)}
# What the tokens say. The trust policies of the roles name this subject and this audience.
[identity]
source = "self_signed"
subject = {_quoted(answers.subject)} # ${{HOST}} is this host's name
audience = {_quoted(answers.audience)}

[sts]
region = {_quoted(answers.region)}

# Our public keys and the document that leads to them: serve this folder at the issuer's URL.
[publishing]
to = "directory"
directory = {_quoted(str(answers.site))}

"""


def _key(answers: Answers) -> str:
    if answers.service:
        return f"""\
# The private key that signs our identity tokens. It stays root's: systemd reads {answers.key_file}
# and hands it to the agent as a credential, see LoadCredential= in rolecall.service.
[key]
custodian = "pem"
file = "credential:{KEY_CREDENTIAL}"
"""
    return f"""\
# The private key that signs our identity tokens: the one *.pem in there.
[key]
custodian = "pem"
directory = {_quoted(str(answers.keys))}
"""


def _role(answers: Answers, name: str, arn: str) -> str:
    return f"""\
[roles.{_quoted(name)}]
arn = {_quoted(arn)}
#duration = "1h" # up to the role's maximum session duration in IAM

# Whoever shows the token in this file gets that role: let only the workload read it.
[[grants]]
roles = [{_quoted(name)}]
token_file = {_quoted(str(answers.token_file(name)))}

"""


_REST: Final = """\
[listen]
#credentials = "127.0.0.1:9170"
#admin = "127.0.0.1:9171" # metrics and status: no secrets
"""


def _quoted(value: str) -> str:
    """A basic string of TOML; the escapes of JSON are among its own, but DEL has to be one as well."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
