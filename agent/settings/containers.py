"""What may the operator say about containers?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from agent.settings.outputs import CREDENTIALS_EVERYWHERE, CredentialsAddresses
from agent.settings.section import Section
from agent.settings.spelling import one_of
from agent.settings.unit_tokens import SocketPath

Engine = Literal["docker", "podman"]
Recognition = Literal["namespace", "address"]

#: Where engines listen if nobody tells them otherwise.
SOCKETS: Final[Mapping[Engine, Path]] = {
    "docker": Path("/run/docker.sock"),
    "podman": Path("/run/podman/podman.sock"),
}


class Containers(Section):
    """Which engine is asked about containers, and where they find us; `listen` has at least one address."""

    engine: Annotated[Engine, one_of(Engine)] = Field(examples=['"docker"', '"podman"'])
    socket: SocketPath | None = Field(None, examples=['"/run/podman/podman.sock"'])
    recognise: Annotated[Recognition, one_of(Recognition)] = "namespace"
    listen: CredentialsAddresses = Field(CREDENTIALS_EVERYWHERE)

    @property
    def engine_socket(self) -> Path:
        """The socket of the engine's API."""
        return self.socket or SOCKETS[self.engine]
