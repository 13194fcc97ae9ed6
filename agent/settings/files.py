"""What may the operator say about files that are kept fresh for programs that read nothing else?"""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from agent.settings.mistakes import Wrong, shown
from agent.settings.names import OneGroup
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, one_of, text

_PROFILE: Final = re.compile(r"[A-Za-z0-9_.@+-]{1,64}")
_MODE: Final = re.compile(r"0?[0-7]{3}")
_OTHERS, _OWNER_READS, _EXECUTE = 0o007, 0o400, 0o111


def _role(value: str, _: Surroundings) -> str:
    if not value:
        raise Wrong("is empty; write the name of a role")
    return value


def _profile(value: str, _: Surroundings) -> str:
    if value == "default":
        raise Wrong(
            '"default" is not taken: programs that nobody thought of would use it, and it may be somebody\'s already; '
            "write another name, and let who wants it say so"
        )
    if not _PROFILE.fullmatch(value):
        raise Wrong(f"{shown(value)} is no name for a profile: 1 to 64 of A-Z a-z 0-9 _ . @ + -")
    return value


def _mode(value: str, _: Surroundings) -> int:
    if not _MODE.fullmatch(value):
        raise Wrong(f'{shown(value)} is not the mode of a file; write "0600", "0640", "0400" or "0440"')
    mode = int(value, 8)
    if mode & _OTHERS:
        raise Wrong(
            f'"{mode:04o}" lets everybody on this machine read what is in it; write "0600", or "0640" and group'
        )
    if mode & _EXECUTE or not mode & _OWNER_READS or mode & 0o020:
        raise Wrong(f'"{mode:04o}" does not do for such a file; write "0600", "0640", "0400" or "0440"')
    return mode


Mode = Annotated[int, text(_mode)]


class CredentialsFile(Section):
    """A profile of a shared credentials file, which may have others; `mode` is as chmod takes it, a number."""

    kind: Annotated[Literal["credentials"], one_of(Literal["credentials"])]
    path: FilePath = Field(examples=['"/var/lib/backup/.aws/credentials"'])
    role: Annotated[str, text(_role)] = Field(examples=['"backup"'])
    profile: Annotated[str, text(_profile)] = Field(examples=['"rolecall"'])
    group: OneGroup | None = Field(None, examples=['"backup"'])
    mode: Mode | None = Field(None, examples=['"0640"'])

    @property
    def permissions(self) -> int:
        """The mode; without one, it is for the owner, and for the group that is named."""
        return self.mode if self.mode is not None else (0o640 if self.group else 0o600)


class WebIdentityTokenFile(Section):
    """An identity token, for programs that do the exchange for that role themselves."""

    kind: Annotated[Literal["web_identity_token"], one_of(Literal["web_identity_token"])]
    path: FilePath = Field(examples=['"/run/rolecall/backup.jwt"'])
    role: Annotated[str, text(_role)] = Field(examples=['"backup"'])
    group: OneGroup | None = Field(None, examples=['"backup"'])
    mode: Mode | None = Field(None, examples=['"0640"'])

    @property
    def permissions(self) -> int:
        """The mode; without one, it is for the owner, and for the group that is named."""
        return self.mode if self.mode is not None else (0o640 if self.group else 0o600)


KeptFile = CredentialsFile | WebIdentityTokenFile

#: The kinds of [[files]], by their `kind`.
KINDS: Final[Mapping[str, type[Section]]] = {
    "credentials": CredentialsFile,
    "web_identity_token": WebIdentityTokenFile,
}
