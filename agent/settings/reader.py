"""What does each table of the file say?

A mistake in one table keeps no other from being read, so that all are found at once.
"""

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from agent.settings import credentials, files, keys, publishing, tokens
from agent.settings.aws_callers import AwsCallers
from agent.settings.callers import Callers, Grant
from agent.settings.containers import Containers
from agent.settings.credentials import Role, Sts
from agent.settings.draft import Draft
from agent.settings.identity_center import IdentityCenter, of_people_alone
from agent.settings.infrastructure import Infrastructure
from agent.settings.mistakes import Mistake, kind_of, listed, nearest, shown_word
from agent.settings.outputs import Listen, Log
from agent.settings.purpose import asks_sts, needs_roles
from agent.settings.rotation import Rotation
from agent.settings.section import Section, Surroundings, choose, read
from agent.settings.tokens import Identity, Issuer, SelfSigned
from agent.settings.unit_tokens import UnitTokens
from agent.settings.verifying import Verify, name_mistake

S = TypeVar("S", bound=Section)
_TABLES: Final = (
    "issuer", "key", "rotation", "identity", "sts", "identity_center", "roles", "grants", "callers", "aws_callers",
    "unit_tokens", "containers", "files", "publishing", "infrastructure", "verify", "listen", "log",
)  # fmt: skip


class Reader:
    """Reads table after table, and goes on after mistakes, which it collects."""

    def __init__(self, words: Mapping[str, object], surroundings: Surroundings) -> None:
        """Take the tables by name, as they were written; read nothing yet."""
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
            key=self._key(),
            next_key=self._next_key(),
            rotation=self._optional(Rotation, "rotation"),
            identity=self._identity(),
            sts=self._section(Sts, self._words.get("sts", self._nearest_sts()), "sts"),
            identity_center=self._optional(IdentityCenter, "identity_center"),
            roles=self._roles(),
            grants=self._grants(),
            callers=self._section(Callers, self._words.get("callers", {}), "callers"),
            aws_callers=self._optional(AwsCallers, "aws_callers"),
            unit_tokens=self._optional(UnitTokens, "unit_tokens"),
            containers=self._optional(Containers, "containers"),
            files=self._files(),
            publishing=self._publishing(),
            infrastructure=self._optional(Infrastructure, "infrastructure"),
            verify=self._rules(),
            listen=self._section(Listen, self._words.get("listen", {}), "listen"),
            log=self._section(Log, self._words.get("log", {}), "log"),
        )

    def _section(self, kind: type[S], table: object, path: str, surroundings: Surroundings | None = None) -> S | None:
        section, mistakes = read(kind, table, path, surroundings or self._surroundings)
        self.mistakes += mistakes
        return section

    def _optional(self, kind: type[S], name: str) -> S | None:
        return self._section(kind, self._words[name], name) if name in self._words else None

    def _one_of(self, kinds: Mapping[str, type[Section]], word: str, table: object, path: str) -> Section | None:
        kind, mistakes = choose(kinds, (), word, table, path)
        self.mistakes += mistakes
        return self._section(kind, table, path) if kind else None

    def _key(self) -> keys.Key | None:
        """[key], apart from [key.next] in it."""
        if "key" not in self._words:
            return None
        table = self._words["key"]
        if isinstance(table, Mapping):
            table = {word: value for word, value in table.items() if word != "next"}
        key = self._one_of(keys.CUSTODIANS, "custodian", table, "key")
        assert key is None or isinstance(key, keys.Key)
        return key

    def _next_key(self) -> keys.Key | None:
        table = self._words.get("key")
        if not isinstance(table, Mapping) or "next" not in table:
            return None
        key = self._one_of(keys.CUSTODIANS, "custodian", table["next"], "key.next")
        assert key is None or isinstance(key, keys.Key)
        return key

    def _publishing(self) -> publishing.Publishing | None:
        if "publishing" not in self._words:
            return None
        place = self._one_of(publishing.PLACES, "to", self._words["publishing"], "publishing")
        assert place is None or isinstance(place, publishing.Publishing)
        return place

    def _identity(self) -> Identity | None:
        """Tokens are self-signed unless something is said that speaks against it."""
        table = self._words.get("identity", {})
        if isinstance(table, Mapping) and not table.keys() & {"source", "file"}:
            return self._section(SelfSigned, table, "identity")
        kind, mistakes = choose(tokens.SOURCES, (), "source", table, "identity")
        self.mistakes += mistakes
        if kind is None:
            return None
        identity = self._section(kind, table, "identity")
        assert identity is None or isinstance(identity, Identity)
        return identity

    def _roles(self) -> dict[str, Role]:
        table = self._words.get("roles", {})
        if not isinstance(table, Mapping):
            self.mistakes.append(
                Mistake("roles", f"must be tables, each begun by a line [roles.NAME], not {kind_of(table)}")
            )
            return {}
        if not table and needs_roles(self._words):
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
            role = self._role(words, path, here)
            if role is not None and fit:
                roles[name] = role
        return roles

    def _role(self, words: object, path: str, here: Surroundings) -> Role | None:
        """One role; its credentials come from STS unless it says otherwise."""
        if not isinstance(words, Mapping) or "source" not in words:
            return self._section(credentials.StsRole, words, path, here)
        kind, mistakes = choose(credentials.SOURCES, (), "source", words, path)
        self.mistakes += mistakes
        return None if kind is None else self._section(kind, words, path, here)

    def _nearest_sts(self) -> Mapping[str, object]:
        """What [sts] says where nobody wrote it: where all roles are of IAM Identity Center, that its region's do.

        Where nobody asks STS for anything, any region does.
        """
        if not asks_sts(self._words):
            return {"region": "us-east-1"}
        center = self._words.get("identity_center")
        known = isinstance(center, Mapping) and "region" in center and of_people_alone(self._words)
        return {"region": center["region"]} if known and isinstance(center, Mapping) else {}

    def _rules(self) -> dict[str, Verify]:
        table = self._words.get("verify", {})
        if not isinstance(table, Mapping):
            said = f"must be tables, each begun by a line [verify.NAME], not {kind_of(table)}"
            self.mistakes.append(Mistake("verify", said))
            return {}
        rules = {}
        for name, words in table.items():
            path = f"verify.{shown_word(name)}"
            mistake = name_mistake(name, path)
            self.mistakes += [mistake] if mistake else []
            if (rule := self._section(Verify, words, path)) and not mistake:
                rules[name] = rule
        return rules

    def _grants(self) -> dict[int, Grant]:
        grants = {}
        for number, words in self._tables("grants"):
            if grant := self._section(Grant, words, f"grants#{number}"):
                grants[number] = grant
        return grants

    def _files(self) -> dict[int, files.KeptFile]:
        found = {}
        for number, words in self._tables("files"):
            file = self._one_of(files.KINDS, "kind", words, f"files#{number}")
            assert file is None or isinstance(file, files.KeptFile)
            if file is not None:
                found[number] = file
        return found

    def _tables(self, name: str) -> Iterator[tuple[int, object]]:
        """The tables of which there may be several, numbered from one."""
        tables = self._words.get(name, [])
        if isinstance(tables, list):
            yield from enumerate(tables, start=1)
        else:
            said = f"must be tables, each begun by a line [[{name}]] with double brackets, not {kind_of(tables)}"
            self.mistakes.append(Mistake(name, said))
