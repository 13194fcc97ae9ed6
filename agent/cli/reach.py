"""How does a command reach the running agent? Over its listeners, as anybody else would.

Plain `http.client`: no proxy is ever asked, and a command that runs for each request of somebody's SDK
starts fast.
"""

import http.client
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.cli.patience import patiently
from agent.errors import AgentUnreachable, CallerDenied, ConfigurationError, CredentialsUnavailable
from agent.secret import Secret
from agent.settings import Address, Grant, Settings

#: How long one request may take, in seconds: the agent answers from memory, and never later than after 0.7 s.
_PATIENCE, _LEAST = 5.0, 1.0

#: More than this is no answer of ours: the status of a thousand roles comes to half of it, in bytes.
_LARGEST = 2_000_000

#: More than this is no token file, in characters.
_LARGEST_TOKENS = 65_536

#: A token as a header can carry it.
_TOKEN = re.compile(r"[\x21-\x7e]+")

#: Names the file of the token that SDKs show.
_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - a name, not a token

_LOOK = "see what listens there with: ss -ltnp; and compare it with [listen] in the configuration"


class Stranger(AgentUnreachable):
    """The operator's turn: something answers there, and it is not the agent. Waiting does not change that."""

    retryable = False

    def __init__(self, address: Address) -> None:
        """Say where."""
        super().__init__(f"what answers at {address} is not the agent", hint=_LOOK)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the agent answered: the status, the body as it came, and the JSON object in it. Both may hold secrets."""

    status: int
    body: bytes = field(repr=False)
    document: dict[str, Any] = field(repr=False)  # whatever the other end says; each reader takes from it what it knows


@dataclass(frozen=True, slots=True)
class Access:
    """How a role is fetched from here.

    Attributes:
        role: its name; empty for the one role that whoever asks is granted.
        address: where the credentials listener is.
        token: what to show, if anything.
        token_file: the file that holds it, if any.
        bare: whether the file holds the token and nothing else, as SDKs want it: they send the file as it is.
        unit_tokens: the socket at which systemd gets a token for a unit, where the role is granted by that.
    """

    role: str
    address: Address
    token: Secret | None = None
    token_file: Path | None = None
    bare: bool = True
    unit_tokens: Path | None = None

    @property
    def path(self) -> str:
        """The path of the role's credentials."""
        return f"/v1/credentials/{self.role}" if self.role else "/v1/credentials"

    @property
    def called(self) -> str:
        """The role, in the middle of a sentence."""
        return f"role {self.role}" if self.role else "the one role of this caller"

    @property
    def url(self) -> str:
        """The URL of the role's credentials, with the address as a literal, as SDKs want it."""
        return f"http://{self.address}{self.path}"

    def fetch(self, patience: float = _PATIENCE) -> Reply:
        """Ask for the role's credentials once.

        Raises AgentUnreachable, CredentialsUnavailable if there are none now, CallerDenied where asking again is no
        use.
        """
        headers = {} if self.token is None else {"Authorization": self.token.reveal()}
        reply = get(self.address, self.path, headers, patience)
        if reply.status == http.HTTPStatus.OK:
            return reply
        said = reply.document.get("message")
        if not isinstance(said, str) or "code" not in reply.document:
            raise Stranger(self.address)
        if reply.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise CredentialsUnavailable(
                f"the agent has no credentials for {self.called} yet", hint="see why with: rolecall status"
            )
        if reply.status == http.HTTPStatus.CONFLICT:
            raise CallerDenied(said.removesuffix("."), hint="name the role that is meant; see: rolecall who")
        raise CallerDenied(
            f"the agent refused {self.called}: {said}",
            hint="compare the grants with what the agent sees of this caller: rolecall who; token shown: "
            + (str(self.token_file) if self.token_file else "none"),
        )

    def fetch_patiently(self, seconds: float) -> Reply:
        """Ask until there are credentials, for so many seconds at most. Raises as `fetch` does."""
        return patiently(self.fetch, seconds, self.called)


def access(settings: Settings, role: str, token_file: Path | None, *, elsewhere: bool = False) -> Access:
    """How `role`, or with "" the one role that whoever asks is granted, is fetched from here, and with which token.

    That of the file given; none where anyone may have the role; that of the first file granted that can be read; that
    of the file that the environment names, as for a unit that has its token as a credential; none where who asks is
    enough. With `elsewhere` it is for a program that has not this environment. Raises ConfigurationError.
    """
    if role and role not in settings.roles:
        known = ", ".join(sorted(settings.roles))
        raise ConfigurationError(f"the configuration has no role {role!r}", hint=f"it has: {known}")
    grants = [grant for grant in settings.grants if (role in grant.roles if role else grant.roles)]
    return _way(settings, role, grants, token_file, elsewhere=elsewhere)


def presence(settings: Settings, name: str, token_file: Path | None) -> Access:
    """How whoever asks shows who it is, for this role or audience; with "", for anything. Raises ConfigurationError."""
    grants = [grant for grant in settings.grants if not name or name in {*grant.roles, *grant.audiences}]
    return _way(settings, name, grants, token_file)


def _way(
    settings: Settings, role: str, grants: Sequence[Grant], token_file: Path | None, *, elsewhere: bool = False
) -> Access:
    address = settings.listen.credentials
    if token_file is not None:
        return with_token(role, address, token_file)
    if not grants:
        what = f"role {role}" if role else "any role"
        raise ConfigurationError(f"nobody is granted {what}", hint="add a [[grants]] for it")
    if any(grant.anyone for grant in grants):
        return Access(role, address)
    by_token = any(grant.token_file or grant.unit_token for grant in grants)
    named = None if elsewhere or not by_token else os.environ.get(_TOKEN_FILE)
    if not role and named and os.access(named, os.R_OK):  # what SDKs here would show, too
        return with_token(role, address, Path(named))
    return _of_granted(settings, role, grants, Path(named) if named else None)


def _of_granted(settings: Settings, role: str, grants: Sequence[Grant], named: Path | None) -> Access:
    """The way of the first of these grants that can be gone from here. Raises ConfigurationError."""
    address = settings.listen.credentials
    by_itself = any(not grant.token_file and not grant.unit_token for grant in grants)
    if by_itself and not role:
        return Access(role, address)
    readable = [(grant, path) for grant in grants for path in grant.token_file if os.access(path, os.R_OK)]
    if not role:
        _refuse_several([one for grant, _ in readable for one in grant.roles])
    files = [path for grant in grants for path in grant.token_file]
    if readable:
        return with_token(role, address, readable[0][1])
    if named is not None and os.access(named, os.R_OK):
        return with_token(role, address, named)
    if by_itself:
        return Access(role, address)
    if settings.unit_tokens is not None and any(grant.unit_token for grant in grants):
        return Access(role, address, unit_tokens=settings.unit_tokens.socket)
    what = f"role {role}" if role else "a role"
    if not files:
        raise ConfigurationError(
            f"{what} is granted to units by a token of their own, and the configuration has no [unit_tokens]",
            hint="add the table [unit_tokens], which may be empty; or grant it by unit",
        )
    if all(map(_is_missing, files)):
        raise ConfigurationError(
            f"no token file that grants {what} exists: {', '.join(map(str, files))}",
            hint=f"make one, which the agent notices within seconds: rolecall token new {files[0]}; "
            "or name another file with --token-file",
        )
    raise ConfigurationError(
        f"no token file that grants {what} can be read by this user",
        hint="name one with --token-file, or run as a user who can read one of: " + ", ".join(map(str, files)),
    )


def _refuse_several(roles: Sequence[str]) -> None:
    """Raise ConfigurationError unless the tokens that can be shown are for one role: nobody could tell which."""
    if len(names := sorted(set(roles))) > 1:
        raise ConfigurationError(
            f"this user can show tokens for several roles: {', '.join(names)}",
            hint="name the role that is meant, or the token with --token-file",
        )


def _is_missing(path: Path) -> bool:
    """Whether there is no such file; not so if we may not look."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def status_of(settings: Settings, patience: float = _PATIENCE) -> dict[str, Any]:
    """What the running agent says of itself. Raises AgentUnreachable."""
    address = settings.listen.admin
    document = get(address, "/status.json", {}, patience).document
    if not isinstance(document.get("roles"), list) or "version" not in document:
        raise Stranger(address)
    return document


def seen(reach: Access) -> dict[str, Any]:
    """What the running agent sees of us: `facts`, pairs of texts, and what is `granted`. Raises AgentUnreachable."""
    headers = {} if reach.token is None else {"Authorization": reach.token.reveal()}
    reply = get(reach.address, "/v1/who", headers)
    facts, granted = reply.document.get("facts"), reply.document.get("granted")
    if reply.status != http.HTTPStatus.OK:
        said = reply.document.get("message")
        if not isinstance(said, str) or "code" not in reply.document:
            raise Stranger(reach.address)
        raise AgentUnreachable(
            f"the agent at {reach.address} does not say whom it sees: {said}",
            hint="is it of this version? restart it after an upgrade",
        )
    if not isinstance(facts, list) or not isinstance(granted, list) or not all(map(_is_fact, facts)):
        raise Stranger(reach.address)
    return reply.document


def _is_fact(one: Any) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one)


def get(address: Address, path: str, headers: dict[str, str], patience: float = _PATIENCE) -> Reply:
    """GET one JSON object from the agent. Raises AgentUnreachable, and ConfigurationError if nobody knows the port."""
    if address.port == 0:
        raise ConfigurationError(
            "the configuration leaves the port to the system, so no command can find the agent",
            hint="give the addresses under [listen] ports of their own, as in 9170",
        )
    seconds = min(_PATIENCE, max(_LEAST, patience))
    connection = http.client.HTTPConnection(address.host, address.port, timeout=seconds)
    try:
        connection.request("GET", path, headers={"Accept": "application/json", **headers})
        answer = connection.getresponse()
        body = answer.read(_LARGEST)
        document = _harmless(json.loads(body))
    except TimeoutError as error:
        raise AgentUnreachable(f"nothing came from {address} within {seconds:g} s", hint=_LOOK) from error
    except OSError as error:
        raise AgentUnreachable(
            f"no agent answers at {address}: {(error.strerror or str(error)).lower()}",
            hint="is it running? systemctl status rolecall",
        ) from error
    except (http.client.HTTPException, ValueError, RecursionError):
        raise Stranger(address) from None  # what came instead might hold anything
    finally:
        connection.close()
    if not isinstance(document, dict):
        raise Stranger(address)
    return Reply(answer.status, body, document)


def _harmless(value: Any) -> Any:
    """Take what steers a terminal out of all texts: anybody may listen where the agent should, and much is shown."""
    match value:
        case str():
            return "".join(one if one.isprintable() else "�" for one in value)
        case list():
            return [_harmless(one) for one in value]
        case dict():
            return {_harmless(name): _harmless(one) for name, one in value.items()}
    return value


def with_token(role: str, address: Address, path: Path) -> Access:
    """Show the first token of a file: what a client shows while two are accepted. Raises ConfigurationError."""
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            whole = file.read(_LARGEST_TOKENS)
    except OSError as error:
        raise ConfigurationError(
            f"the token file {path} cannot be read: {(error.strerror or str(error)).lower()}",
            hint="name one that this user can read with --token-file",
        ) from error
    words = whole.split()
    if not words:
        raise ConfigurationError(f"the token file {path} is empty", hint="write a token into it")
    if _TOKEN.fullmatch(words[0]) is None:
        raise ConfigurationError(
            f"the token file {path} holds what no header can carry",
            hint="a token is of visible ASCII characters only",
        )
    return Access(role, address, Secret(words[0]), path.absolute(), bare=whole == words[0])
