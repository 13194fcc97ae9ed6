"""Does a condition of a policy hold?

The operators of IAM's policy language. A key that the request lacks makes a positive operator fail and a negated
one hold; `…IfExists` makes either hold; ForAllValues holds of nothing at all, ForAnyValue never does.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

#: What a request says of itself: lower-case key to its values. A key that is absent is not there.
Context = Mapping[str, tuple[str, ...]]
#: Whether a value of the request matches a value of the policy.
Match = Callable[[str, str], bool]

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Operator:
    """A condition operator, taken apart: ForAllValues:StringNotLikeIfExists."""

    match: Match
    negated: bool
    if_exists: bool
    quantifier: str  # "", "forallvalues", "foranyvalue"


@dataclass(frozen=True, slots=True)
class Condition:
    """One key under one operator, with the values of which any is enough. `operator` None is the operator Null."""

    operator: Operator | None
    key: str
    values: tuple[str, ...]

    def holds(self, context: Context) -> bool:
        """Whether the request meets it."""
        present = context.get(self.key.lower())
        if self.operator is None:
            return any((value.lower() == "true") == (present is None) for value in self.values)
        wanted = [one for one in (substitute(value, context) for value in self.values) if one is not None]
        return _compare(self.operator, present, wanted)


def _compare(operator: Operator, present: tuple[str, ...] | None, wanted: Sequence[str]) -> bool:
    """Apply the operator; `present` None means that the request has no such key."""

    def meets(value: str) -> bool:
        return any(operator.match(value, one) for one in wanted) != operator.negated

    if present is None and operator.if_exists:
        return True
    match operator.quantifier:
        case "forallvalues":
            return all(meets(value) for value in present or ())
        case "foranyvalue":
            return any(meets(value) for value in present or ())
    if not present:
        return operator.negated
    if operator.negated:  # of a key with several values, none may match
        return all(meets(value) for value in present)
    return any(meets(value) for value in present)


def operator_named(name: str) -> Operator | None:
    """The operator of this name in any case; None for Null. Raises KeyError if IAM has no such operator."""
    quantifier, colon, rest = name.lower().rpartition(":")
    if colon and quantifier not in ("forallvalues", "foranyvalue"):
        raise KeyError(name)
    if rest == "null" and not colon:
        return None
    base = rest.removesuffix("ifexists")
    match, negated = _OPERATORS[base]
    return Operator(match, negated, base != rest, quantifier)


def substitute(text: str, context: Context) -> str | None:
    """Fill in policy variables such as ${aws:PrincipalTag/Team}; None where one has no single value.

    A variable may carry a default: ${aws:PrincipalTag/Team, 'none'}. ${*}, ${?} and ${$} stand for the letters
    themselves; so do the wildcards in what is filled in.
    """
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        name, comma, default = found[1].partition(",")
        if name in ("*", "?", "$"):
            return _LITERAL[name]
        values = context.get(name.strip().lower(), ())
        if len(values) == 1:
            return values[0].translate(_AS_LETTERS)
        if comma:
            return default.strip().strip("'").translate(_AS_LETTERS)
        missing = True
        return ""

    filled = _VARIABLE.sub(value, text)
    return None if missing else filled


# Wildcards that are to be taken as letters travel as characters of a private use area.
_LITERAL: Final = {"*": "\ue000", "?": "\ue001", "$": "$"}
_AS_LETTERS: Final = str.maketrans({"*": "\ue000", "?": "\ue001"})
_BACK: Final = str.maketrans({"\ue000": "*", "\ue001": "?"})


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    """A policy's wildcards as a regular expression: * is any run of characters, ? any one."""
    pieces = {"*": ".*", "?": "."}
    return re.compile("".join(pieces.get(one) or re.escape(one.translate(_BACK)) for one in text), re.DOTALL)


def like(value: str, pattern: str) -> bool:
    """Whether the whole value fits the pattern; case matters."""
    return _pattern(pattern).fullmatch(value) is not None


def arn_like(value: str, pattern: str) -> bool:
    """Whether the six parts of an ARN fit part by part; a wildcard does not cross the first five colons."""
    parts, wanted = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(wanted) == 6 and all(map(like, parts, wanted))


def _equals(value: str, wanted: str) -> bool:
    return value == wanted.translate(_BACK)


def _equals_ignoring_case(value: str, wanted: str) -> bool:
    return value.casefold() == wanted.translate(_BACK).casefold()


def _truth(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _address(value: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _ordered(read: Callable[[str], Decimal | None], test: Callable[[Decimal, Decimal], bool]) -> Match:
    """A comparison of numbers or dates; what cannot be read as one matches nothing."""

    def match(value: str, wanted: str) -> bool:
        left, right = read(value), read(wanted)
        return left is not None and right is not None and test(left, right)

    return match


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _date(text: str) -> Decimal | None:
    """An ISO 8601 moment or seconds since 1970, as IAM takes both."""
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Decimal(str(aware.timestamp()))


_TESTS: Final[Mapping[str, tuple[Callable[[Decimal, Decimal], bool], bool]]] = {
    "equals": (lambda left, right: left == right, False),
    "notequals": (lambda left, right: left == right, True),
    "lessthan": (lambda left, right: left < right, False),
    "lessthanequals": (lambda left, right: left <= right, False),
    "greaterthan": (lambda left, right: left > right, False),
    "greaterthanequals": (lambda left, right: left >= right, False),
}
#: Operator in lower case to what it compares with, and whether the outcome is turned round.
_OPERATORS: Final[Mapping[str, tuple[Match, bool]]] = {
    "stringequals": (_equals, False),
    "stringnotequals": (_equals, True),
    "stringequalsignorecase": (_equals_ignoring_case, False),
    "stringnotequalsignorecase": (_equals_ignoring_case, True),
    "stringlike": (like, False),
    "stringnotlike": (like, True),
    "bool": (_truth, False),
    "arnequals": (arn_like, False),
    "arnlike": (arn_like, False),
    "arnnotequals": (arn_like, True),
    "arnnotlike": (arn_like, True),
    "ipaddress": (_address, False),
    "notipaddress": (_address, True),
    **{f"numeric{name}": (_ordered(_number, test), negated) for name, (test, negated) in _TESTS.items()},
    **{f"date{name}": (_ordered(_date, test), negated) for name, (test, negated) in _TESTS.items()},
}
