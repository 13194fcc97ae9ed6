"""What may the operator say about tokens for other relying parties?

Their limits are those of who reads them: a scope is spelt as in RFC 6749, a claim is what JSON has, and a token has to
fit into the header of a request.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Final

from pydantic import PlainValidator, ValidationInfo

from agent import jose
from agent.settings.mistakes import Wrong, kind_of, shown, shown_word
from agent.settings.section import Surroundings
from agent.settings.spelling import array, span, text
from agent.settings.templates import claim_template, variables
from agent.templates import VARIABLES
from agent.wording import LONGEST_SUBJECT, SHORTEST_SUBJECT, Wording, claim_of

#: The words that say what a token is like; they mean nothing where there is none.
WORDS: Final = ("scopes", "claims", "subject", "lifetime")

#: How long a token for others lives, if nothing is said.
USUAL_LIFETIME: Final = timedelta(minutes=10)

#: Bytes of a whole token. Web servers take 8 kB of headers, and often no more in all.
_LONGEST_TOKEN: Final = 8000
#: Bytes of header, times, jti and the signature of the largest key (RSA with 4096 bits), encoded.
_OVERHEAD: Final = 1000

#: What AWS's own documents have as the audience of a role's token, and what STS wants in China.
_AUDIENCES_OF_STS: Final = ("sts.amazonaws.com", "sts.amazonaws.com.cn")
_LONGEST_AUDIENCE: Final = 255

#: RFC 6749 §3.3.
_SCOPE: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,255}")

#: Claims that are ours to write, or that say again, to some reader, what one of those does.
_RESERVED: Final = frozenset({"iss", "sub", "aud", "azp", "iat", "nbf", "exp", "jti", "scope", "scp", "client_id"})
_SCOPES: Final = ("scope", "scp")
_OF_AWS: Final = ("https://aws.amazon.com/", "https://sts.amazonaws.com/")
_LONGEST_CLAIM_NAME: Final = 128
#: A claim may be a table of tables so many times over.
_DEEPEST: Final = 5
#: Readers that take all numbers for floating point tell whole ones apart up to here (RFC 8259 §6).
_LARGEST_WHOLE: Final = 2**53 - 1


def _audience(value: str, _: Surroundings) -> str:
    if not 1 <= len(value) <= _LONGEST_AUDIENCE or not value.isprintable() or " " in value:
        raise Wrong(f"must be 1 to {_LONGEST_AUDIENCE} characters without blanks, exactly as the relying party has it")
    if value in _AUDIENCES_OF_STS:
        raise Wrong(
            f"{shown(value)} is what STS takes for a role, and this would be a token for every role that trusts its "
            'subject; grant roles instead, or write [[files]] with kind = "web_identity_token"'
        )
    return value


def _scope(value: str, _: Surroundings) -> str:
    if not _SCOPE.fullmatch(value):
        raise Wrong('is no scope: 1 to 255 printable ASCII characters without blanks, " and \\ (RFC 6749)')
    return value


def _subject(value: str, surroundings: Surroundings) -> str:
    """Whom a token speaks of: a template. What is filled in for a caller is made to fit then."""
    template = claim_template(value, surroundings)
    if not template.isprintable():
        raise Wrong("has characters that cannot be printed")
    if template != template.strip():
        raise Wrong("begins or ends with a blank, which nobody will see where it is compared; leave it out")
    size = len(template.encode())
    waiting = variables([template])
    if not waiting and not SHORTEST_SUBJECT <= size <= LONGEST_SUBJECT:
        raise Wrong(f"must be {SHORTEST_SUBJECT} to {LONGEST_SUBJECT} bytes long, and is {size}")
    if waiting and size > LONGEST_SUBJECT:
        raise Wrong(f"is longer than the {LONGEST_SUBJECT} bytes that there is room for")
    return template


def _claims(value: object, info: ValidationInfo) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Wrong(f'must be a table of claims, as in {{ team = "web" }}, not {kind_of(value)}')
    parts: list[tuple[str, str]] = []
    found: dict[str, object] = {}
    for name, given in value.items():
        try:
            _check_name(name)
            found[name] = _claim(given, Surroundings.of(info), 1)
        except Wrong as wrong:
            parts += [(f".{shown_word(name)}{suffix}", said) for suffix, said in wrong.parts]
    if parts:
        raise Wrong(parts=parts)
    return found


def _check_name(name: str) -> None:
    """Refuse names of claims that are ours, AWS's, or nobody's. Raises Wrong."""
    if name in _SCOPES:
        raise Wrong('is written by us; write scopes = ["…"] instead')
    if name in _RESERVED:
        raise Wrong("is ours to write: readers decide by it whether to take the token at all; name it otherwise")
    if name.startswith(_OF_AWS):
        raise Wrong("is read by AWS, for whom these tokens are not; leave it out")
    if not name or not name.isprintable() or len(name) > _LONGEST_CLAIM_NAME or "${" in name:
        raise Wrong(
            f"is no name for a claim: 1 to {_LONGEST_CLAIM_NAME} printable characters, in which nothing is filled"
        )


def _claim(value: object, surroundings: Surroundings, depth: int) -> object:
    """Read one claim, or a part of one. Raises Wrong, with the place in it."""
    if depth > _DEEPEST:
        raise Wrong(f"is nested more than {_DEEPEST} deep, which some readers refuse")
    match value:
        case str():
            template = claim_template(value, surroundings)
            if not template.isprintable():
                raise Wrong("has characters that cannot be printed")
            return template
        case bool():
            return value
        case int() | float():
            return _number(value)
        case Mapping():
            _refuse_members(value)
            return _parts({f".{shown_word(name)}": (name, one) for name, one in value.items()}, surroundings, depth)
        case list():
            places = {f"#{number}": (number, one) for number, one in enumerate(value, start=1)}
            return list(_parts(places, surroundings, depth).values())
    raise Wrong(f"is {kind_of(value)}, which JSON has none of; write it in quotes, or as a number")


def _number(value: float) -> float:
    if abs(value) <= _LARGEST_WHOLE if isinstance(value, int) else math.isfinite(value):
        return value
    raise Wrong("is a number that not all readers of JSON can take; write it in quotes")


def _refuse_members(table: Mapping[str, object]) -> None:
    if odd := next((name for name in table if not name.isprintable() or "${" in name), None):
        raise Wrong(f"has a member named {shown(odd)}; names are plain, and nothing is filled into them")


def _parts(places: Mapping[str, tuple[object, object]], surroundings: Surroundings, depth: int) -> dict[object, object]:
    """Read each part, to be found at its place. Raises Wrong for all that are."""
    found: dict[object, object] = {}
    wrongs: list[tuple[str, str]] = []
    for place, (name, value) in places.items():
        try:
            found[name] = _claim(value, surroundings, depth + 1)
        except Wrong as wrong:
            wrongs += [(place + suffix, said) for suffix, said in wrong.parts]
    if wrongs:
        raise Wrong(parts=wrongs)
    return found


def texts(value: object) -> Iterator[str]:
    """Every text in a claim as it was written, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)


def wording(subject: str, lifetime: timedelta, scopes: tuple[str, ...], claims: Mapping[str, object]) -> Wording:
    """What tokens say, with what was read of them."""
    return Wording(subject, lifetime, scopes, tuple(sorted((name, claim_of(one)) for name, one in claims.items())))


def largest(wording: Wording, issuer: str, audience: str) -> int:
    """The most bytes that a token of this wording can have, whoever it is for."""
    somebody = [(fact, '"' * 1000) for fact in VARIABLES.values()]  # which JSON writes with a backslash each
    filled = wording.filled(somebody)
    claims = {"iss": issuer, "sub": filled.subject, "aud": audience, **filled.as_claims()}
    return len(jose.signing_input({}, claims)) + _OVERHEAD


def too_large(wording: Wording, issuer: str, audience: str) -> str:
    """What is wrong if tokens of this wording may not fit into a header; "" if they do."""
    size = largest(wording, issuer, audience)
    if size <= _LONGEST_TOKEN:
        return ""
    return f"makes tokens of up to {size} bytes; most servers take no more than {_LONGEST_TOKEN} in a header"


#: One audience: whom a token is for.
Audience = Annotated[str, text(_audience)]
#: Several of them; a token is always for one.
Audiences = Annotated[tuple[str, ...], array(_audience, of="audiences", single=True)]
Scopes = Annotated[tuple[str, ...], array(_scope, of="scopes", single=True)]
#: Claims besides those that each token has, by name, as JSON would have them. Texts are templates.
Claims = Annotated[Mapping[str, object], PlainValidator(_claims)]
Subject = Annotated[str, text(_subject)]
TokenSpan = Annotated[timedelta, span("2m", "24h")]
