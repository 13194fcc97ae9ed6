"""How is this AWS told to misbehave?

Faults are an ordered list; each may be meant for one role and for the next so many requests alone. Except for the
clock and the certificate, which are the same for everybody, they strike STS calls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Final, Literal, get_args

from agent.errors import ConfigurationError

Kind = Literal[
    "slow", "status", "throttled", "drop", "garbage", "idp_communication", "verification_key",
    "lifetime", "clock", "certificate",
]  # fmt: skip
Garbage = Literal["not_xml", "empty", "html", "truncated", "empty_members", "missing_members", "expired", "wrong_root"]
#: Ten years, in seconds: more is a mistake, and may be more than dates can hold.
_LONGEST: Final = 315_360_000
#: Faults that belong to the sandbox as a whole, not to one request.
_AMBIENT: Final = ("clock", "certificate")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: slow (waits `seconds` and then answers), status (answers `status`), throttled, drop (hangs up without
            an answer), garbage (200 with a body of the sort `garbage`), idp_communication and verification_key
            (refuse AssumeRoleWithWebIdentity in these words), lifetime (credentials live for `seconds`), clock
            (the service's clock is `seconds` ahead, or behind if negative), certificate (TLS shows a certificate
            for another host).
        code, message: what `status` says, where it is not to be what AWS says with that status.
        times: for the next so many requests; None for all, until removed.
        role: only for calls that name this role ARN; None for all calls.
    """

    kind: Kind
    seconds: float = 0.0
    status: int = 503
    code: str | None = None
    message: str = ""
    garbage: Garbage = "not_xml"
    times: int | None = None
    role: str | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing. Raises ConfigurationError."""
        if self.kind not in get_args(Kind):
            raise _unknown("kind", self.kind, get_args(Kind))
        if self.garbage not in get_args(Garbage):
            raise _unknown("garbage", self.garbage, get_args(Garbage))
        if self.kind in _AMBIENT and (self.times is not None or self.role is not None):
            raise ConfigurationError(
                f"the fault {self.kind} is the same for every request",
                hint="leave out times and role, and remove the fault when it has served",
            )
        least = -_LONGEST if self.kind == "clock" else 0
        if not least <= self.seconds <= _LONGEST:
            raise ConfigurationError(
                f"the fault {self.kind} cannot be of {self.seconds} seconds", hint=f"give {least} to {_LONGEST}"
            )
        if not 400 <= self.status <= 599:
            raise ConfigurationError(f"{self.status} is no error status", hint="give one from 400 to 599")
        if self.times is not None and self.times < 1:
            raise ConfigurationError(f"a fault cannot strike {self.times} times", hint="give 1 or more, or none")


def _unknown(what: str, value: object, known: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(f"there is no {what} of fault {value!r}", hint=f"there are: {', '.join(known)}")


class Faults:
    """What goes wrong at present."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let this go wrong too."""
        self._faults.append(fault)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Let this go wrong, and nothing else."""
        self._faults = list(faults)

    def clear(self) -> None:
        """Let all be well again."""
        self._faults = []

    def current(self) -> tuple[Fault, ...]:
        """What goes wrong at present, `times` counted down."""
        return tuple(self._faults)

    def strike(self, role_arn: str, kinds: tuple[Kind, ...] = get_args(Kind)) -> tuple[Fault, ...]:
        """The faults of these kinds that a request for this role meets; each is counted down by one."""
        met = [
            one
            for one in self._faults
            if one.kind in kinds and one.kind not in _AMBIENT and one.role in (None, role_arn)
        ]
        for fault in met:
            if fault.times is None:
                continue
            at = next(index for index, one in enumerate(self._faults) if one is fault)
            if fault.times == 1:
                del self._faults[at]
            else:
                self._faults[at] = replace(fault, times=fault.times - 1)
        return tuple(met)

    @property
    def clock_offset(self) -> timedelta:
        """How far the service's clock is ahead."""
        return timedelta(seconds=sum(one.seconds for one in self._faults if one.kind == "clock"))

    @property
    def wrong_certificate(self) -> bool:
        """Whether TLS is to show another host's certificate."""
        return any(one.kind == "certificate" for one in self._faults)


def fault_from_json(document: object) -> Fault:
    """Read a fault from parsed JSON: the fields of Fault. Raises ConfigurationError."""
    if not isinstance(document, Mapping) or "kind" not in document:
        raise ConfigurationError("a fault is a JSON object with a kind", hint='such as {"kind": "slow", "seconds": 2}')
    kinds: Mapping[str, tuple[type, ...]] = {
        "kind": (str,), "seconds": (int, float), "status": (int,), "garbage": (str,), "times": (int, type(None)),
        "role": (str, type(None)), "code": (str, type(None)), "message": (str,),
    }  # fmt: skip
    for name, value in document.items():
        if name not in kinds:
            raise ConfigurationError(f"a fault has no {name!r}", hint=f"it has: {', '.join(kinds)}")
        if isinstance(value, bool) or not isinstance(value, kinds[name]):
            raise ConfigurationError(f"{name} of a fault cannot be {value!r}", hint="see the sandbox's documentation")
    return Fault(**document)


def fault_as_json(fault: Fault) -> dict[str, object]:
    """Write a fault as JSON, with the fields that matter to its kind alone."""
    wanted = {"kind", "times", "role"}
    wanted |= {"seconds"} if fault.kind in ("slow", "lifetime", "clock") else set()
    wanted |= {"status"} if fault.kind == "status" else set()
    wanted |= {"code", "message"} if fault.code is not None else set()
    wanted |= {"garbage"} if fault.kind == "garbage" else set()
    return {name: value for name, value in asdict(fault).items() if name in wanted}
