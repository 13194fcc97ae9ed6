"""How do programs get credentials that read nothing but a shared credentials file? A profile of theirs is kept fresh.

Whoever may read the file has the role: the operator who names the file grants it. The profile is never `default`, so
nobody uses it who has not asked for it, and the rest of the file is other people's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn, Protocol

from agent.clock import parse_instant
from agent.credentials import Credentials
from agent.errors import AgentError, ConfigurationError
from agent.events import CredentialsVended, Event, FileEmptied, FileWritten, SessionRenewed
from agent.outputs import documents
from agent.outputs.attempts import Attempts, Means
from agent.outputs.profiles import Unclear, entries_of, holds_others, with_entries
from agent.outputs.replacing import Place, Stamp, replace, stamp

_WHAT: Final = "credentials"
_PROFILE: Final = re.compile(r"[A-Za-z0-9_.@+-]{1,64}")


class Session(Protocol):
    """What is asked of the session whose credentials these are."""

    name: str

    def usable(self) -> Credentials | None:
        """The credentials held, if they are still good."""
        ...


@dataclass(frozen=True, slots=True)
class _Put:
    """What an attempt has come to: how the file is known, whether it changed, and the end of what others left in it."""

    stamp: Stamp | None
    changed: bool
    left: datetime | None


class CredentialsFile:
    """One profile of one file, with what a session holds: from the moment it is held until it ends, and no longer."""

    def __init__(self, session: Session, place: Place, profile: str, means: Means) -> None:
        """Touch nothing yet. Raises ConfigurationError for a profile that cannot be ours."""
        if not _PROFILE.fullmatch(profile) or profile.casefold() == "default":
            raise ConfigurationError(
                f"the profile {profile[:64]!r} in {place.path} cannot be kept: it is no name, or everybody's",
                hint="write another of A-Z a-z 0-9 _ . @ + -, and set AWS_PROFILE to it",
            )
        self._session = session
        self._place = place
        self._profile = profile
        self._means = means
        self._attempts = Attempts(str(place.path), _WHAT, session.name, means)
        self._key_id = ""  # of the set that we have written
        self._until: datetime | None = None  # the end of what the file holds, as far as it is known
        self._stamp: Stamp | None = None

    @property
    def trouble(self) -> AgentError | None:
        """Why the file is not what it should be, if it is not."""
        return self._attempts.trouble

    def heard(self, event: Event) -> None:
        """Read events: new credentials are written at once."""
        if isinstance(event, SessionRenewed) and event.role == self._session.name:
            self._attempts.hurry()

    def retry_now(self) -> None:
        """Try again at once what has failed: somebody has mended something."""
        self._attempts.hurry()

    async def keep_fresh(self) -> NoReturn:
        """Write what the session holds whenever it is another, take it out when it ends, for ever.

        When we end ourselves it stays: a restart must not take from anybody what is still good, and whoever comes after
        us takes it out in time, since its end is written beside it.
        """
        while True:
            if self._attempts.due:
                await self._look()
            await self._attempts.nap()

    async def _look(self) -> None:
        held = self._session.usable()
        key_id = "" if held is None else held.access_key_id
        known = key_id == self._key_id and not self._ended(held)
        try:
            if known and await self._attempts.blocking(stamp, self._place) == self._stamp:
                return
            put = await self._attempts.blocking(self._put, held)
        except AgentError as error:
            self._attempts.failed(error, self._until)
            return
        self._stamp = put.stamp
        self._until = put.left if held is None else held.expires_at
        new, self._key_id = key_id != self._key_id, key_id
        failures = self._attempts.succeeded()
        if held is not None:
            self._told(held, failures, new=new, changed=put.changed)
        elif put.changed:
            self._means.report(FileEmptied(str(self._place.path), self._session.name, failures))

    def _ended(self, held: Credentials | None) -> bool:
        """Whether there is something in the file that was there before us, and is good no more."""
        return held is None and self._until is not None and self._until <= self._means.clock.now()

    def _told(self, held: Credentials, failures: int, *, new: bool, changed: bool) -> None:
        path, role = str(self._place.path), self._session.name
        if new:
            self._means.report(CredentialsVended(role, f"file:{path}", held.access_key_id, held.expires_at))
        if new or changed or failures:
            self._means.report(FileWritten(path, _WHAT, role, held.expires_at, failures))

    def _put(self, held: Credentials | None) -> _Put:
        """Do the blocking part of an attempt. Raises ConfigurationError."""
        changed, left = False, None

        def edit(content: bytes | None) -> tuple[bytes, bool]:
            nonlocal changed, left
            old = content or b""
            try:
                entries: Mapping[str, str] = {} if held is None else documents.profile(held)
                if held is None and not self._key_id and (left := self._left(old)) is not None:
                    return old, True
                result, shared = with_entries(old, self._profile, entries), holds_others(old, self._profile)
            except Unclear as unclear:
                raise ConfigurationError(
                    f"{self._place.path} stays as it is: it {unclear}", hint="mend that file, or name another"
                ) from None
            changed = result != old
            return result, shared

        return _Put(replace(self._place, edit), changed, left)

    def _left(self, content: bytes) -> datetime | None:
        """The end of what one who kept this profile before us has left in it; None if that is over, or not known."""
        try:
            end = parse_instant(entries_of(content, self._profile).get("x_security_token_expires", ""))
        except ValueError:
            return None
        margin = self._means.policy.margin
        return end - margin if end - margin > self._means.clock.now() else None
