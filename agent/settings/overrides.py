"""Which settings may the environment change?

A short list, because what is set in two places is understood in neither; and any other name that begins as ours
do is a mistake, because it would otherwise be ignored in silence.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from agent.settings.mistakes import Mistake, listed, shown_word

PREFIX: Final = "ROLECALL_"
#: Environment variables, and the table and word that each overrides.
OVERRIDES: Final[Mapping[str, tuple[str, str]]] = {
    "ROLECALL_LISTEN_CREDENTIALS": ("listen", "credentials"),
    "ROLECALL_LISTEN_ADMIN": ("listen", "admin"),
    "ROLECALL_LOG_LEVEL": ("log", "level"),
}
#: All that may be set; ROLECALL_CONFIG says which file is read.
KNOWN: Final = ("ROLECALL_CONFIG", *OVERRIDES)


def unknown(environ: Mapping[str, str]) -> Iterator[Mistake]:
    """Find names in the environment that begin as ours do, and are none of ours."""
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in KNOWN:
            yield Mistake(shown_word(name), f"is no environment variable of rolecall; it knows {listed(KNOWN)}")


def overridden(table: Mapping[str, object], environ: Mapping[str, str]) -> tuple[dict[str, object], dict[str, str]]:
    """Put the environment's values in their places; also say, by setting path, which variable a value is from.

    An empty variable counts as not set. A place that is not a table is left as it is: it is a mistake by itself.
    """
    result = dict(table)
    origins: dict[str, str] = {}
    for name, (section, word) in OVERRIDES.items():
        before = result.get(section, {})
        if environ.get(name) and isinstance(before, Mapping):
            result[section] = {**before, word: environ[name]}
            origins[f"{section}.{word}"] = name
    return result, origins
