"""Which configuration does a command mean?"""

import os
import socket
from pathlib import Path

from agent.settings import Settings, load
from agent.settings.spelling import UNIT_CREDENTIALS


def settings_of(config: Path | None) -> Settings:
    """The configuration that the command line, the environment or the usual places name. Raises ConfigurationError."""
    environ = {"CREDENTIALS_DIRECTORY": UNIT_CREDENTIALS, **os.environ}  # commands run beside the unit, not in it
    return load(config, environ=environ, host=socket.gethostname())
