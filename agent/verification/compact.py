"""What are the parts of a token, before anything of it is believed?

RFC 7515 §3.1 and §7.1, RFC 7519; pure. Strict where a reader that is not strict could be told two things by the same
bytes: other spellings of base64url, members that stand there twice, numbers that are none.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from agent.errors import TokenRejected
from agent.verification import LONGEST, Reason

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#: The letters that a text of base64url may end in, by its length modulo 4: the bits that carry nothing are zero. By
#: any other, the same bytes could be spelt in several ways. No text has a length of 4n + 1.
_ENDS: Final = {0: _ALPHABET, 2: _ALPHABET[::16], 3: _ALPHABET[::4], 1: b""}
_LONGEST_KID: Final = 512

#: What tokens may call themselves (RFC 8725 §3.11). An issuer signs other things as well, such as log-out tokens, which
#: are no proof of anything to us. RFC 7515 §4.1.9: in any case of letters, and application/ may stand before it.
_TYPES: Final = frozenset({"jwt", "at+jwt", "jose"})

#: Members of a header that change what the rest means. A reader that does not know them must not go on.
_CHANGING: Final = ("crit", "b64", "zip", "enc")


@dataclass(frozen=True, slots=True)
class Parts:
    """A token taken apart.

    Attributes:
        algorithm: what its header says that it is signed with.
        kid: the name of the key that it says it is signed with.
        header: the header, of which nothing else counts: no key, and no address of one, is taken from there.
        claims: what it says.
        signed: the bytes that are signed.
        signature: the signature of these.
    """

    algorithm: str
    kid: str
    header: Mapping[str, object] = field(repr=False)
    claims: Mapping[str, object] = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parts(token: bytes) -> Parts:
    """Take a signed JWT apart. Raises TokenRejected for what is none, or one that is not for us."""
    if len(token) > LONGEST:
        raise _no("oversized", f"the token is longer than {LONGEST // 1024} kB")
    pieces = token.split(b".")
    if len(pieces) != 3:
        said = "the token is encrypted" if len(pieces) == 5 else "the token is not three parts joined by dots"
        raise _no("malformed", said)
    if not pieces[2]:
        raise _no("malformed", "the token is not signed")
    header = _object(pieces[0], "header")
    algorithm, kid = _named(header)
    claims = _object(pieces[1], "body")
    return Parts(algorithm, kid, header, claims, token[: -len(pieces[2]) - 1], _decoded(pieces[2], "signature"))


def _named(header: Mapping[str, object]) -> tuple[str, str]:
    """By which algorithm, and whose key. Raises TokenRejected for a header with what we must not pass over."""
    for name in _CHANGING:
        if name in header:
            raise _no("header", f"the header of the token has {name}, which is not taken here")
    kind, content = header.get("typ"), header.get("cty")
    if kind is not None and not (isinstance(kind, str) and kind.lower().removeprefix("application/") in _TYPES):
        raise _no("header", "the token is of another type than an ID or access token, by its typ")
    if content is not None:
        raise _no("header", "the token has another one in it, by its cty")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise _no("algorithm", "the header of the token names no algorithm")
    if not isinstance(kid, str) or not 0 < len(kid) <= _LONGEST_KID:
        raise _no("unknown_key", "the header of the token does not name its key (kid)")
    return algorithm, kid


def _decoded(text: bytes, name: str) -> bytes:
    """Read base64url without padding. Raises TokenRejected for anything else, whitespace and other spellings too."""
    ends = _ENDS[len(text) % 4]
    if not text or text[-1] not in ends or text.translate(None, _ALPHABET):
        raise _no("malformed", f"the {name} of the token is not base64url")
    return base64.urlsafe_b64decode(text + b"==")


def _object(text: bytes, name: str) -> Mapping[str, object]:
    """Read an object of JSON in base64url. Raises TokenRejected, never chained: what json raises quotes the text."""
    data = _decoded(text, name)
    try:
        value = _JSON.decode(data.decode())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _no("malformed", f"the {name} of the token is not one object of JSON, or has a member twice")
    return value


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member stands there twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)  # NaN and Infinity, which are no JSON


_JSON: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)


def _no(reason: Reason, what: str) -> TokenRejected:
    return TokenRejected(what, reason=reason, hint="see what was sent, and who made it: rolecall token show")
