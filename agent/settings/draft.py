"""What has been read so far?

Any section may be missing because it is wrong by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.settings.aws_callers import AwsCallers
from agent.settings.callers import Callers, Grant
from agent.settings.containers import Containers
from agent.settings.credentials import Role, Sts
from agent.settings.files import KeptFile
from agent.settings.identity_center import IdentityCenter
from agent.settings.infrastructure import Infrastructure
from agent.settings.keys import Key
from agent.settings.outputs import Listen, Log
from agent.settings.publishing import Publishing
from agent.settings.rotation import Rotation
from agent.settings.tokens import Identity, Issuer
from agent.settings.unit_tokens import UnitTokens
from agent.settings.verifying import Verify


@dataclass(slots=True)
class Draft:
    """What has been read of a configuration. `words` are its tables by name, as written, the wrong ones too."""

    words: Mapping[str, object] = field(repr=False)  # secrets that are about to be refused may be among them
    issuer: Issuer | None = None
    key: Key | None = None
    next_key: Key | None = None
    rotation: Rotation | None = None
    identity: Identity | None = None
    sts: Sts | None = None
    identity_center: IdentityCenter | None = None
    roles: dict[str, Role] = field(default_factory=dict)
    grants: dict[int, Grant] = field(default_factory=dict)
    callers: Callers | None = None
    aws_callers: AwsCallers | None = None
    unit_tokens: UnitTokens | None = None
    containers: Containers | None = None
    files: dict[int, KeptFile] = field(default_factory=dict)
    publishing: Publishing | None = None
    infrastructure: Infrastructure | None = None
    verify: dict[str, Verify] = field(default_factory=dict)
    listen: Listen | None = None
    log: Log | None = None
    #: The directory that is the agent's own, if it is told of none.
    state: Path = Path("/var/lib/rolecall")
