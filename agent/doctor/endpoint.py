"""Does a program that asks the agent get what works?"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from agent.clock import parse_instant
from agent.doctor import Finding, Link, Tried
from agent.doctor.diagnosis import broken
from agent.doctor.pace import each
from agent.errors import AgentError
from agent.patterns import fits

#: What the agent has trouble with lies there, if one of these is broken.
UPSTREAM: Final[tuple[Link, ...]] = ("key", "sts", "clock", "issuer", "token", "sign-in", "roles")

_AGAIN: Final = "if it was mended just now, have the agent try at once: systemctl reload rolecall"


@dataclass(frozen=True, slots=True)
class Served:
    """What the agent gave to somebody who asked as a program would; it holds secrets.

    Attributes:
        document: the credentials, as AWS's SDKs read them.
        doubt: what is wrong with the token file by which they were asked for, if SDKs cannot use it as it is.
    """

    document: Mapping[str, Any] = field(repr=False)  # whatever came; what is read from it is checked
    doubt: AgentError | None = None


class NotAllowed(AgentError):
    """Whoever runs this may not read what has to be shown to the agent; its callers may."""


class Agent(Protocol):
    """The running agent, as its commands and callers reach it."""

    async def status(self) -> Mapping[str, Any]:
        """What it says of itself. Raises AgentUnreachable, which is retryable if nobody is there."""
        ...

    async def fetch(self, role: str) -> Served:
        """The credentials of a role.

        Raises AgentError: ConfigurationError if there is nothing to ask with, NotAllowed if it is not for us to read.
        """
        ...

    async def who(self) -> Mapping[str, Any]:
        """What it sees of whoever asks, with no token shown. Raises AgentError."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """What should be served.

    Attributes:
        roles: the ARN of each role, by name; with * for what AWS alone chooses in it.
        signing: the kid of the key that signs by our own look; "" if nobody knows.
        now: the time, as STS tells it.
        version: ours.
    """

    roles: Mapping[str, str] = field(repr=False)
    signing: str
    now: datetime
    version: str


#: Asks AWS whose these credentials are: the ARN. Raises AgentError.
WhoAmI = Callable[[Mapping[str, Any]], Awaitable[str]]


def absent(error: AgentError, where: str, without: str = "programs get no credentials") -> Tried:
    """The link where no agent answers; somebody else may. `without` says what there is not, without one."""
    if not error.retryable:
        return Tried("endpoint", findings=(Finding("endpoint", "error", error.what, error.hint),))
    said = f"no agent runs at {where}: {without}"
    hint = "start it: systemctl start rolecall; or see why it ended: journalctl -u rolecall"
    return Tried("endpoint", findings=(Finding("endpoint", "warning", said, hint),))


async def examined(
    agent: Agent, status: Mapping[str, Any], expected: Expected, who_am_i: WhoAmI, before: Sequence[Tried]
) -> Tried:
    """The link where an agent answers; `status` is what it says."""
    other = _another(status, expected)
    if other is not None:  # whatever else it says is not of this configuration
        return Tried("endpoint", findings=(other,))
    roles = {str(role.get("role")): role for role in status["roles"] if isinstance(role, Mapping)}
    how = (expected, who_am_i, before)
    results = await each(lambda name: _of_role(agent, roles[name], expected.roles[name], how), [*expected.roles])
    findings = [*_of_status(status, expected), *(finding for one in results for finding in one.findings)]
    good = [name for name, one in zip(expected.roles, results, strict=True) if one.is_served]
    upstream = broken(before, *UPSTREAM)
    said = f"the agent serves {_few(good)}" if good else "" if roles else "the agent runs, and has no roles"
    known = "" if not good or broken(before, "sts", "clock") else ", and AWS knows what it serves"
    is_well = len(good) == len(roles) and not any(role.get("failures") for role in roles.values())
    why = f"the rest of it follows from the link {upstream}" if upstream and not is_well else ""
    why = next((one.not_tried for one in results if one.not_tried), why)
    return Tried("endpoint", said + known, tuple(_once(findings)), why)


def _another(status: Mapping[str, Any], expected: Expected) -> Finding | None:
    """What is wrong if the agent runs with another configuration."""
    there = {str(role.get("role")) for role in status["roles"] if isinstance(role, Mapping)}
    if there == set(expected.roles):
        return None
    return Finding(
        "endpoint",
        "error",
        f"the agent that runs has other roles ({_few(there) or 'none'}) than the configuration "
        f"({_few(expected.roles)})",
        "restart it: systemctl restart rolecall; or name its configuration with -c",
    )


def _few(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (", …" if len(names) > 5 else "")


def _of_status(status: Mapping[str, Any], expected: Expected) -> Iterator[Finding]:
    told = status.get("keys")
    keys = [one for one in (told if isinstance(told, list) else []) if isinstance(one, Mapping)]
    signing = next((str(one.get("kid")) for one in keys if one.get("state") == "signing"), "")
    if signing and expected.signing and signing != expected.signing:
        yield Finding(
            "endpoint",
            "error",
            f"the agent that runs signs with the key {signing}, and the configuration leads to {expected.signing}",
            "restart it: systemctl restart rolecall",
        )
    if status.get("version") != expected.version:
        yield Finding(
            "endpoint",
            "note",
            f"the agent that runs is version {status.get('version')}, and this is {expected.version}",
            "restart it after an upgrade: systemctl restart rolecall",
        )


@dataclass(frozen=True, slots=True)
class _Role:
    """What became of one role."""

    findings: tuple[Finding, ...]
    is_served: bool
    not_tried: str = ""


async def _of_role(
    agent: Agent, status: Mapping[str, Any], arn: str, how: tuple[Expected, WhoAmI, Sequence[Tried]]
) -> _Role:
    """What is wrong with what is served of one role; not what only follows from something before it."""
    expected, who_am_i, before = how
    name, is_downstream = str(status["role"]), broken(before, *UPSTREAM) is not None
    try:
        served = await agent.fetch(name)
    except NotAllowed as error:
        return _Role((), is_served=False, not_tried=f"{error.what}; {error.hint}")
    except AgentError as error:
        if error.retryable:
            return _Role(() if is_downstream else (_bare(name, status, error),), is_served=False)
        finding = Finding("endpoint", "error", error.what, error.hint, about=_about(error))
        return _Role((finding,), is_served=False)
    wrong = _wrong(served.document, name, arn, expected.now)
    if wrong is None and not broken(before, "sts", "clock"):
        wrong = await _disowned(served.document, name, arn, who_am_i)
    if wrong is not None:
        return _Role((wrong,), is_served=False)
    findings = [] if served.doubt is None else [Finding("endpoint", "warning", served.doubt.what, served.doubt.hint)]
    if status.get("failures") and status.get("problem") and not is_downstream:
        said = f"the agent could not renew {name}, and from here it works: {status['problem']}"
        findings.append(Finding("endpoint", "warning", said, _AGAIN, "likely"))
    return _Role(tuple(findings), is_served=True)


def _bare(name: str, status: Mapping[str, Any], error: AgentError) -> Finding:
    """What is wrong where the agent has nothing to give."""
    problem = status.get("problem")
    if not problem:
        return Finding("endpoint", "error", error.what, error.hint)
    said = f"the agent has nothing to give as {name}, and from here it works: {problem}"
    return Finding("endpoint", "error", said, _AGAIN, "likely")


def _wrong(document: Mapping[str, Any], name: str, arn: str, now: datetime) -> Finding | None:
    """What is wrong with credentials by their own words."""
    restart = "see how the agent is: rolecall status; and restart it: systemctl restart rolecall"
    if not fits(arn, str(document.get("RoleArn"))):
        said = f"what the agent serves as {name} is of another role ({document.get('RoleArn')}), not {arn}"
        return Finding("endpoint", "error", said, restart)
    try:
        ends = parse_instant(str(document.get("Expiration")))
    except ValueError:
        return Finding("endpoint", "error", f"what the agent serves as {name} does not say when it ends", restart)
    if ends <= now:
        return Finding("endpoint", "error", f"what the agent serves as {name} has expired", restart)
    return None


async def _disowned(document: Mapping[str, Any], name: str, arn: str, who_am_i: WhoAmI) -> Finding | None:
    """What AWS says against them."""
    try:
        session = await who_am_i(document)
    except AgentError as error:
        said = f"AWS does not take what the agent serves as {name}: {error.what}"
        return Finding("endpoint", "error", said, error.hint)
    arn = str(document.get("RoleArn"))  # it fits
    account, role = arn.split(":")[4], arn.rpartition("/")[2]
    if f"::{account}:assumed-role/{role}/" not in session:
        said = f"what the agent serves as {name} is, by AWS's word, {session}, not a session of {arn}"
        return Finding("endpoint", "error", said, "see which agent answers there, and restart it")
    return None


def _about(error: AgentError) -> str:
    """What `rolecall check` says of a token file, too."""
    return "grants.token_file" if "token file" in error.what else ""


def _once(findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding where several roles have it in the same words."""
    seen: set[tuple[str, str]] = set()
    for finding in findings:
        if (finding.what, finding.hint) not in seen:
            seen.add((finding.what, finding.hint))
            yield finding
