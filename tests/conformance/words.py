"""In which few words is told what a client did?"""

from collections.abc import Sequence

from tests.conformance.conversation import ENDED, HANGS
from tests.conformance.stage import Takes, Took, Troupe

#: What is told of each client, by its name.
Words = dict[str, str]

WORKS = "works"
#: It had an error of its own while there was trouble, and works by itself now that there is none.
RECOVERS = "recovers"
UNSIGNED = "unsigned"
EXPIRED = "expired"
#: Only what `rolecall env` puts into NO_PROXY keeps the token from the proxy.
BY_NO_PROXY = "works by NO_PROXY"
#: It has the token from its environment, where it stays as it was when the program began.
WHILE_OVERLAP = "works while the overlap lasts"
#: It does not come to us as long as no file of a token is named, though none is needed.
BY_TOKEN_FILE = "works with a token file"

_OWN_ERROR = "own error"


def word(took: Took) -> str:
    """One request in a word. What AWS heard goes before what the client says."""
    wrong = [one for one in took.heard if one != "signed"]
    if wrong:
        return wrong[0]
    if took.answer.error in {HANGS, ENDED}:
        return took.answer.error
    return WORKS if took.answer.ok else _OWN_ERROR


def keeps_working(takes: Sequence[Takes]) -> Words:
    """Several requests, none of which should fail: the first word that is another, or that it works."""
    words = {name: [word(take[name]) for take in takes] for name in takes[0]}
    return {name: next((one for one in said if one != WORKS), WORKS) for name, said in words.items()}


async def over(during: Takes, troupe: Troupe) -> Words:
    """What happened during the trouble, and what happens when it is over: to the same client, or to one made anew."""
    after = await troupe.ask("call")
    stuck = [name for name, took in after.items() if not took.well]
    anew = await troupe.ask("fresh", only=stuck)
    return {name: _joined(word(during[name]), after[name], anew.get(name)) for name in during}


def _joined(trouble: str, after: Took, anew: Took | None) -> str:
    if after.well:
        return {WORKS: WORKS, _OWN_ERROR: RECOVERS}.get(trouble, f"{trouble}, {RECOVERS}")
    return f"{trouble}, works when made anew" if anew is not None and anew.well else f"{trouble}, stays so"


def after(before: Sequence[Takes], words: Words) -> Words:
    """What came before, if it was not as it should be; else what is told of the rest."""
    kept = keeps_working(before)
    return {name: rest if kept[name] == WORKS else f"{kept[name]} too early" for name, rest in words.items()}


def in_between(takes: Sequence[Takes], words: Words) -> Words:
    """The rest, if in between there was at most an error of the client's own: that much is chance there."""
    unwelcome = {
        name: [one for one in (word(take[name]) for take in takes) if one not in {WORKS, _OWN_ERROR}] for name in words
    }
    return {name: f"{unwelcome[name][0]}, {rest}" if unwelcome[name] else rest for name, rest in words.items()}
