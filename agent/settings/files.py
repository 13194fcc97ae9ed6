"""What may the operator say about files that are kept fresh for programs that read nothing else?"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from agent.settings import token_words
from agent.settings.mistakes import Wrong, shown
from agent.settings.names import OneGroup
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, one_of, text
from agent.settings.templates import variables
from agent.settings.token_words import USUAL_LIFETIME, Audience, Claims, Scopes, Subject, TokenSpan
from agent.wording import Wording

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


class TokenFile(Section):
    """A token for another relying party, for programs that read theirs from a file.

    Whoever may read the file has it, so nothing in it depends on who asks.
    """

    kind: Annotated[Literal["token"], one_of(Literal["token"])]
    path: FilePath = Field(examples=['"/run/rolecall/vault.jwt"'])
    audience: Audience = Field(examples=['"https://vault.example.com"'])
    subject: Subject | None = Field(None, examples=['"host:${HOST}"'])
    scopes: Scopes = Field((), examples=['["orders/read"]'])
    claims: Claims = Field({}, examples=['{ team = "web" }'])
    lifetime: TokenSpan = USUAL_LIFETIME
    group: OneGroup | None = Field(None, examples=['"backup"'])
    mode: Mode | None = Field(None, examples=['"0640"'])

    @property
    def permissions(self) -> int:
        """The mode; without one, it is for the owner, and for the group that is named."""
        return self.mode if self.mode is not None else (0o640 if self.group else 0o600)

    def wording(self, subject: str) -> Wording:
        """What its tokens say; they speak of `subject`, unless it says of whom."""
        return token_words.wording(self.subject or subject, self.lifetime, self.scopes, self.claims)

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Nobody asks for a file, so nothing is filled in."""
        for word in ("subject", "claims"):
            if named := variables(token_words.texts(words.get(word))):
                said = f"names ${{{named[0]}}}, which is known of callers, and nobody asks for what is in a file"
                yield word, f"{said}; write it out, or give the token by [[grants]]"


KeptFile = CredentialsFile | WebIdentityTokenFile | TokenFile

#: The kinds of [[files]], by their `kind`.
KINDS: Final[Mapping[str, type[Section]]] = {
    "credentials": CredentialsFile,
    "web_identity_token": WebIdentityTokenFile,
    "token": TokenFile,
}
