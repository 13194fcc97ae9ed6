"""Which sessions are there?"""

from collections.abc import Collection, Mapping

from agent.errors import CredentialsUnavailable
from agent.narrowing import WHOLE, Narrowing
from agent.sessions import RoleSession


class Roster:
    """The sessions of all roles, by role and narrowing."""

    def __init__(self, sessions: Mapping[tuple[str, Narrowing], RoleSession]) -> None:
        """Those that are kept at hand from the start."""
        self._sessions = dict(sessions)
        self._roles = frozenset(role for role, _ in sessions)

    @staticmethod
    def whole(sessions: Mapping[str, RoleSession]) -> "Roster":
        """One session for each role, of the role as it is."""
        return Roster({(role, WHOLE): session for role, session in sessions.items()})

    @property
    def roles(self) -> Collection[str]:
        """The names of the roles that are configured."""
        return self._roles

    def held(self, role: str, narrowing: Narrowing) -> RoleSession | None:
        """The session, if it is there."""
        return self._sessions.get((role, narrowing))

    def wake(self, role: str, narrowing: Narrowing) -> RoleSession:
        """The session. Raises CredentialsUnavailable if there is none."""
        session = self._sessions.get((role, narrowing))
        if session is None:
            raise CredentialsUnavailable(f"role {role} has no such session")
        return session
