"""Whom are tokens for, and can they take what our key signs?"""

from collections.abc import Iterator

from agent.relying_parties import Party, party_of
from agent.settings import Settings
from agent.settings.files import TokenFile
from agent.settings.mistakes import shown
from agent.settings.rotation import fits
from agent.settings.tokens import SelfSigned


def audiences(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each setting that names an audience, and what it names."""
    if not isinstance(settings.identity, SelfSigned):
        return
    yield "identity.audience", settings.identity.audience
    for number, grant in enumerate(settings.grants, start=1):
        several = len(grant.audiences) > 1
        for place, audience in enumerate(grant.audiences, start=1):
            yield f"grants#{number}.audiences#{place}" if several else f"grants#{number}.audiences", audience
    for number, file in enumerate(settings.files, start=1):
        if isinstance(file, TokenFile):
            yield f"files#{number}.audience", file.audience


def untakable(settings: Settings, algorithm: str | None) -> Iterator[str]:
    """Say which tokens will be refused wherever they are shown: by the algorithm of their signature.

    `algorithm` is that of the key that signs; None where nobody knows it. What the next key will sign with counts, too.
    """
    for word, audience in audiences(settings):
        party = party_of(audience)
        if party is None:
            continue
        if algorithm is not None and not party.takes(algorithm):
            yield f"{word}: {refused(party, algorithm, audience)}"
        elif (kind := next_kind(settings, party)) is not None:
            yield f"{word}: {refused(party, kind, audience)} (rotation.kind)"


def refused(party: Party, signs: str, audience: str) -> str:
    """Say that a relying party will refuse what is signed so, by an algorithm or a kind of key."""
    takes = " and ".join(party.algorithms) if len(party.algorithms) < 3 else "RSA keys"
    return f"{shown(audience)} is {party.title}, which takes {takes} alone; what {signs} has signed is refused there"


def next_kind(settings: Settings, party: Party) -> str | None:
    """The kind of new keys, if a relying party takes nothing that they sign."""
    kind = settings.rotation.kind if settings.rotation is not None else None
    if kind is None or not party.algorithms or any(fits(kind, one) for one in party.algorithms):
        return None
    return kind
