"""What did the operator write down?

Read once, whole, and all mistakes said at once. Settings stop at assembly: nothing that works ever sees one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from agent.errors import ConfigurationError
from agent.settings import credentials, keys, overrides, publishing, tokens
from agent.settings.agreement import Draft, disagreements
from agent.settings.callers import Grant
from agent.settings.credentials import Role, Sts
from agent.settings.keys import Key, Pem
from agent.settings.mistakes import Mistake, kind_of, listed, nearest, secrets_in, shown_word
from agent.settings.outputs import Address, Listen, Log
from agent.settings.publishing import Directory, Publishing
from agent.settings.reading import find, read_toml
from agent.settings.section import Section, Surroundings, choose, read
from agent.settings.tokens import FromFile, Identity, Issuer, SelfSigned

__all__ = [
    "Address",
    "Directory",
    "FromFile",
    "Grant",
    "Identity",
    "Issuer",
    "Key",
    "Listen",
    "Log",
    "Pem",
    "Publishing",
    "Role",
    "SelfSigned",
    "Settings",
    "Sts",
    "find",
    "load",
]

S = TypeVar("S", bound=Section)
_TABLES: Final = ("issuer", "key", "identity", "sts", "roles", "grants", "publishing", "listen", "log")


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, read and found consistent.

    `issuer` and `key` are there whenever `identity` is SelfSigned. Paths are absolute, templates filled in.
    """

    path: Path
    issuer: Issuer | None
    key: Key | None
    identity: Identity
    sts: Sts
    roles: Mapping[str, Role]
    grants: tuple[Grant, ...]
    publishing: Publishing | None
    listen: Listen
    log: Log


def load(path: Path | None, *, environ: Mapping[str, str], host: str) -> Settings:
    """Read the configuration; `host` is what ${HOST} stands for.

    Raises ConfigurationError: its `what` has one line for every mistake of the whole file.
    """
    where = find(path, environ).absolute()
    written = read_toml(where)
    words, origins = overrides.overridden(written, environ)
    credentials_directory = environ.get("CREDENTIALS_DIRECTORY")
    surroundings = Surroundings(
        directory=where.parent,
        credentials=Path(credentials_directory) if credentials_directory else None,
        names={"HOST": host},
    )
    reader = _Reader(words, surroundings)
    draft = reader.draft()
    secrets = list(secrets_in(words))
    mistakes = [
        *secrets,
        *(mistake for mistake in reader.mistakes if mistake.path not in {secret.path for secret in secrets}),
        *disagreements(draft),
        *overrides.unknown(environ),
    ]
    if not mistakes and draft.identity and draft.sts and draft.listen and draft.log:
        return Settings(
            path=where,
            issuer=draft.issuer,
            key=draft.key,
            identity=draft.identity,
            sts=draft.sts,
            roles=MappingProxyType(draft.roles),
            grants=tuple(draft.grants.values()),
            publishing=draft.publishing,
            listen=draft.listen,
            log=draft.log,
        )
    lines = dict.fromkeys(str(Mistake(origins.get(mistake.path, mistake.path), mistake.said)) for mistake in mistakes)
    raise ConfigurationError("\n".join(lines), hint=f"correct {where}; every setting is in docs/configuration.md")


class _Reader:
    """Reads table after table, and goes on after mistakes."""

    def __init__(self, words: Mapping[str, object], surroundings: Surroundings) -> None:
        self._words = words
        self._surroundings = surroundings
        self.mistakes: list[Mistake] = []

    def draft(self) -> Draft:
        """Read everything."""
        for name in self._words:
            if name not in _TABLES:
                said = f"is unknown{nearest(name, _TABLES)}; the tables of this file are {listed(_TABLES)}"
                self.mistakes.append(Mistake(shown_word(name), said))
        return Draft(
            words=self._words,
            issuer=self._optional(Issuer, "issuer"),
            key=self._one_of(keys.CUSTODIANS, keys.LATER, "custodian", "key"),
            identity=self._identity(),
            sts=self._section(Sts, self._words.get("sts", {}), "sts"),
            roles=self._roles(),
            grants=self._grants(),
            publishing=self._one_of(publishing.PLACES, publishing.LATER, "to", "publishing"),
            listen=self._section(Listen, self._words.get("listen", {}), "listen"),
            log=self._section(Log, self._words.get("log", {}), "log"),
        )

    def _section(self, kind: type[S], table: object, path: str, surroundings: Surroundings | None = None) -> S | None:
        section, mistakes = read(kind, table, path, surroundings or self._surroundings)
        self.mistakes += mistakes
        return section

    def _optional(self, kind: type[S], name: str) -> S | None:
        return self._section(kind, self._words[name], name) if name in self._words else None

    def _one_of(self, kinds: Mapping[str, type[S]], later: tuple[str, ...], word: str, name: str) -> S | None:
        if name not in self._words:
            return None
        kind, mistakes = choose(kinds, later, word, self._words[name], name)
        self.mistakes += mistakes
        return self._section(kind, self._words[name], name) if kind else None

    def _identity(self) -> Identity | None:
        """Tokens are self-signed unless something is said that speaks against it."""
        table = self._words.get("identity", {})
        if isinstance(table, Mapping) and not table.keys() & {"source", "file"}:
            table = {**table, "source": "self_signed"}
        kind, mistakes = choose(tokens.SOURCES, tokens.LATER, "source", table, "identity")
        self.mistakes += mistakes
        if kind is None:
            return None
        identity = self._section(kind, table, "identity")
        assert identity is None or isinstance(identity, SelfSigned | FromFile)
        return identity

    def _roles(self) -> dict[str, Role]:
        table = self._words.get("roles", {})
        if not isinstance(table, Mapping):
            self.mistakes.append(
                Mistake("roles", f"must be tables, each begun by a line [roles.NAME], not {kind_of(table)}")
            )
            return {}
        if not table:
            self.mistakes.append(Mistake("roles", "there is none; add at least one [roles.NAME] with its arn"))
        roles = {}
        for name, words in table.items():
            path = f"roles.{shown_word(name)}"
            fit = credentials.ROLE_NAME.fullmatch(name)
            if not fit:
                said = "is no name for a role; write 1 to 63 of a-z 0-9 . _ -, the first being a letter or digit"
                self.mistakes.append(Mistake(path, said))
            names = {**self._surroundings.names, "ROLE": name}
            here = Surroundings(self._surroundings.directory, self._surroundings.credentials, names)
            if self._role_source(words, path) and (role := self._section(Role, words, path, here)) and fit:
                roles[name] = role
        return roles

    def _role_source(self, words: object, path: str) -> bool:
        """Whether it is worth reading on: `source` may be left out, but not name what this version does not know."""
        if not isinstance(words, Mapping) or "source" not in words:
            return True
        kind, mistakes = choose(credentials.SOURCES, credentials.LATER, "source", words, path)
        self.mistakes += mistakes
        return kind is not None

    def _grants(self) -> dict[int, Grant]:
        tables = self._words.get("grants", [])
        if not isinstance(tables, list):
            said = f"must be tables, each begun by a line [[grants]] with double brackets, not {kind_of(tables)}"
            self.mistakes.append(Mistake("grants", said))
            return {}
        grants = {}
        for number, words in enumerate(tables, start=1):
            if grant := self._section(Grant, words, f"grants#{number}"):
                grants[number] = grant
        return grants
