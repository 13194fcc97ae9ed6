"""Can tokens of others be verified: are the keys of each rule's issuer to be had, and has the agent got them?"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.doctor import Finding, Tried

_RESTART = "restart it: systemctl restart rolecall; or name its configuration with -c"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one rule from here.

    Attributes:
        issuer: whose keys it needs; "own" for ourselves.
        taken: the algorithms that the rule takes.
        shown: those that the keys of the issuer verify; none where it is ourselves, whose keys the link key has tried.
        problem: why the keys cannot be had; "" if they can.
        hint: what to do about that.
        untried: why nobody knows, where nobody does; "" elsewhere.
    """

    rule: str
    issuer: str
    taken: Collection[str]
    shown: Collection[str] = ()
    problem: str = ""
    hint: str = ""
    untried: str = ""


def examined(seen: Sequence[Seen], status: Mapping[str, Any] | None) -> Tried:
    """The link; `status` is what the running agent says of itself, None if there is none."""
    findings = [finding for one in seen for finding in _of_issuer(one)]
    findings += _of_agent(seen, status) if status is not None else ()
    good = [one.rule for one in seen if not one.problem and not one.untried]
    untried = next((one.untried for one in seen if one.untried), "")
    named = ", ".join(good[:5]) + (", …" if len(good) > 5 else "")
    said = f"tokens can be verified by the rule{'' if len(good) == 1 else 's'} {named}" if good else ""
    is_broken = any(one.severity == "error" for one in findings)
    return Tried("rules", "" if is_broken else said, tuple(findings), untried)


def _of_issuer(one: Seen) -> Iterator[Finding]:
    """What is wrong with an issuer, as it is seen from here."""
    if one.problem:
        said = f"no token can be verified by the rule {one.rule}: {one.problem}"
        yield Finding("rules", "error", said, one.hint, about=one.issuer)
    elif one.shown and not {*one.taken} & {*one.shown}:
        said = f"{one.issuer} has keys for {_listed(one.shown)} alone, and the rule {one.rule} takes"
        hint = f"name what its tokens are signed with in verify.{one.rule}.algorithms"
        yield Finding("rules", "error", f"{said} {_listed(one.taken)}", hint)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def _of_agent(seen: Sequence[Seen], status: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the agent that runs: other rules, or no keys where there are some."""
    told = status.get("rules")
    rules = {str(one.get("rule")): one for one in (told if isinstance(told, list) else []) if isinstance(one, Mapping)}
    here = {one.rule for one in seen}
    if rules.keys() != here:
        said = f"the agent that runs has other rules ({_listed(rules) or 'none'}) than the configuration"
        yield Finding("rules", "error", f"{said} ({_listed(here)})", _RESTART)
        return
    for one in seen:
        if not one.problem and rules[one.rule].get("problem"):
            said = f"the agent could not read the keys for the rule {one.rule}, and from here it works"
            hint = "if it was mended just now, have the agent try at once: systemctl reload rolecall"
            yield Finding("rules", "warning", f"{said}: {rules[one.rule]['problem']}", hint, "likely")
