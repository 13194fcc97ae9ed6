"""What does a first configuration say, and is it sound?"""

import difflib
import json
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.errors import ConfigurationError
from agent.settings import Settings, load
from agent.settings.spelling import UNIT_CREDENTIALS

SUBJECT: Final = "host:${HOST}"
AUDIENCE: Final = "sts.amazonaws.com"
#: What the unit calls the private key of our own HTTPS listener.
TLS_CREDENTIAL: Final = "tls-key"

_SHOWN: Final = {
    "directory": "serve this folder at the issuer's URL",
    "s3": "CloudFront shows this bucket at the issuer's URL",
    "https": "we show them ourselves at the issuer's URL",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What the operator was asked. `roles` are ARNs by name; `directory` is where everything goes, absolute.

    `state` is where the agent itself writes, which is the same place unless it is said; with `service`, the agent is a
    unit of systemd and has a user of its own. `publishing` are the words of [publishing], if we publish to another
    place than the site; for a service, a private key among them is a file that systemd is to hand over.
    `require_pinning` has trust policies refuse tokens that do not name the role they are for. `granted` says of a role
    who is to have it, by the words of [[grants]]: all of them must hold. A role that is not in it has a token.
    """

    issuer: str
    region: str
    roles: Mapping[str, str]
    directory: Path
    subject: str = SUBJECT
    audience: str = AUDIENCE
    service: bool = False
    state: Path | None = None
    publishing: Mapping[str, str] = field(default_factory=dict)
    require_pinning: bool = False
    granted: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def with_token(self) -> Sequence[str]:
        """The roles for which a token is made."""
        return [name for name in self.roles if name not in self.granted]

    @property
    def own(self) -> Path:
        """What the agent may write to."""
        return self.state or self.directory

    @property
    def keys(self) -> Path:
        """Where private keys are made, by us and later by the agent itself."""
        return self.own / "keys"

    @property
    def site(self) -> Path:
        """What is to be served at the issuer's URL, where we publish to a directory."""
        return self.own / "site"

    def token_file(self, role: str) -> Path:
        """What a caller shows to get a role."""
        return self.directory / "tokens" / role


def text(answers: Answers) -> str:
    """The configuration, as TOML with comments."""
    roles = [_role(answers, name, arn) for name, arn in answers.roles.items()]
    return "".join([_tables(answers), *roles, _rotation(answers), _infrastructure(answers), _REST])


def checked(answers: Answers) -> Settings:
    """Read the configuration before it is written anywhere. Raises ConfigurationError with every mistake in it."""
    for place in (answers.directory, answers.own):
        if not str(place).isprintable():
            raise ConfigurationError(f"{str(place)!r} has characters that cannot be printed", hint="choose another")
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

# The private keys that sign our identity tokens: every *.pem in there. The agent makes the next ones itself.
[key]
custodian = "pem"
directory = {_quoted(str(answers.keys))}

# What the tokens say. The trust policies of the roles name this subject and this audience.
[identity]
source = "self_signed"
subject = {_quoted(answers.subject)} # ${{HOST}} is this host's name
audience = {_quoted(answers.audience)}

[sts]
region = {_quoted(answers.region)}

{_publishing(answers)}
"""


def _publishing(answers: Answers) -> str:
    words = answers.publishing or {"to": "directory", "directory": str(answers.site)}
    if answers.service and "private_key" in words:
        words = {**words, "private_key": f"credential:{TLS_CREDENTIAL}"}
    said = "".join(f"{word} = {_quoted(value)}\n" for word, value in words.items())
    return f"# Our public keys and the document that leads to them: {_SHOWN[words['to']]}.\n[publishing]\n{said}"


def _role(answers: Answers, name: str, arn: str) -> str:
    return f"""\
[roles.{_quoted(name)}]
arn = {_quoted(arn)}
#duration = "1h" # up to the role's maximum session duration in IAM

{_grant(answers, name)}
"""


def _grant(answers: Answers, name: str) -> str:
    """Who gets a role: whoever shows a token, or is what was said."""
    words = answers.granted.get(name)
    if words is None:
        why = "# Whoever shows the token in this file gets that role: let only the workload read it."
        words = {"token_file": str(answers.token_file(name))}
    else:
        why = "# Whoever is this gets that role, and shows nothing: the kernel says who calls."
    said = "".join(f"{word} = {_quoted(value)}\n" for word, value in words.items())
    return f"{why}\n[[grants]]\nroles = [{_quoted(name)}]\n{said}"


def _rotation(answers: Answers) -> str:
    return f"""\
# Keys follow one another by themselves. Each signs only once the world has seen it for long enough through the issuer's
# URL, and is shown for a while after its last token: "rolecall keys list" says where each stands and what is next.
[rotation]
state = {_quoted(str(answers.keys))} # where that is written down; leave it as it is when keys move elsewhere
#every = "90d"
#announce = "24h"
#keep = "24h"

"""


def _infrastructure(answers: Answers) -> str:
    pinning = "require_pinning = true # AWS refuses tokens that do not name the role they are for\n"
    return f"""\
# Files for Terraform, CloudFormation and the web server: "rolecall publish" keeps those current that nobody has edited.
[infrastructure]
directory = {_quoted(str(answers.directory))}
{pinning if answers.require_pinning else ""}
"""


_REST: Final = """\
[listen]
#credentials = "127.0.0.1:9170"
#admin = "127.0.0.1:9171" # metrics and status: no secrets
"""


def _quoted(value: str) -> str:
    """A basic string of TOML; the escapes of JSON are among its own, but DEL has to be one as well."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
