"""How is it said what is wrong, without saying too much?

A configuration is shown to colleagues and pasted into tickets, and so are its error messages; a secret that was
written into it by mistake must not travel with them. So messages quote only what is short, printable and does
not look like a secret, and settings that name secrets are never quoted at all.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

#: What is certainly a secret, or half of one: private keys, AWS access key ids, signed JWTs.
_SECRETS = (
    ("a private key", re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")),
    ("an AWS access key", re.compile(r"(?<![A-Za-z0-9])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("a signed token", re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")),
)
_USERINFO = re.compile(r":/{1,2}[^/]*@")
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{24,}")
_HEX = re.compile(r"[0-9A-Fa-f]{24,}")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong: the setting's path as the operator would say it, and a sentence about it."""

    path: str
    said: str

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.path}: {self.said}" if self.path else self.said


class Wrong(ValueError):
    """A value is not what its setting needs.

    `said` is a sentence for the operator, made with `shown` where it quotes; `parts` says it of parts of the
    value instead, as pairs of what to add to the setting's path and a sentence.
    """

    def __init__(self, said: str = "", *, parts: Sequence[tuple[str, str]] = ()) -> None:
        """Say it once of the whole value, or once for each part."""
        super().__init__(said)
        self.parts = tuple(parts) or (("", said),)


def inline_secret(text: str) -> str:
    """Name the kind of secret that this text certainly holds, or give the empty string."""
    return next((name for name, pattern in _SECRETS if pattern.search(text)), "")


def suspicious(text: str) -> bool:
    """Whether this text may be, or hold, a secret: then it is not quoted. Wrong guesses cost only a quotation."""
    if inline_secret(text) or _USERINFO.search(text) or _HEX.search(text):
        return True
    return any(
        re.search("[a-z]", run) and re.search("[A-Z]", run) and re.search("[0-9]", run) for run in _RUN.findall(text)
    )


def shown(text: str) -> str:
    """Quote a value from the configuration, shortened; or say "this" where it is better not quoted."""
    if suspicious(text) or not text.isprintable():
        return "this"
    return f'"{text}"' if len(text) <= _LONGEST_SHOWN else f'"{text[: _LONGEST_SHOWN - 1]}…"'


def comes_to(text: str) -> str:
    """Say what a template came to, as far as it may be said."""
    seen = shown(text)
    return "does not fit when filled in" if seen == "this" else f"comes to {seen}"


def shown_word(word: str) -> str:
    """Give one word of a setting's path as TOML would have it written; an ellipsis where it is better not shown."""
    if suspicious(word) or not word.isprintable() or len(word) > 64:
        return "…"
    return word if _PLAIN_WORD.fullmatch(word) else f'"{word}"'


def kind_of(value: object) -> str:
    """Name a TOML value's type in plain English, with its article."""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        (Mapping, "a table"),
        (list, "an array"),
        ((datetime, date, time), "a date or a time"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "something else")


def listed(words: Iterable[str]) -> str:
    """List words as a sentence does: a, b and c."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


def near_word(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, whatever its capitals; None if there is none."""
    by_small = {one.lower(): one for one in known}
    near = difflib.get_close_matches(word.lower(), list(by_small), n=1, cutoff=0.6)
    return by_small[near[0]] if near else None


def nearest(word: str, known: Iterable[str]) -> str:
    """Ask "did you mean …?", with a blank before it, if one of the known words is near; else the empty string."""
    near = near_word(word, known)
    return f' (did you mean "{near}"?)' if near else ""


def secrets_in(value: object, path: str = "") -> Iterator[Mistake]:
    """Find secrets that stand in the configuration itself, in names or values, however deep."""
    if isinstance(value, Mapping):
        for word, inner in value.items():
            below = f"{path}.{shown_word(word)}" if path else shown_word(word)
            if kind := inline_secret(word):
                yield Mistake(below, _has_secret(kind))
            yield from secrets_in(inner, below)
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from secrets_in(inner, f"{path}#{number}")
    elif isinstance(value, str) and (kind := inline_secret(value)):
        yield Mistake(path, _has_secret(kind))


def _has_secret(kind: str) -> str:
    return (
        f"{kind} stands here in the open: treat it as lost and replace it; "
        "secrets are kept in files of their own, and only the path stands here"
    )
