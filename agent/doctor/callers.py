"""Are callers seen as what the grants name, and is there anybody on this machine whom they name?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from agent.doctor import Finding, Severity, Sureness, Tried
from agent.errors import AgentError

#: What a grant can name of which this machine knows whether it is there.
Kind = Literal["user", "group", "unit", "container", "executable"]

_LATER: Final = "correct the name; if it is only not there yet, the grant counts as soon as it is"
_HOW: Final[Mapping[Kind, str]] = {
    "user": f"{_LATER}: getent passwd",
    "group": f"{_LATER}: getent group",
    "unit": "correct the name: systemctl list-unit-files; one that systemd-run makes is there only while it runs",
    "container": "correct the name: rolecall goes by the one in NAMES of podman ps, or docker ps",
    "executable": "name the program itself by its whole path, as readlink -f says it; not a link, and not a script",
}
_RESTART: Final = (
    "restart it, if the grants are newer than it is; or see what it says at its start: journalctl -u rolecall"
)


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody whom a grant names, and the setting that does, as in "grants#2.user"."""

    setting: str
    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Meant:
    """What the grants ask for.

    Attributes:
        by_kernel: whether any names what only the kernel tells of callers.
        by_unit: whether any names units or slices.
        by_itself: whether anybody is granted something without a token.
        absent: those named of whom this machine knows nothing.
        uid: the user as whom the agent was asked just now.
        url: what leads programs to the agent.
    """

    by_kernel: bool
    by_unit: bool
    by_itself: bool
    absent: Sequence[Named]
    uid: int
    url: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen.

    Attributes:
        kernel: what the kernel does not tell here, most serious first, and what to do about it.
        users, units: whether the kernel tells those.
        engine: what is wrong with the engine of containers that some grant needs; None if nothing is.
        answer: what the agent says of us, `facts` in it being pairs; why not, or None if it was not asked.
        everybody: what AWS_CONTAINER_CREDENTIALS_FULL_URI is for everybody on this machine; "" if it is not set.
    """

    users: bool = True
    units: bool = True
    kernel: Sequence[tuple[str, str]] = ()
    engine: AgentError | None = None
    answer: Mapping[str, Any] | AgentError | None = field(default=None, repr=False)
    everybody: str = ""


def examined(meant: Meant, seen: Seen) -> Tried:
    """The link."""
    findings = [*_answered(meant, seen), *_kernel(meant, seen), *_engine(seen), *_absent(meant), *_led(meant, seen)]
    is_unasked = seen.answer is None and meant.by_kernel
    why = "no agent answers as it should, so whom it sees was not asked" if is_unasked else ""
    good = ""
    if not any(finding.severity != "note" for finding in findings):
        good = (
            "callers are seen as the grants mean" if meant.by_kernel else "no grant needs the kernel to say who calls"
        )
        if seen.answer is not None and meant.by_kernel:
            good += f", and the agent sees that this is user {meant.uid}"
    return Tried("callers", good, tuple(findings), why)


def _answered(meant: Meant, seen: Seen) -> Iterator[Finding]:
    """What is wrong with what the agent sees of us."""
    answer = seen.answer
    if answer is None:
        return
    if isinstance(answer, AgentError):
        yield Finding("callers", "warning", answer.what, answer.hint)
        return
    facts = {(str(name), str(value)) for name, value in answer["facts"]}
    if not meant.by_kernel or not seen.users:  # then why not is said of the kernel
        return
    users = sorted(value for name, value in facts if name == "unix.uid")
    if not users:
        said = "grants name callers by what they are, and the agent does not see what this process is"
        yield Finding("callers", "error", said, _RESTART, "likely")
    elif users != [str(meant.uid)]:
        said = f"the agent takes this process for user {', '.join(users)}, and it is user {meant.uid}"
        yield Finding(
            "callers", "error", said, "run the agent in the user namespace of its callers, not in a container"
        )
    elif meant.by_unit and seen.units and not any(name.startswith("systemd.") for name, _ in facts):
        said = "grants name units, and the agent sees none around this process"
        yield Finding("callers", "warning", said, _RESTART, "possible")


def _kernel(meant: Meant, seen: Seen) -> Iterator[Finding]:
    """What the kernel cannot tell, as far as it is asked for."""
    if not meant.by_kernel:
        return
    is_needed = not seen.users or (meant.by_unit and not seen.units)
    for number, (what, hint) in enumerate(seen.kernel):
        severity: Severity = "warning" if is_needed or meant.by_unit else "note"
        yield Finding("callers", "error" if is_needed and number == 0 else severity, what, hint)


def _engine(seen: Seen) -> Iterator[Finding]:
    if seen.engine is not None:
        said = f"grants name containers, and {seen.engine.what}"
        yield Finding("callers", "error", said, seen.engine.hint, "likely")


def _absent(meant: Meant) -> Iterator[Finding]:
    """Those whom a grant names and nobody knows."""
    for one in meant.absent:
        there = "runs here" if one.kind == "container" else "is on this machine"
        said = f"{one.setting}: no {one.kind} {one.name!r} {there}, so this grant gives nothing to anybody"
        sure: Sureness = "likely" if one.kind in {"unit", "container"} else "certain"
        yield Finding("callers", "warning", said, _HOW[one.kind], sure)


def _led(meant: Meant, seen: Seen) -> Iterator[Finding]:
    """Whether programs of everybody find the agent; another address is told of with the rest of the environment."""
    if meant.by_itself and not seen.everybody:
        said = "no variable leads the programs of everybody to the agent, only those that are given it by themselves"
        hint = f"for one URL, {meant.url}, on the whole machine: rolecall env --format environment >>/etc/environment"
        yield Finding("callers", "note", said, hint, "possible")
