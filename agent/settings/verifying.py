"""What may the operator say about tokens that others show us?"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator, ValidationInfo

from agent.settings.mistakes import Mistake, Wrong, kind_of, listed, nearest, shown, shown_word
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import FilePath, array, read_array, read_text, span, text
from agent.settings.web import Proxy, endpoint_url
from agent.verification import ALGORITHMS, USUAL

T = TypeVar("T")

#: What stands for our own issuer, whose keys need no fetching.
OWN: Final = "own"

#: The headers that claims are handed on in, unless others are named, and the claims. "*" is all of them.
HEADERS: Final[Mapping[str, str]] = {
    "X-Token-Subject": "sub",
    "X-Token-Issuer": "iss",
    "X-Token-Scope": "scope",
    "X-Token-Client": "client_id",
    "X-Token-Claims": "*",
}

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
#: Headers that say something of the answer itself.
_TAKEN: Final = frozenset(
    {"age", "cache-control", "connection", "content-encoding", "content-length", "content-range", "content-type",
     "date", "keep-alive", "location", "server", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
     "vary", "www-authenticate"}
)  # fmt: skip
#: What nginx takes for orders to itself begins so.
_ORDERS: Final = "x-accel-"
_MOST_HEADERS: Final = 20
_MOST: Final = 50
_LONGEST: Final = 255
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,255}")  # RFC 6749 §3.3


def _issuer(value: str, surroundings: Surroundings) -> str:
    if value == OWN:
        return value
    if not value.startswith(("https://", "http://")):
        raise Wrong(f'{shown(value)} is no issuer; write its URL as in its tokens\' iss, or "own" for our own')
    return endpoint_url(value, surroundings)


def _audience(value: str, _: Surroundings) -> str:
    if not 1 <= len(value) <= _LONGEST or not value.isprintable():
        raise Wrong("must be 1 to 255 characters that can be printed")
    return value


def _algorithm(value: str, _: Surroundings) -> str:
    if value.upper().startswith("HS"):
        said = "is signed with a secret that whoever verifies has to share, so no rule can take it"
        raise Wrong(f"{shown(value)} {said}; write one of {', '.join(ALGORITHMS)}")
    if value.lower() == "none":
        raise Wrong(f'"none" is no signature at all; write one of {", ".join(ALGORITHMS)}')
    if value not in ALGORITHMS:
        raise Wrong(f"{shown(value)} is unknown{nearest(value, ALGORITHMS)}; write one of {', '.join(ALGORITHMS)}")
    return value


def _scope(value: str, _: Surroundings) -> str:
    if not _SCOPE.fullmatch(value):
        raise Wrong('is no scope: one word each, without blanks or quotes, as in ["read", "write"]')
    return value


def _claim_values(value: object, surroundings: Surroundings) -> tuple[str, ...]:
    """One value or several; true and whole numbers are compared as they are spelt in JSON. Raises Wrong."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, int):
        return (str(value),)
    if isinstance(value, str):
        return (_audience(value, surroundings),)
    if isinstance(value, list) and not value:
        raise Wrong("is empty; write at least one value")
    return read_array(value, _audience, surroundings, "values")


def _header_claim(value: object, surroundings: Surroundings) -> str:
    return read_text(value, _audience, surroundings)


def _table(read_value: Callable[[object, Surroundings], T], check: Callable[[str], None], most: int) -> PlainValidator:
    """Take a table of names and values."""

    def read(value: object, info: ValidationInfo) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise Wrong(f'must be a table, as in {{ name = "value" }}, not {kind_of(value)}')
        found: dict[str, T] = {}
        parts: list[tuple[str, str]] = []
        for name, given in value.items():
            try:
                check(name)
                found[name] = read_value(given, Surroundings.of(info))
            except Wrong as wrong:
                parts += [(f".{shown_word(name)}{suffix}", said) for suffix, said in wrong.parts]
        if len(value) > most:
            parts.append(("", f"has {len(value)} members; at most {most} are taken"))
        if len({name.lower() for name in value}) < len(value):
            parts.append(("", "has names that differ only in upper and lower case"))
        if parts:
            raise Wrong(parts=parts)
        return found

    return PlainValidator(read)


def _check_claim(name: str) -> None:
    if not 1 <= len(name) <= _LONGEST or not name.isprintable():
        raise Wrong("is no name of a claim")


def _check_header(name: str) -> None:
    if not _HEADER.fullmatch(name):
        raise Wrong('is no name that a header should have; write letters, digits and hyphens, as in "X-Token-Subject"')
    if name.lower() in _TAKEN or name.lower().startswith(_ORDERS):
        raise Wrong("says something of the answer itself; take another name, as in X-Token-Subject")


Audiences = Annotated[tuple[str, ...], array(_audience, of="audiences", single=True)]


class Verify(Section):
    """What a token has to be, for `GET /v1/verify/NAME` to answer 200, and in which headers its claims are told.

    `issuer` is "own" for our own; `algorithms` is empty where nothing is said of them.
    """

    issuer: Annotated[str, text(_issuer)] = Field(examples=['"https://login.example.com"', '"own"'])
    jwks_url: Annotated[str, text(endpoint_url)] | None = Field(
        None, examples=['"https://login.example.com/jwks.json"']
    )
    audiences: Audiences = Field((), examples=['["https://api.example.com"]'])
    client_ids: Annotated[tuple[str, ...], array(_audience, of="client ids", single=True)] = Field(
        (), examples=['["1h57kf5cpq17m0eml12EXAMPLE"]']
    )
    algorithms: Annotated[tuple[str, ...], array(_algorithm, of="algorithms", single=True)] = Field(
        (), examples=['["RS256", "ES256"]']
    )
    scopes: Annotated[tuple[str, ...], array(_scope, of="scopes", single=True)] = Field((), examples=['["read"]'])
    claims: Annotated[Mapping[str, tuple[str, ...]], _table(_claim_values, _check_claim, _MOST)] = Field(
        {}, examples=['{ token_use = "access", groups = ["admins", "staff"] }']
    )
    leeway: Annotated[timedelta, span("0s", "5m")] = timedelta(seconds=30)
    longest: Annotated[timedelta, span("1m", "366d")] | None = Field(None, examples=['"12h"'])
    headers: Annotated[Mapping[str, str], _table(_header_claim, _check_header, _MOST_HEADERS)] | None = Field(
        None, examples=['{ X-Auth-User = "email", X-Auth-Groups = "groups" }']
    )
    ca_bundle: FilePath | None = Field(None, examples=['"/etc/ssl/certs/corporate.pem"'])
    proxy: Proxy | None = Field(None, examples=['"http://proxy.example.com:3128"'])

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Tokens that were made for anybody are nobody's to take; our own keys are not fetched."""
        if not words.get("audiences") and not words.get("client_ids"):
            said = 'is missing; name whom the tokens are made for, as in audiences = ["https://api.example.com"]'
            yield "audiences", f"{said}, or client_ids for those of Cognito's access tokens"
        if words.get("issuer") == OWN:
            for word in ("jwks_url", "ca_bundle", "proxy"):
                if word in words:
                    yield word, 'means nothing with issuer = "own", since our own keys are not fetched; leave it out'

    @property
    def told(self) -> Mapping[str, str]:
        """The headers that claims are handed on in, and the claims."""
        return HEADERS if self.headers is None else self.headers

    @property
    def taken(self) -> tuple[str, ...]:
        """The algorithms; where none are named, those that our own keys may have, or RS256."""
        ours = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
        return self.algorithms or (ours if self.issuer == OWN else USUAL)


def name_mistake(name: str, path: str) -> Mistake | None:
    """What is wrong with the name of a rule, which stands in the path that is asked for."""
    if _NAME.fullmatch(name):
        return None
    return Mistake(path, "is no name for a rule; write 1 to 63 of a-z 0-9 . _ -, the first being a letter or digit")


def unfit_rules(rules: Mapping[str, Verify], *, signing: bool) -> Iterator[Mistake]:
    """Rules that no token of ours can fit; `signing` says whether we have a key and an issuer."""
    for name, rule in rules.items():
        if rule.issuer == OWN and not signing:
            yield Mistake(
                f"verify.{name}.issuer", 'is "own", but there is no [issuer] with a [key] whose tokens it means'
            )


def rules_beside(rules: Mapping[str, Verify], algorithm: str) -> Iterator[str]:
    """Rules for our own tokens that none of them fits, as our key signs now."""
    for name, rule in rules.items():
        if rule.issuer == OWN and algorithm not in rule.taken:
            said = f"no token of ours fits, as our key signs with {algorithm}"
            yield f"verify.{name}.algorithms: {said}; add it, or leave the word out"


def doubtful_rules(rules: Mapping[str, Verify]) -> Iterator[str]:
    """What is allowed, but probably not meant."""
    for name, rule in rules.items():
        path = f"verify.{name}"
        if rule.issuer != OWN and urlsplit(rule.issuer).scheme == "http":
            yield f"{path}.issuer: is of this machine alone; nobody else can have tokens of {rule.issuer}"
        if rule.leeway > timedelta(minutes=2):
            yield f"{path}.leeway: tokens are taken so long after their end; 30s is usual"
        if rule.headers is not None and not rule.headers:
            yield f"{path}.headers: is empty; who is behind a request is told to nobody"
        if rule.client_ids and rule.audiences:
            said = f"are asked for only where a token has no aud; {listed(['audiences', 'client_ids'])} both let in"
            yield f"{path}.client_ids: {said}"
