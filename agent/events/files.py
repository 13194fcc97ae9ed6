"""What happens to files that are kept fresh?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.errors import AgentError


@dataclass(frozen=True, slots=True)
class FileWritten:
    """A file holds something new, good until `expires_at`, or again what it should; `failures` came before, in a row.

    `what` is "credentials", "web_identity_token" or "token"; of the last, `role` is the audience that it is for.
    """

    path: str
    what: str
    role: str
    expires_at: datetime
    failures: int = 0


@dataclass(frozen=True, slots=True)
class FileEmptied:
    """The credentials in a file have ended, there are no others, and so they were taken out of it."""

    path: str
    role: str
    failures: int = 0


@dataclass(frozen=True, slots=True)
class FileStuck:
    """A file could not be written, or not filled, for a reason not told of yet; it is tried again in `retry_in`.

    `what` and `role` are as in `FileWritten`. What it holds, it still holds as a whole: good until `good_until`, if
    that is known.
    """

    path: str
    what: str
    role: str
    error: AgentError
    retry_in: timedelta
    good_until: datetime | None


#: What happens to files that are kept fresh.
FileEvent = FileWritten | FileEmptied | FileStuck
