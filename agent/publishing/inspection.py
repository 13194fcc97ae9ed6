"""What was seen of an issuer's site?

Values alone: the world as `agent.publishing.world` found it, for `agent.publishing.judgement` to judge.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from agent.publishing import Jwk


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as shown; `thumbprint` is its SHA-1, 40 hexadecimal digits, as IAM has it."""

    subject: str
    issuer: str
    not_after: datetime
    thumbprint: str


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server proved who it is.

    Attributes:
        chain: the certificates in the order in which they were shown, the server's own first.
        verified: whether they lead to an authority that we trust, for this host and today.
        why: why not, in the words of the TLS library, and `code` by its number; "" and 0 where they do.
        private: whether only a CA bundle of the operator's vouches for them, not the public authorities.
    """

    chain: tuple[Certificate, ...]
    verified: bool
    why: str = ""
    code: int = 0
    private: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there was no answer, and what to do about it."""

    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said when it was asked for a document.

    Attributes:
        url: what was asked for; redirects were not followed.
        failure: why there is no whole answer; then some of the rest may still be known.
        status: 0 if there was none.
        location: where it redirects to; "" for nowhere.
        media_type, encoding: Content-Type without its parameters, in lower case, and Content-Encoding.
        size: of the body, in bytes.
        seconds: how long it took, by the steady clock, connecting included.
        cache_control, age: these headers; an age of None was not said.
        from_cache: whether it says that it comes from a cache, such as a CDN's.
        tls: None if it did not come so far.
        document: the body, if that is a JSON object.
    """

    url: str
    failure: Failure | None = None
    status: int = 0
    location: str = ""
    media_type: str = ""
    encoding: str = ""
    size: int = 0
    seconds: float = 0.0
    cache_control: str = ""
    age: int | None = None
    from_cache: bool = False
    tls: Tls | None = None
    document: Mapping[str, object] | None = field(default=None, repr=False)  # somebody may show a private key

    @property
    def host(self) -> str:
        """Who was asked; the whole URL where that names nobody."""
        try:
            return urlsplit(self.url).hostname or self.url
        except ValueError:  # an address in brackets that is none
            return self.url

    @property
    def max_age(self) -> int | None:
        """For how many seconds readers may keep it, caches on the way included; None if nothing is said."""
        if re.search(r"\bno-(store|cache)\b", self.cache_control, re.IGNORECASE):
            return 0
        said = re.findall(r"\b(?:s-maxage|max-age)\s*=\s*\"?(\d{1,12})\b", self.cache_control, re.IGNORECASE)
        return max(map(int, said), default=None)

    @property
    def fresh_for(self) -> int | None:
        """For how many seconds more this copy may be kept; None if nothing is said."""
        return None if self.max_age is None else max(0, self.max_age - (self.age or 0))


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that was seen of an issuer's site, and when; no key set where nothing said where it is."""

    issuer: str
    at: datetime
    discovery: Answer
    key_set: Answer | None = None

    @property
    def answers(self) -> tuple[tuple[str, Answer], ...]:
        """What was asked for, by its name in sentences."""
        both = (("the discovery document", self.discovery), ("the key set", self.key_set))
        return tuple((name, answer) for name, answer in both if answer is not None)

    @property
    def shown(self) -> tuple[Jwk, ...]:
        """Every key of the set, in its order; none if it is no key set."""
        document = self.key_set.document if self.key_set else None
        keys = document.get("keys") if document else None
        return tuple(key for key in keys if isinstance(key, dict)) if isinstance(keys, list) else ()

    @property
    def keys(self) -> Mapping[str, Jwk]:
        """The keys by kid. One that stands there twice, and not alike, is none: nobody knows which is meant."""
        found: dict[str, Jwk] = {}
        doubtful: set[str] = set()
        for key in self.shown:
            kid = key.get("kid")
            if isinstance(kid, str):
                doubtful |= {kid} if found.setdefault(kid, key) != key else set()
        return {kid: key for kid, key in found.items() if kid not in doubtful}
