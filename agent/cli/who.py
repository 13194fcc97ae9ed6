"""What does the agent see of a caller, and why is it granted what it asks for, or not?

Whoever runs this is the caller, unless another is described: then nobody is asked, and the grants are tried on what was
said of it.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.assembly.callers import grants
from agent.callers import Facts, Grant
from agent.cli.configuration import settings_of
from agent.cli.reach import Stranger, access, get
from agent.cli.terminal import paint, say, show_json
from agent.errors import ConfigurationError
from agent.patterns import fits
from agent.settings import Settings

HELP = "say what the agent sees of a caller, and which grants fit"
EXAMPLE = "rolecall who; rolecall who backup --unit backup@daily.service --user backup"

FAILED = 1

#: What can be said of somebody else, and the fact that it is.
_SAID = {
    "user": "unix.user",
    "uid": "unix.uid",
    "group": "unix.group",
    "unit": "systemd.unit",
    "user_unit": "systemd.user_unit",
    "slice": "systemd.slice",
    "container": "container.name",
    "executable": "process.executable",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A grant, and what of it does not fit: pairs of a fact's name and the value that it should have."""

    grant: Grant
    missing: tuple[tuple[str, str], ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the role, the token file, and the words that describe another caller."""
    parser.add_argument("role", metavar="ROLE", nargs="?", default="", help="say it of this role alone")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token to show to the agent")
    other = parser.add_argument_group("another caller, without asking the agent")
    for word in _SAID:
        other.add_argument(f"--{word.replace('_', '-')}", action="append", default=[], metavar=word.upper())


def run(arguments: argparse.Namespace) -> int:
    """Print what is seen and each grant with what is missing; 0 if something is granted, 1 if not."""
    settings = settings_of(arguments.config)
    if arguments.role and arguments.role not in settings.roles:
        known = ", ".join(sorted(settings.roles))
        raise ConfigurationError(f"the configuration has no role {arguments.role!r}", hint=f"it has: {known}")
    written = [grant for grant in grants(settings.grants) if arguments.role in ("", grant.role)]
    described = {(fact, value) for word, fact in _SAID.items() for value in getattr(arguments, word)}
    if described and arguments.token_file is not None:
        raise ConfigurationError(
            "a token is shown to the agent, which is not asked about another caller",
            hint="leave out --token-file, or the words that describe the caller",
        )
    facts = _implied(described, written) if described else _seen(settings, arguments)
    judged = [Judged(grant, tuple(sorted(grant.when - facts))) for grant in written]
    granted = sorted({one.grant.role for one in judged if not one.missing})
    if arguments.json:
        show_json(_document(facts, judged, granted))
    else:
        _show(facts, judged, granted, arguments.role)
    return 0 if granted and arguments.role in ("", *granted) else FAILED


def _seen(settings: Settings, arguments: argparse.Namespace) -> Facts:
    """What the running agent sees of us. Raises AgentUnreachable."""
    reach = access(settings, arguments.role, arguments.token_file)
    headers = {} if reach.token is None else {"Authorization": reach.token.reveal()}
    document = get(reach.address, "/v1/who", headers).document
    facts = document.get("facts")
    if not isinstance(facts, list) or not all(_is_fact(one) for one in facts):
        raise Stranger(reach.address)
    return frozenset((str(name), str(value)) for name, value in facts)


def _is_fact(one: Any) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one)


def _implied(described: set[tuple[str, str]], written: Sequence[Grant]) -> Facts:
    """What was said, and the patterns of grants that it fits."""
    wanted = {fact for grant in written for fact in grant.when if fact[0].endswith(".like")}
    like = {
        (name, pattern)
        for name, pattern in wanted
        if any(fact == name.removesuffix(".like") and fits(pattern, value) for fact, value in described)
    }
    return frozenset(described | like)


def _show(facts: Facts, judged: Sequence[Judged], granted: Sequence[str], role: str) -> None:
    shown = [(name, value) for name, value in sorted(facts) if not name.endswith(".like")]
    for name, value in shown:
        print(f"{name:<20} {value}")
    if not shown:
        say("nothing is known of this caller: no token that is known here, and the kernel tells nothing of it")
    for one in judged:
        name = f"{one.grant.setting or 'grant'}: {one.grant.role}"
        if one.missing:
            print(f"{paint('no ', 'red')}  {name}: {'; '.join(_lacking(*fact, facts) for fact in one.missing)}")
        else:
            print(f"{paint('yes', 'green')}  {name}")
    if len(granted) > 1 and not role:
        say(f"granted are {', '.join(granted)}: one of them must be asked for by name, /v1/credentials answers 409")
    elif not granted:
        say(f"not granted: {role or 'anything'}")


def _lacking(name: str, value: str, facts: Facts) -> str:
    """Say what should be so and is not, and what is so instead."""
    kind = name.removesuffix(".like")
    have = sorted(known for fact, known in facts if fact == kind)
    wanted = f"{kind} must {'fit' if name != kind else 'be'} {value}"
    return f"{wanted}, and is {', '.join(have)}" if have else f"{wanted}, and is not known"


def _document(facts: Facts, judged: Sequence[Judged], granted: Sequence[str]) -> dict[str, object]:
    return {
        "facts": sorted(facts),
        "granted": granted,
        "grants": [
            {"grant": one.grant.setting, "role": one.grant.role, "fits": not one.missing, "missing": one.missing}
            for one in judged
        ],
    }
