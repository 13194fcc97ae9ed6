"""How does a command reach the running agent? Over its listeners, as anybody else would.

Plain `http.client`: no proxy is ever asked, and a command that runs for each request of somebody's SDK
starts fast.
"""

import http.client
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import AgentUnreachable, CallerDenied, ConfigurationError, CredentialsUnavailable
from agent.secret import Secret
from agent.settings import Settings

#: How long one request may take, in seconds: the agent answers from memory, and never later than after 0.7 s.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the agent answered: the status, the body as it came, and the JSON in it."""

    status: int
    body: bytes
    document: Any  # whatever the other end says; each reader takes from it what it knows


@dataclass(frozen=True, slots=True)
class Access:
    """How one role is fetched from here: its URL, and the token to show, with the file that holds it, if any."""

    role: str
    host: str
    port: int
    token: Secret | None
    token_file: Path | None

    @property
    def path(self) -> str:
        """The path of the role's credentials."""
        return f"/v1/credentials/{self.role}"

    @property
    def url(self) -> str:
        """The URL of the role's credentials, with the address as a literal, as SDKs want it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"

    def fetch(self) -> Reply:
        """Ask for the role's credentials once. Raises AgentUnreachable."""
        headers = {"Accept": "application/json"}
        if self.token is not None:
            headers["Authorization"] = self.token.reveal()
        return get(self.host, self.port, self.path, headers)

    def fetch_patiently(self, seconds: float) -> Reply:
        """Ask until there are credentials, for so many seconds at most.

        Raises AgentUnreachable, CredentialsUnavailable when time is up, CallerDenied where waiting is no use.
        """
        deadline = time.monotonic() + seconds
        while True:
            last: AgentUnreachable | None = None
            try:
                reply = self.fetch()
            except AgentUnreachable as error:
                last = error
            else:
                if reply.status == http.HTTPStatus.OK:
                    return reply
                if reply.status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise CallerDenied(
                        f"the agent refused role {self.role}: {_message(reply)}",
                        hint="compare the grants in the configuration with the token that was shown",
                    )
            if time.monotonic() >= deadline:
                raise last or CredentialsUnavailable(
                    f"the agent has no credentials for role {self.role} yet", hint="see why with: rolecall status"
                )
            time.sleep(min(0.25, max(0.0, deadline - time.monotonic())))


def access(settings: Settings, role: str, token_file: Path | None) -> Access:
    """How `role` is fetched from here: with the token file given, in the environment, or granted and readable."""
    if role not in settings.roles:
        known = ", ".join(sorted(settings.roles))
        raise ConfigurationError(f"the configuration has no role {role!r}", hint=f"it has: {known}")
    host, port = settings.listen.credentials.host, settings.listen.credentials.port
    named = token_file or _named_in_environment()
    if named is not None:
        return Access(role, host, port, _token(named), named)
    grants = [grant for grant in settings.grants if role in grant.roles]
    if any(grant.anyone for grant in grants):
        return Access(role, host, port, None, None)
    if not grants:
        raise ConfigurationError(f"nobody is granted role {role}", hint="add a [[grants]] for it")
    files = [path for grant in grants for path in grant.token_file]
    for path in files:
        if os.access(path, os.R_OK):
            return Access(role, host, port, _token(path), path)
    raise ConfigurationError(
        f"no token file that grants role {role} can be read by this user",
        hint="name one with --token-file, or run as a user who can read one of: " + ", ".join(map(str, files)),
    )


def get(host: str, port: int, path: str, headers: dict[str, str]) -> Reply:
    """GET one JSON document from the agent. Raises AgentUnreachable."""
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        return Reply(answer.status, body, json.loads(body))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AgentUnreachable(
            f"no agent answers at {host}:{port}", hint="is it running? systemctl status rolecall"
        ) from error
    finally:
        connection.close()


def _named_in_environment() -> Path | None:
    named = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    return Path(named) if named else None


def _token(path: Path) -> Secret:
    """The first token of a file: what a client shows."""
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the token file {path} cannot be read", hint="name one that this user can read with --token-file"
        ) from error
    if not lines:
        raise ConfigurationError(f"the token file {path} is empty", hint="write a token into it")
    return Secret(lines[0])


def _message(reply: Reply) -> str:
    if isinstance(reply.document, dict):
        return str(reply.document.get("message", reply.status))
    return str(reply.status)
