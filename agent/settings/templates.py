"""What in a grant waits for the caller, and what is known when the configuration is read?

${HOST} and ${ROLE} are; the others stay as they are, to be filled in from the facts about each caller. What stands
between them has to be what AWS takes, since nobody looks at it later.
"""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Final

from agent.settings.mistakes import Wrong, shown_word
from agent.settings.section import Surroundings
from agent.settings.spelling import text
from agent.templates import VARIABLES
from agent.tokens import tag_value_fault

#: What is filled in when the configuration is read; ROLE for each of the roles that are granted.
_EARLY: Final = ("HOST", "ROLE")
#: What is known of callers on this machine: those inside AWS are given no roles.
_OF_MACHINE: Final = [name for name in VARIABLES if not name.startswith("AWS_")]
_PART: Final = re.compile(r"\$(?:\{([^{}]*)\})?")
#: What names of users, units and containers may have in them, colons aside: users have none, nor have containers, and
#: of two units one is known by the other.
_IN_NAMES: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.@\\+$ ")
#: Variables that stand for nothing but digits.
_NUMBERS: Final = frozenset({"UID", "AWS_ACCOUNT"})
#: The same where a dollar sign can be written, as $$; not before a brace, where it would be read again later.
_PART_OR_DOLLAR: Final = re.compile(r"\$\$(?!\{)|\$(?:\{([^{}]*)\})?")
#: What AWS takes in names of sessions and source identities (STS API reference).
_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]*")
_SHORTEST_NAME: Final = 2
_LONGEST_NAME: Final = 64


def for_role(template: str, role: str) -> str:
    """Fill in ${ROLE}."""
    return template.replace("${ROLE}", role)


def variables(texts: Iterable[str]) -> list[str]:
    """Names of what has to be known of a caller, each once, in the order in which they stand there."""
    return [name for name in _named(texts) if name in VARIABLES]


def run_together(template: str) -> tuple[str, str] | None:
    """Two variables that nothing keeps apart, so that two callers may come to one text: "a-b" and "c", "a" and "b-c".

    What stands between them does, if it has a mark that is in no name of either kind; numbers have no marks at all.
    """
    found = list(_PART.finditer(template))
    for one, other in pairwise(found):
        between = template[one.end() : other.start()]
        names = {one[1], other[1]}
        if names & _NUMBERS:
            apart = any(not mark.isdigit() for mark in between)
        else:
            apart = any(mark not in _IN_NAMES for mark in between) and "AWS_PRINCIPAL" not in names
        if not apart:
            return one[1], other[1]
    return None


def name_fault(template: str) -> str:
    """What keeps AWS from taking this as a name of a session or a source identity; "" if nothing does.

    What is filled in for a caller is made to fit then, by narrowing; what stands here is not.
    """
    fixed, named = _PART.sub("", template), _named([template])
    if not _NAME.fullmatch(fixed):
        return "has characters other than A-Z a-z 0-9 _ + = , . @ -, which are what AWS takes"
    if len(fixed) > _LONGEST_NAME:
        return f"is longer than the {_LONGEST_NAME} characters that AWS takes"
    if len(fixed) < _SHORTEST_NAME and not named:
        return f"is shorter than the {_SHORTEST_NAME} characters that AWS wants"
    return ""


def value_fault(template: str) -> str:
    """What keeps AWS from taking what this comes to as the value of a tag; "" if nothing does."""
    fault = tag_value_fault(_PART.sub("", template))
    return f"the value of the tag {fault}" if fault else ""


def _named(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for template in texts for name in _PART.findall(template)))


def _waiting(value: str, surroundings: Surroundings) -> str:
    """Fill in ${HOST}, and leave ${ROLE} and what only the caller decides. Raises Wrong."""

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            raise Wrong("has a lone dollar sign, which AWS does not take here; leave it out, or write it as in ${USER}")
        if name not in _EARLY and name not in _OF_MACHINE:
            known = ", ".join(f"${{{one}}}" for one in (*_EARLY, *_OF_MACHINE))
            raise Wrong(f"${{{shown_word(name)}}} is unknown here; a grant knows {known}")
        return surroundings.names["HOST"] if name == "HOST" else match[0]

    return _PART.sub(fill, value)


def _name(value: str, surroundings: Surroundings) -> str:
    template = _waiting(value, surroundings)
    if fault := name_fault(template):
        raise Wrong(fault)
    return template


def caller_tag(value: str, surroundings: Surroundings) -> str:
    """Read the value of a tag of a grant. Raises Wrong."""
    template = _waiting(value, surroundings)
    if fault := value_fault(template):
        raise Wrong(fault)
    return template


def claim_template(value: str, surroundings: Surroundings) -> str:
    """Read a text of a token for others: fill in ${HOST}, and leave what only the caller decides. Raises Wrong."""

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if match[0] == "$$":
            return "$"
        if name is None:
            raise Wrong("has a lone dollar sign; write $$ for a dollar sign, and ${USER} to have a value put in")
        if name != "HOST" and name not in VARIABLES:
            known = ", ".join(f"${{{one}}}" for one in ("HOST", *VARIABLES))
            raise Wrong(f"${{{shown_word(name)}}} is unknown here; a token knows {known}")
        return surroundings.names["HOST"] if name == "HOST" else match[0]

    return _PART_OR_DOLLAR.sub(fill, value)


#: The name of a session, or a source identity, in a grant.
CallerName = Annotated[str, text(_name)]
