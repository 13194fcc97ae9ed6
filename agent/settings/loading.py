"""What does the whole file come to? Read once, and all mistakes said at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from agent.errors import ConfigurationError
from agent.settings.agreement import disagreements
from agent.settings.aws_callers import AwsCallers
from agent.settings.callers import Callers, Grant
from agent.settings.containers import Containers
from agent.settings.credentials import Role, Sts, StsRole
from agent.settings.files import KeptFile
from agent.settings.identity_center import IdentityCenter
from agent.settings.infrastructure import Infrastructure
from agent.settings.keys import Key
from agent.settings.mistakes import Mistake, secrets_in
from agent.settings.outputs import Listen, Log
from agent.settings.overrides import overridden, unknown
from agent.settings.publishing import Publishing
from agent.settings.reader import Reader
from agent.settings.reading import find, read_toml
from agent.settings.rotation import Rotation
from agent.settings.section import Surroundings
from agent.settings.succession import rotation_of
from agent.settings.tokens import Identity, Issuer
from agent.settings.unit_tokens import UnitTokens
from agent.settings.verifying import Verify


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, read and found consistent.

    `issuer` and `key` are there whenever `identity` is one for which our key signs, and a role is had for a token or
    others are given some; where tokens of others are verified and nothing else, neither is needed. `next_key` is
    [key.next], the custodian to move to; `rotation` is None where one key signs for good; it is asked for where
    [rotation] or [key.next] is written, and otherwise goes without saying. Paths are absolute, templates filled in.
    """

    path: Path
    issuer: Issuer | None
    key: Key | None
    next_key: Key | None
    rotation: Rotation | None
    rotation_asked: bool
    identity: Identity
    sts: Sts
    identity_center: IdentityCenter | None
    roles: Mapping[str, Role]
    grants: tuple[Grant, ...]
    callers: Callers
    aws_callers: AwsCallers | None
    unit_tokens: UnitTokens | None
    containers: Containers | None
    files: tuple[KeptFile, ...]
    publishing: Publishing | None
    infrastructure: Infrastructure | None
    verify: Mapping[str, Verify]
    listen: Listen
    log: Log

    @property
    def token_roles(self) -> Mapping[str, StsRole]:
        """The roles that are had for our identity token."""
        return {name: role for name, role in self.roles.items() if isinstance(role, StsRole)}

    @property
    def uses_sts(self) -> bool:
        """Whether there is anything to ask STS: for a role, or who callers inside AWS are."""
        return bool(self.roles) or self.aws_callers is not None


def load(path: Path | None, *, environ: Mapping[str, str], host: str) -> Settings:
    """Read the configuration; `host` is what ${HOST} stands for.

    Raises ConfigurationError: its `what` has one line for every mistake of the whole file.
    """
    where = find(path, environ).absolute()
    written = read_toml(where)
    words, origins = overridden(written, environ)
    credentials_directory = environ.get("CREDENTIALS_DIRECTORY")
    surroundings = Surroundings(
        directory=where.parent,
        credentials=Path(credentials_directory) if credentials_directory else None,
        names={"HOST": host},
    )
    reader = Reader(words, surroundings)
    draft = reader.draft()
    if own := environ.get("STATE_DIRECTORY"):  # systemd lists all that the unit has, the agent's own first
        draft.state = Path(own.split(":")[0])
    secrets = list(secrets_in(words))
    mistakes = [
        *secrets,
        *(mistake for mistake in reader.mistakes if mistake.path not in {secret.path for secret in secrets}),
        *disagreements(draft),
        *unknown(environ),
    ]
    if not mistakes and draft.identity and draft.sts and draft.callers and draft.listen and draft.log:
        return Settings(
            path=where,
            issuer=draft.issuer,
            key=draft.key,
            next_key=draft.next_key,
            rotation=rotation_of(draft),
            rotation_asked="rotation" in words or draft.next_key is not None,
            identity=draft.identity,
            sts=draft.sts,
            identity_center=draft.identity_center,
            roles=MappingProxyType(draft.roles),
            grants=tuple(draft.grants.values()),
            callers=draft.callers,
            aws_callers=draft.aws_callers,
            unit_tokens=draft.unit_tokens,
            containers=draft.containers,
            files=tuple(draft.files.values()),
            publishing=draft.publishing,
            infrastructure=draft.infrastructure,
            verify=MappingProxyType(draft.verify),
            listen=draft.listen,
            log=draft.log,
        )
    lines = dict.fromkeys(str(Mistake(origins.get(mistake.path, mistake.path), mistake.said)) for mistake in mistakes)
    raise ConfigurationError("\n".join(lines), hint=f"correct {where}; every setting is in docs/configuration.md")
