"""What does the agent see of a caller, and why is it granted what it asks for, or not?

Whoever runs this is the caller, unless another is described: then nobody is asked, and the grants are tried on what
follows from the description.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from agent.assembly.callers import grants, token_grants, wanted
from agent.assembly.issuing import subject_of
from agent.assembly.sight import Sight, sight
from agent.callers import Facts, Grant
from agent.cli.reach import Access, presence, seen
from agent.cli.supposed import account_of, configure_supposed, supposed, with_patterns
from agent.cli.terminal import paint, say, show_json
from agent.cli.unread import settings_if_open, without
from agent.errors import ConfigurationError
from agent.settings import Settings
from agent.settings.callers import WHO
from agent.templates import Unfillable
from agent.wording import TokenGrant

HELP = "say what the agent sees of a caller, and which grants fit"
EXAMPLE = "rolecall who; rolecall who backup --unit backup@daily.service --user backup"

FAILED = 1

#: A grant of a role, or of tokens for one audience.
Written = Grant | TokenGrant

#: How facts are called to a person: as the words of grants where there is one.
_CALLED: Final = {fact: word for word, fact in WHO.items()} | {
    "unix.uid": "uid",
    "systemd.instance": "instance",
    "container.id": "container id",
    "container.engine": "engine",
    "process.pid": "pid",
    "peer.address": "address",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A grant, and what of it does not fit.

    Attributes:
        missing: pairs of a fact's name and the value that it should have.
        unfillable: a variable of the grant's templates that is not known of this caller; "" if there is none.
        before: the grant of the same role, or audience, that comes first and fits, so that this one does not count; ""
            if none.
    """

    grant: Written
    missing: tuple[tuple[str, str], ...]
    unfillable: str = ""
    before: str = ""

    @property
    def role(self) -> str:
        """The role that it gives; "" if it gives tokens."""
        return "" if isinstance(self.grant, TokenGrant) else self.grant.name

    @property
    def audience(self) -> str:
        """For whom it gives tokens; "" if it gives a role."""
        return self.grant.name if isinstance(self.grant, TokenGrant) else ""

    @property
    def counts(self) -> bool:
        """Whether it gives what it names."""
        return not self.missing and not self.unfillable and not self.before


@dataclass(frozen=True, slots=True)
class Found:
    """All there is to tell.

    Attributes:
        facts: what is known of the caller.
        granted: the roles that it may have: by the agent's own word, if it was asked.
        audiences: for whom it may have tokens, in the same way.
        judged: each grant of the configuration; None where that could not be read.
        asked: the agent that was asked; None for a caller that was described.
        sight: what the kernel can tell here, where it told less than the grants ask for.
        doubts: what else is odd, a sentence each.
    """

    facts: Facts
    granted: Sequence[str]
    judged: Sequence[Judged] | None
    asked: Access | None = None
    sight: Sight | None = None
    doubts: Sequence[str] = field(default=())
    audiences: Sequence[str] = field(default=())

    @property
    def names(self) -> Sequence[str]:
        """All that it may have."""
        return [*self.granted, *self.audiences]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the role or audience, the token file, and the words that describe another caller."""
    parser.add_argument(
        "role", metavar="ROLE|AUDIENCE", nargs="?", default="", help="say it of this role, or this audience, alone"
    )
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token that is shown to the agent")
    configure_supposed(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what is seen and each grant with what is missing; 0 if something is granted, 1 if not."""
    described, role = supposed(arguments), arguments.role
    settings = settings_if_open(arguments.config)
    if settings is None:
        if described:
            raise ConfigurationError(
                "the configuration, which has the grants, may not be read by this user",
                hint="run this as the user of the agent, or as root; or leave out the words that describe a caller",
            )
        found = _seen_of(without(role, arguments.token_file, os.environ))
    elif role and role not in {*settings.roles, *(one.name for one in _written(settings))}:
        audiences = {one.name for one in _written(settings)} - settings.roles.keys()
        known = ", ".join([*sorted(settings.roles), *sorted(audiences)])
        raise ConfigurationError(f"the configuration has no role or audience {role!r}", hint=f"it has: {known}")
    elif described:
        found = _described(described, _written(settings))
    else:
        found = _asked(settings, role, arguments.token_file)
    if arguments.json:
        show_json(_document(found, role))
    else:
        print("\n".join(_lines(found, role)))
        _explain(found, role)
    return 0 if found.names and role in ("", *found.names) else FAILED


# --- finding out


def _written(settings: Settings) -> list[Written]:
    """All that the configuration grants to callers on this machine."""
    return [*grants(settings.grants), *token_grants(settings.grants, subject_of(settings))]


def _described(facts: Facts, written: Sequence[Written]) -> Found:
    """What the grants come to for a caller of whom this is so."""
    judged = _judged(facts, written)
    granted = sorted({one.role for one in judged if one.counts and one.role})
    audiences = sorted({one.audience for one in judged if one.counts and one.audience})
    return Found(facts, granted, judged, doubts=_strangers(facts), audiences=audiences)


def _strangers(facts: Facts) -> list[str]:
    """Who is named, and has no account here."""
    names = (
        [] if any(name == "unix.uid" for name, _ in facts) else [value for name, value in facts if name == "unix.user"]
    )
    return [f"there is no user {name!r} on this machine, so its groups are not known" for name in sorted(names)]


def _seen_of(reach: Access) -> Found:
    """What the running agent says of us. Raises AgentUnreachable."""
    document = seen(reach)
    facts = frozenset((name, value) for name, value in document["facts"])
    roles, audiences = _texts(document["granted"], "role"), _texts(document.get("tokens"), "audience")
    return Found(facts, roles, None, reach, audiences=audiences)


def _texts(listed: object, member: str) -> list[str]:
    """The texts that stand under a name in each of a list, as far as there are such."""
    several = listed if isinstance(listed, list) else []
    texts = {one.get(member) for one in several if isinstance(one, Mapping)}
    return sorted(text for text in texts if isinstance(text, str))


def _asked(settings: Settings, role: str, token_file: Path | None) -> Found:
    """What the running agent says of us, and what the configuration says to that. Raises AgentUnreachable."""
    doubts = []
    try:
        reach = presence(settings, role, token_file)
    except ConfigurationError as error:
        if token_file is not None:
            raise
        reach = Access(role, settings.listen.credentials)
        doubts.append(f"no token was shown: {error.what}")
    found, written = _seen_of(reach), _written(settings)
    judged = _judged(found.facts, written)
    fitting = {(one.role, one.audience) for one in judged if not one.missing}
    if fitting != {*((role, "") for role in found.granted), *(("", one) for one in found.audiences)}:
        ours = _listed(sorted(role or audience for role, audience in fitting))
        said = f"the agent grants {_listed(sorted(found.names))}, and {settings.path} {ours}"
        doubts.append(f"{said}: it runs with another configuration; restart it, or name its own with -c")
    unfillable = {(one.role, one.audience) for one in judged if one.unfillable and not one.before}
    granted = [name for name in found.granted if (name, "") not in unfillable]
    audiences = [name for name in found.audiences if ("", name) not in unfillable]
    untold, kernel = _untold(found.facts, written), None
    if untold and settings.callers.recognise == "off":
        doubts.append('callers.recognise is "off", so nobody is known by what the kernel tells')
    elif untold:
        kernel = sight()
    return replace(found, granted=granted, judged=judged, sight=kernel, doubts=doubts, audiences=audiences)


def _untold(facts: Facts, written: Sequence[Written]) -> bool:
    """Whether grants ask for what the kernel tells of everybody, and it has not told it of this caller."""
    told = {name for name, _ in facts}
    units = any(name.startswith("systemd.") for grant in written for name, _ in grant.when)
    return wanted(written).kernel and ("unix.uid" not in told or (units and "systemd.unit" not in told))


def _judged(facts: Facts, written: Sequence[Written]) -> list[Judged]:
    """Each grant, in the order of the configuration, with what is missing."""
    known = with_patterns(facts, {fact for grant in written for fact in grant.when})
    judged: list[Judged] = []
    first: dict[tuple[type[Written], str], str] = {}
    for grant in written:
        missing, unfillable = tuple(sorted(grant.when - known)), ""
        before = "" if missing else first.setdefault((type(grant), grant.name), grant.setting)
        try:
            grant.extent.filled(known)
        except Unfillable as error:
            unfillable = str(error)
        judged.append(Judged(grant, missing, unfillable, "" if before == grant.setting else before))
    return judged


# --- telling


def _lines(found: Found, role: str) -> Iterator[str]:
    """The result, for a person."""
    if found.asked is not None:
        yield paint(f"what the agent at {found.asked.address} sees of this caller:", "bold")
    shown = [(name, value) for name, value in sorted(found.facts) if not name.endswith(".like")]
    yield from (f"  {_CALLED.get(name, name):<14} {value}" for name, value in shown)
    if not shown:
        yield "  nothing: it showed no token that is known, and the kernel tells nothing of it"
    if found.judged is None:
        yield paint(f"granted: {_listed([*found.granted, *map(_tokens_for, found.audiences)])}", "bold")
        return
    yield paint("which grants fit:", "bold")
    accounts = account_of(found.facts)
    for one in found.judged:
        if role in ("", one.grant.name):
            yield _line(one, found, accounts)


def _line(one: Judged, found: Found, accounts: Facts) -> str:
    name = f"{one.grant.setting}: {one.role or _tokens(one)}"
    if one.missing:
        lacking = "; ".join(_lacking(*fact, found, accounts) for fact in one.missing)
        return f"  {paint('no ', 'red')}  {name}: {lacking}"
    if one.before:
        return f"  {paint('yes', 'dim')}  {name}, but {one.before} comes first and counts"
    if one.unfillable:
        lacking = f"it names ${{{one.unfillable}}}, which is not known of this caller"
        return f"  {paint('no ', 'red')}  {name}: {lacking}"
    return f"  {paint('yes', 'green')}  {name}"


def _tokens(one: Judged) -> str:
    scopes = one.grant.extent.scopes if isinstance(one.grant, TokenGrant) else ()
    return _tokens_for(one.audience) + (f" with the scopes {' '.join(scopes)}" if scopes else "")


def _tokens_for(audience: str) -> str:
    return f"tokens for {audience}"


def _lacking(name: str, value: str, found: Found, accounts: Facts) -> str:
    """Say what should be so and is not, and what is so instead."""
    kind = name.removesuffix(".like")
    called = _CALLED.get(kind, kind)
    have = sorted({known for fact, known in found.facts | accounts if fact == kind and _is_name(known, value)})
    if kind == "token.file":
        return f"the token in {value} must be shown, and {'another was' if have else 'was not'}"
    if kind == "token.unit":
        return f"the token of unit {value} must be shown, and {'another was' if have else 'was not'}"
    wanting = f"{called} must {'fit' if name != kind else 'be'} {value}"
    unknown = "is not known" if found.asked else "was not said"
    return f"{wanting}, and is {', '.join(have)}" if have else f"{wanting}, and {unknown}"


def _is_name(known: str, wanted_value: str) -> bool:
    """Whether to compare with it: a number where a number is wanted, a name where a name is."""
    return known.isdecimal() == wanted_value.isdecimal()


def _explain(found: Found, role: str) -> None:
    """What is no result, and helps to understand it."""
    for doubt in found.doubts:
        say(f"{paint('warning', 'yellow', sys.stderr)}: {doubt}")
    if found.sight is not None:
        _explain_sight(found.sight)
    if len(found.granted) > 1 and not role:
        say(f"granted are {_listed(found.granted)}: one of them must be asked for by name")
    elif not found.names or role not in ("", *found.names):
        say(f"not granted: {role or 'anything'}")
        if found.asked is not None:
            say("hint: a service is seen otherwise; describe it: rolecall who --unit NAME.service --user NAME")
            say("      or be as it is: systemd-run --pipe --wait --uid=USER --slice=SLICE rolecall who")


def _explain_sight(kernel: Sight) -> None:
    for one in kernel.wanting:
        say(f"{paint('warning', 'yellow', sys.stderr)}: {one.what}\nhint: {one.hint}")
    if not kernel.wanting:
        say(f"{paint('warning', 'yellow', sys.stderr)}: the agent was told less by the kernel than this command is")
        say("hint: is AF_NETLINK among RestrictAddressFamilies= of its unit? see: journalctl -u rolecall")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _document(found: Found, role: str) -> dict[str, object]:
    judged = None if found.judged is None else [one for one in found.judged if role in ("", one.grant.name)]
    return {
        "agent": None if found.asked is None else str(found.asked.address),
        "facts": sorted(found.facts),
        "granted": found.granted,
        "audiences": found.audiences,
        "grants": None if judged is None else [_described_grant(one) for one in judged],
        "kernel": None if found.sight is None else _described_sight(found.sight),
        "warnings": found.doubts,
    }


def _described_sight(kernel: Sight) -> dict[str, object]:
    wanting = [(one.what, one.hint) for one in kernel.wanting]
    return {"users": kernel.users, "units": kernel.units, "wanting": wanting}


def _described_grant(one: Judged) -> dict[str, object]:
    return {
        "grant": one.grant.setting,
        "role": one.role or None,
        "audience": one.audience or None,
        "scopes": one.grant.extent.scopes if isinstance(one.grant, TokenGrant) else None,
        "fits": not one.missing,
        "counts": one.counts,
        "missing": one.missing,
        "unfillable": one.unfillable or None,
    }
