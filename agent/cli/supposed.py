"""What would be known of a caller that is only described?"""

import argparse
import contextlib
import grp
import os
import pwd
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from agent.callers import Facts
from agent.patterns import fits
from agent.settings import aws_callers
from agent.settings.callers import WHO
from agent.settings.likeness import around

#: What can be said of somebody else on this machine, and the fact that it is; the words are those of grants.
WORDS: Final = {word: fact for word, fact in WHO.items() if word not in {"token_file", *aws_callers.WHO}}

_HELP: Final = {
    "user": "its user, by name or number; what the account's groups are is looked up",
    "group": "a group of that user",
    "unit": "its unit, as in backup@daily.service",
    "user_unit": "its unit, if its user's own systemd has started it",
    "slice": "a slice that it is in",
    "container": "the name of its container",
    "unit_token": "the unit whose token it shows",
    "executable": "the program that it is",
}


def configure_supposed(parser: argparse.ArgumentParser) -> None:
    """Add the words that describe another caller."""
    other = parser.add_argument_group("another caller, of whom the agent is not asked; each may be repeated")
    for word in WORDS:
        name = f"--{word.replace('_', '-')}"
        other.add_argument(name, action="append", default=[], metavar=word.upper(), help=_HELP[word])


def supposed(arguments: argparse.Namespace) -> Facts:
    """All that follows from the description by itself; nothing if none was given."""
    said = [(word, value) for word in WORDS for value in getattr(arguments, word)]
    if not said:
        return frozenset()
    if arguments.token_file is not None:
        said.append(("token_file", str(arguments.token_file.absolute())))
    return frozenset(fact for word, value in said for fact in _implied(word, value))


def with_patterns(facts: Facts, wanted: Iterable[tuple[str, str]]) -> Facts:
    """The facts, and which of the `wanted` patterns they fit."""
    like = {
        (name, pattern)
        for name, pattern in wanted
        if name.endswith(".like")
        and any(fact == name.removesuffix(".like") and fits(pattern, value) for fact, value in facts)
    }
    return facts | like


def _implied(word: str, value: str) -> Iterator[tuple[str, str]]:
    match word:
        case "user":
            yield from _account(value)
        case "unit":
            yield WHO[word], value
            _, at, instance = value.rpartition(".")[0].partition("@")
            if at and instance:
                yield "systemd.instance", instance
        case "slice":
            yield from ((WHO[word], one) for one in (*around(value), value))
        case "executable":
            yield WHO[word], str(Path(value))
        case _:
            yield WHO[word], value


def _account(value: str) -> Iterator[tuple[str, str]]:
    """A user by name or by number, and its groups by both."""
    yield ("unix.uid" if value.isdecimal() else "unix.user"), value
    with contextlib.suppress(KeyError, OverflowError):
        entry = pwd.getpwuid(int(value)) if value.isdecimal() else pwd.getpwnam(value)
        yield "unix.uid", str(entry.pw_uid)
        yield "unix.user", entry.pw_name
        for number in os.getgrouplist(entry.pw_name, entry.pw_gid):
            yield "unix.group", str(number)
            with contextlib.suppress(KeyError):
                yield "unix.group", grp.getgrgid(number).gr_name


def account_of(facts: Facts) -> Facts:
    """What this machine's databases say of the user with the uid among the facts, and of its groups."""
    return frozenset(fact for name, value in facts if name == "unix.uid" for fact in _account(value))
