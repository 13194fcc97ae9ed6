"""Which configuration does a command mean?"""

import os
import socket
from pathlib import Path

from agent.settings import Settings, load

#: Where systemd keeps the credentials of the agent's unit; commands run beside it, not in it.
_UNIT_CREDENTIALS = "/run/credentials/rolecall.service"


def settings_of(config: Path | None) -> Settings:
    """The configuration that the command line, the environment or the usual places name. Raises ConfigurationError."""
    environ = {"CREDENTIALS_DIRECTORY": _UNIT_CREDENTIALS, **os.environ}
    return load(config, environ=environ, host=socket.gethostname())
