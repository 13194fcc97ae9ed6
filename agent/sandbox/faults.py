"""How is this AWS told to misbehave?

Faults are an ordered list; each may be meant for one role and for the next so many requests alone. Except for the
clock and the certificate, which are the same for everybody, and for those of the issuers' public sites, they strike
STS calls.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Final, Literal, get_args

from agent.errors import ConfigurationError

Kind = Literal[
    "slow", "status", "throttled", "drop", "garbage", "idp_communication", "verification_key",
    "lifetime", "clock", "certificate", "site",
]  # fmt: skip
Garbage = Literal["not_xml", "empty", "html", "truncated", "empty_members", "missing_members", "expired", "wrong_root"]
#: What certificates a public site may show.
SiteTls = Literal[
    "expired", "other_name", "self_signed", "unknown_authority", "no_intermediate", "wrong_order",
]  # fmt: skip
#: What a public site may answer: by any of its documents, by the discovery document, by the key set.
SiteAnswer = Literal[
    "redirect", "status", "bytes", "html", "not_json", "empty", "truncated", "gzip", "slow", "drop",
    "stale", "week", "no_cache_control", "no_store",
    "issuer_slash", "issuer_case", "issuer_http", "issuer_missing", "jwks_elsewhere", "jwks_http", "jwks_missing",
    "members_missing",
    "key_changed", "key_dropped", "key_foreign", "kid_twice", "kid_missing", "keys_too_many", "keys_none",
]  # fmt: skip
SiteFault = SiteTls | SiteAnswer
Document = Literal["both", "discovery", "jwks"]
#: Ten years, in seconds: more is a mistake, and may be more than dates can hold.
_LONGEST: Final = 315_360_000
#: Faults that belong to the sandbox as a whole, not to one request.
_AMBIENT: Final = ("clock", "certificate")
#: How slow a slow site is if nobody says: AWS gives up after five seconds.
_TOO_SLOW: Final = 6.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: slow (waits `seconds` and then answers), status (answers `status`), throttled, drop (hangs up without
            an answer), garbage (200 with a body of the sort `garbage`), idp_communication and verification_key
            (refuse AssumeRoleWithWebIdentity in these words), lifetime (credentials live for `seconds`), clock
            (the service's clock is `seconds` ahead, or behind if negative), certificate (TLS shows a certificate
            for another host), site (the public site of every issuer has the fault `site`, see docs/sandbox.md).
        code, message: what `status` says, where it is not to be what AWS says with that status.
        site, document: what is wrong with the public sites, and with which documents of theirs, where not with both.
        about: for a site, where it redirects to, or which key is touched, by its kid; "" for another path, and for
            the first key.
        times: for the next so many requests; None for all, until removed.
        role: only for calls that name this role ARN, or, of Cognito and Identity Center, for calls of the operation of
            this name; None for all calls.
    """

    kind: Kind
    seconds: float = 0.0
    status: int = 503
    code: str | None = None
    message: str = ""
    garbage: Garbage = "not_xml"
    site: SiteFault = "html"
    document: Document = "both"
    about: str = ""
    times: int | None = None
    role: str | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing. Raises ConfigurationError."""
        if self.kind not in get_args(Kind):
            raise _unknown("kind", self.kind, get_args(Kind))
        for name, value, known in (
            ("garbage", self.garbage, get_args(Garbage)),
            ("site", self.site, (*get_args(SiteTls), *get_args(SiteAnswer))),
            ("document", self.document, get_args(Document)),
        ):
            if value not in known:
                raise _unknown(name, value, known)
        if self.kind == "site" and self.role is not None:
            raise ConfigurationError("a site has no role", hint="leave out the role: a site is the same for everybody")
        if self.is_ambient and (self.times is not None or self.role is not None):
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

    @property
    def is_ambient(self) -> bool:
        """Whether it belongs to the sandbox as a whole, not to one request."""
        return self.kind in _AMBIENT or (self.kind == "site" and self.site in get_args(SiteTls))

    @property
    def delay(self) -> float:
        """How many seconds a slow site takes."""
        return self.seconds or _TOO_SLOW


def _unknown(what: str, value: object, known: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(f"there is no {what} of fault {value!r}", hint=f"there are: {', '.join(known)}")


class Faults:
    """What goes wrong at present."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._watchers: list[Callable[[], None]] = []

    def watch(self, told: Callable[[], None]) -> None:
        """Call this whenever somebody has said what is to go wrong."""
        self._watchers.append(told)

    def add(self, fault: Fault) -> None:
        """Let this go wrong too."""
        self.replace([*self._faults, fault])

    def replace(self, faults: Iterable[Fault]) -> None:
        """Let this go wrong, and nothing else."""
        self._faults = list(faults)
        for told in self._watchers:
            told()

    def clear(self) -> None:
        """Let all be well again."""
        self.replace([])

    def current(self) -> tuple[Fault, ...]:
        """What goes wrong at present, `times` counted down."""
        return tuple(self._faults)

    def strike(self, role_arn: str, kinds: tuple[Kind, ...] = get_args(Kind)) -> tuple[Fault, ...]:
        """The faults of these kinds that a request for this role meets; each is counted down by one."""
        return self._met(
            lambda one: one.kind in kinds and one.kind not in (*_AMBIENT, "site") and one.role in (None, role_arn)
        )

    def strike_site(self, document: Document) -> tuple[Fault, ...]:
        """What a request for this document of a public site meets; each is counted down by one."""
        return self._met(lambda one: one.kind == "site" and not one.is_ambient and one.document in ("both", document))

    def _met(self, strikes: Callable[[Fault], bool]) -> tuple[Fault, ...]:
        met = [one for one in self._faults if strikes(one)]
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

    @property
    def site_tls(self) -> SiteFault | None:
        """Which wrong certificate the public sites are to show; the first one named, if there are several."""
        return next((one.site for one in self._faults if one.kind == "site" and one.is_ambient), None)


def fault_from_json(document: object) -> Fault:
    """Read a fault from parsed JSON: the fields of Fault. Raises ConfigurationError."""
    if not isinstance(document, Mapping) or "kind" not in document:
        raise ConfigurationError("a fault is a JSON object with a kind", hint='such as {"kind": "slow", "seconds": 2}')
    kinds: Mapping[str, tuple[type, ...]] = {
        "kind": (str,), "seconds": (int, float), "status": (int,), "garbage": (str,), "times": (int, type(None)),
        "role": (str, type(None)), "code": (str, type(None)), "message": (str,),
        "site": (str,), "document": (str,), "about": (str,),
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
    if fault.kind == "site":
        wanted = {"kind", "site"} if fault.is_ambient else {"kind", "times", "site", "document", "about"}
        wanted |= {"seconds"} if fault.site == "slow" else set()
        wanted |= {"status"} if fault.site == "status" else set()
    return {name: value for name, value in asdict(fault).items() if name in wanted}
