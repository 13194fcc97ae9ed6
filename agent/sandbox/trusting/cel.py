"""What does an expression over a token come to?

As much of CEL, the Common Expression Language, as providers of Google Cloud are usually told: claims by name, texts,
numbers, ==, !=, &&, ||, !, +, in, lists, startsWith, endsWith, contains and has. Anything else is refused when it is
read, and not when a token comes.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

#: What expressions are asked of: "assertion" holds the claims, "google" and "attribute" what they were mapped to.
Names = Mapping[str, object]
Expression = Callable[[Names], object]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)|(?P<sign>==|!=|&&|\|\||[-!+.,()\[\]]))"""
)
_METHODS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}


class Unclear(Exception):
    """This is no expression, or more than is understood here."""


class Unanswered(Exception):
    """The expression asks for something that the token does not have, or for texts where there are none."""


def read_expression(text: str) -> Expression:
    """Read an expression. Raises Unclear."""
    reader = _Reader(text)
    found = reader.either()
    reader.end()
    return found


class _Reader:
    """A recursive descent; each method reads what binds tighter than the one before it."""

    def __init__(self, text: str) -> None:
        self._left: list[str] = []
        at = 0
        while text[at:].strip():
            token = _TOKEN.match(text, at)
            if token is None:
                raise Unclear(f"nobody understands {text[at:].strip()[:40]!r}")
            self._left.append(token[0].strip())
            at = token.end()

    def end(self) -> None:
        if self._left:
            raise Unclear(f"{self._left[0]!r} was not expected")

    def either(self) -> Expression:
        left = self.both()
        while self._take("||"):
            left = _either(left, self.both())
        return left

    def both(self) -> Expression:
        left = self.relation()
        while self._take("&&"):
            left = _both(left, self.relation())
        return left

    def relation(self) -> Expression:
        left = self.sum()
        if self._take("=="):
            return _equal(left, self.sum(), same=True)
        if self._take("!="):
            return _equal(left, self.sum(), same=False)
        if self._take("in"):
            return _within(left, self.sum())
        return left

    def sum(self) -> Expression:
        left = self.term()
        while self._take("+"):
            left = _joined(left, self.term())
        return left

    def term(self) -> Expression:
        if self._take("!"):
            return _negated(self.term())
        if self._take("("):
            inner = self.either()
            self._expect(")")
            return self._members(inner)
        if self._take("["):
            return _listed(self._several("]"))
        return self._members(self._atom())

    def _atom(self) -> Expression:
        word = self._next()
        if word[:1] in "\"'":
            text = _text(word)
            return lambda _: text
        if word.isdecimal():
            number = int(word)
            return lambda _: number
        if word in ("true", "false"):
            truth = word == "true"
            return lambda _: truth
        if word == "has":
            self._expect("(")
            inner = self.sum()
            self._expect(")")
            return _there(inner)
        if word in ("assertion", "google", "attribute"):
            return lambda names: names[word]
        raise Unclear(f"{word!r} is unknown here")

    def _members(self, of: Expression) -> Expression:
        while True:
            if self._take("."):
                name = self._next()
                if self._take("("):
                    if name not in _METHODS:
                        raise Unclear(f"the function {name!r} is unknown here")
                    arguments = self._several(")")
                    if len(arguments) != 1:
                        raise Unclear(f"{name} takes one argument")
                    of = _called(name, of, arguments[0])
                else:
                    of = _member(of, name)
            elif self._take("["):
                key = self._next()
                self._expect("]")
                of = _member(of, _text(key))
            else:
                return of

    def _several(self, end: str) -> list[Expression]:
        found: list[Expression] = []
        while not self._take(end):
            if found:
                self._expect(",")
            found.append(self.either())
        return found

    def _take(self, token: str) -> bool:
        if self._left and self._left[0] == token:
            self._left.pop(0)
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise Unclear(f"{token!r} is missing")

    def _next(self) -> str:
        if not self._left:
            raise Unclear("it ends too early")
        return self._left.pop(0)


def _text(token: str) -> str:
    if token[:1] not in ('"', "'"):
        raise Unclear(f"{token} is no text")
    inner = token[1:-1]
    if token[:1] == "'":
        inner = inner.replace("\\'", "'").replace('"', '\\"')
    try:
        return str(json.loads(f'"{inner}"'))
    except ValueError as failure:
        raise Unclear(f"{token} is no text") from failure


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unanswered("a condition is neither true nor false")
    return value


def _either(left: Expression, right: Expression) -> Expression:
    return lambda names: _truth(left(names)) or _truth(right(names))


def _both(left: Expression, right: Expression) -> Expression:
    return lambda names: _truth(left(names)) and _truth(right(names))


def _negated(inner: Expression) -> Expression:
    return lambda names: not _truth(inner(names))


def _equal(left: Expression, right: Expression, *, same: bool) -> Expression:
    return lambda names: (left(names) == right(names)) is same


def _within(left: Expression, right: Expression) -> Expression:
    def within(names: Names) -> bool:
        held = right(names)
        if not isinstance(held, list | Mapping):
            raise Unanswered("something is to be in what is no list")
        return left(names) in held

    return within


def _joined(left: Expression, right: Expression) -> Expression:
    def joined(names: Names) -> str:
        first, second = left(names), right(names)
        if not isinstance(first, str) or not isinstance(second, str):
            raise Unanswered("what is no text was to be joined to a text")
        return first + second

    return joined


def _listed(members: list[Expression]) -> Expression:
    return lambda names: [member(names) for member in members]


def _member(of: Expression, name: str) -> Expression:
    def member(names: Names) -> object:
        held = of(names)
        if not isinstance(held, Mapping) or name not in held:
            raise Unanswered(f"there is no {name}")
        return held[name]

    return member


def _called(name: str, of: Expression, argument: Expression) -> Expression:
    def called(names: Names) -> bool:
        subject, other = of(names), argument(names)
        if not isinstance(subject, str) or not isinstance(other, str):
            raise Unanswered(f"{name} was asked of what is no text")
        return _METHODS[name](subject, other)

    return called


def _there(inner: Expression) -> Expression:
    def there(names: Names) -> bool:
        try:
            inner(names)
        except Unanswered:
            return False
        return True

    return there
