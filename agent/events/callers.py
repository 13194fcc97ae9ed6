"""What happens in recognising callers?"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from agent.errors import AgentError


@dataclass(frozen=True, slots=True)
class CallerTokensChanged:
    """Callers' tokens have left their file, replaced or not; they are good until `overlap` has passed."""

    path: str
    overlap: timedelta


@dataclass(frozen=True, slots=True)
class CallerTokensUnreadable:
    """A file of callers' tokens cannot be read, or is open to everybody: what it held is good for `good_for` more."""

    path: str
    error: AgentError
    good_for: timedelta


@dataclass(frozen=True, slots=True)
class CallerTokensReadable:
    """A file of callers' tokens that could not be read, or was open to everybody, is well again."""

    path: str


@dataclass(frozen=True, slots=True)
class CallersSeen:
    """What the kernel can tell of callers on this machine, in one sentence."""

    summary: str


@dataclass(frozen=True, slots=True)
class CallersUnseen:
    """Something that grants ask for, and that cannot be told of all callers here: they fit fewer, or nobody."""

    error: AgentError


@dataclass(frozen=True, slots=True)
class AccountMissing:
    """A grant names a user or a group that is not there; it counts as soon as it is."""

    kind: Literal["user", "group"]
    name: str


@dataclass(frozen=True, slots=True)
class AccountsSilent:
    """The account databases do not answer; what they said before counts for `good_for` seconds more."""

    error: AgentError
    good_for: float


@dataclass(frozen=True, slots=True)
class AccountsHeard:
    """The account databases answer again."""


@dataclass(frozen=True, slots=True)
class ContainersUnseen:
    """Which containers run cannot be found out: callers out of new ones are not recognised."""

    error: AgentError


@dataclass(frozen=True, slots=True)
class ContainersSeen:
    """It can be found out again."""


@dataclass(frozen=True, slots=True)
class UnitTokenEnding:
    """A unit shows a token that ends then: it gets a new one when it is started again."""

    unit: str
    ends: datetime


@dataclass(frozen=True, slots=True)
class UnitTokensRotated:
    """Units that start from now on get tokens of a new secret; those made of the one before are good for `overlap`."""

    overlap: timedelta


@dataclass(frozen=True, slots=True)
class UnitTokensUnwritable:
    """The secrets of unit tokens cannot be written: tokens stay as they are, and no new secret follows."""

    error: AgentError


@dataclass(frozen=True, slots=True)
class UnitTokenIssued:
    """systemd was given the token of a unit, for its credential of this name."""

    unit: str
    credential: str


#: Why nothing was given to somebody who connected to the socket for unit tokens.
NoToken = Literal["not_root", "not_systemd"]


@dataclass(frozen=True, slots=True)
class UnitTokenRefused:
    """Somebody connected to the socket for unit tokens, and got nothing; the last of `count` since this was told of."""

    uid: int
    pid: int
    reason: NoToken
    count: int


@dataclass(frozen=True, slots=True)
class ListenerWaiting:
    """A listener cannot be open for now, which is nobody's harm but that of who would use it; it is tried again."""

    address: str
    error: AgentError


@dataclass(frozen=True, slots=True)
class ListenerOpened:
    """A listener that may have to wait for its address is open."""

    address: str


#: What happens in recognising callers.
CallerEvent = (
    CallerTokensChanged
    | CallerTokensUnreadable
    | CallerTokensReadable
    | CallersSeen
    | CallersUnseen
    | AccountMissing
    | AccountsSilent
    | AccountsHeard
    | ContainersUnseen
    | ContainersSeen
    | UnitTokenEnding
    | UnitTokensRotated
    | UnitTokensUnwritable
    | UnitTokenIssued
    | UnitTokenRefused
    | ListenerWaiting
    | ListenerOpened
)
