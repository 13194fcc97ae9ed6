"""A logger of a test's own, that touches no other."""

import io
import itertools
import json
import logging

from agent.telemetry.log import LineFormatter

_NUMBERS = itertools.count()


class Lines:
    """What has been written to `logger`, read back."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logger = logging.getLogger(f"of-a-test-{next(_NUMBERS)}")
        self.logger.setLevel(logging.DEBUG)
        self.logger.propagate = False
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(LineFormatter(text=False, journal=False))
        self.logger.addHandler(handler)

    def facts(self) -> list[dict[str, object]]:
        """Every line, without its time."""
        read = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [{name: value for name, value in line.items() if name != "time"} for line in read]
