"""What does an issuer's site show when it has gone wrong?

Each fault of a site is a change of a good answer, by its name; pure. Several are made one after the other, so that a
site can be wrong in two ways at once.
"""

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from agent.sandbox.faults import Fault

_SIGN_IN: Final = (
    b"<!DOCTYPE html><html><head><meta charset=utf-8><title>Sign in</title></head>"
    b'<body><form action="/login" method=post>Please sign in to go on.</form></body></html>'
)
_WEEK: Final = 604_800
#: One more than STS reads of a kind.
_TOO_MANY: Final = 101
_DISCOVERY: Final = "/.well-known/openid-configuration"

#: A JSON object, which may be changed.
_Members = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer of a site, and how it is given.

    Attributes:
        wait: how many seconds pass before it.
        hang_up: where the line is cut: nowhere, before the answer, or in the middle of its body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    wait: float = 0.0
    hang_up: Literal["never", "before", "midway"] = "never"


def document_at(path: str) -> Literal["discovery", "jwks"]:
    """Which document a path means: what is not the discovery document can only be the key set."""
    return "discovery" if path.endswith(_DISCOVERY) else "jwks"


def misprinted(shown: Shown, fault: Fault, path: str) -> Shown:
    """The answer as this fault of a site makes it; an answer that the fault has nothing to do with stays as it is."""
    if fault.site in _ANSWERS:
        return _ANSWERS[fault.site](shown, fault)
    changes = _IN_DISCOVERY if document_at(path) == "discovery" else _IN_KEY_SET
    if fault.site not in changes or shown.status != 200:
        return shown
    try:
        document = json.loads(shown.body)
        changes[fault.site](document, fault)
    except (ValueError, LookupError, TypeError, AttributeError):  # it was no such document to begin with
        return shown
    return replace(shown, body=json.dumps(document, indent=2).encode() + b"\n")


def _with_header(shown: Shown, name: str, value: str | None) -> Shown:
    """The answer with another header; None takes it away."""
    kept = {one: said for one, said in shown.headers.items() if one.lower() != name.lower()}
    return replace(shown, headers=kept if value is None else {**kept, name: value})


def _html(shown: Shown, _: Fault) -> Shown:
    return _with_header(replace(shown, status=200, body=_SIGN_IN), "Content-Type", "text/html; charset=utf-8")


def _redirect(shown: Shown, fault: Fault) -> Shown:
    return _with_header(replace(shown, status=302, body=b""), "Location", fault.about or "/moved.json")


def _stale(shown: Shown, _: Fault) -> Shown:
    """A CDN's copy says how old it is; which copy it is, the site knows."""
    return _with_header(_with_header(shown, "Age", "7200"), "X-Cache", "Hit from cloudfront")


_ANSWERS: Final[Mapping[str, Callable[[Shown, Fault], Shown]]] = {
    "redirect": _redirect,
    "status": lambda shown, fault: replace(shown, status=fault.status, body=b"it is not to be had\n"),
    "bytes": lambda shown, _: _with_header(shown, "Content-Type", "application/octet-stream"),
    "html": _html,
    "not_json": lambda shown, _: replace(shown, body=b"{'issuer': this is not JSON,}\n"),
    "empty": lambda shown, _: replace(shown, body=b""),
    "truncated": lambda shown, _: replace(shown, hang_up="midway"),
    "gzip": lambda shown, _: _with_header(replace(shown, body=gzip.compress(shown.body)), "Content-Encoding", "gzip"),
    "slow": lambda shown, fault: replace(shown, wait=shown.wait + fault.delay),
    "drop": lambda shown, _: replace(shown, hang_up="before"),
    "stale": _stale,
    "week": lambda shown, _: _with_header(shown, "Cache-Control", f"public, max-age={_WEEK}"),
    "no_cache_control": lambda shown, _: _with_header(shown, "Cache-Control", None),
    "no_store": lambda shown, _: _with_header(shown, "Cache-Control", "no-store"),
}


def _setting(name: str, change: Callable[[str], str]) -> Callable[[_Members, Fault], None]:
    def edit(document: _Members, _: Fault) -> None:
        document[name] = change(str(document[name]))

    return edit


def _without(*names: str) -> Callable[[_Members, Fault], None]:
    def edit(document: _Members, _: Fault) -> None:
        for name in names:
            document.pop(name, None)

    return edit


_IN_DISCOVERY: Final[Mapping[str, Callable[[_Members, Fault], None]]] = {
    "issuer_slash": _setting("issuer", lambda issuer: issuer.rstrip("/") if issuer.endswith("/") else f"{issuer}/"),
    "issuer_case": _setting("issuer", lambda issuer: issuer.replace("https://", "https://".upper())),
    "issuer_http": _setting("issuer", lambda issuer: issuer.replace("https://", "http://")),
    "issuer_missing": _without("issuer"),
    "jwks_elsewhere": _setting("jwks_uri", lambda _: "https://keys.example.net/jwks.json"),
    "jwks_http": _setting("jwks_uri", lambda uri: uri.replace("https://", "http://")),
    "jwks_missing": _without("jwks_uri"),
    "members_missing": _without("response_types_supported", "subject_types_supported"),
}


def _key(document: _Members, fault: Fault) -> _Members:
    """The key that is meant: by its kid, or the first."""
    keys: list[_Members] = document["keys"]
    return next((one for one in keys if one.get("kid") == fault.about), keys[0])


def _change_key(document: _Members, fault: Fault) -> None:
    """Change one bit in the middle of the modulus, or of the point's x: what a slip of an editor does."""
    key = _key(document, fault)
    name = "n" if "n" in key else "x"
    raw = bytearray(base64.urlsafe_b64decode(key[name] + "=="))
    raw[len(raw) // 2] ^= 1
    key[name] = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _drop_key(document: _Members, fault: Fault) -> None:
    document["keys"].remove(_key(document, fault))


def _add_key(document: _Members, fault: Fault) -> None:
    document["keys"].append({**_key(document, fault), "kid": "somebody-elses"})


def _repeat_kid(document: _Members, fault: Fault) -> None:
    """Show two keys by one name."""
    document["keys"].insert(0, dict(_key(document, fault)))
    _change_key(document, fault)


def _take_kid(document: _Members, fault: Fault) -> None:
    _key(document, fault).pop("kid", None)


def _crowd(document: _Members, fault: Fault) -> None:
    one = _key(document, fault)
    alike = sum(key.get("kty") == one.get("kty") for key in document["keys"])
    document["keys"] += [{**one, "kid": f"of-host-{number}"} for number in range(_TOO_MANY - alike)]


def _empty(document: _Members, _: Fault) -> None:
    document["keys"] = []


_IN_KEY_SET: Final[Mapping[str, Callable[[_Members, Fault], None]]] = {
    "key_changed": _change_key,
    "key_dropped": _drop_key,
    "key_foreign": _add_key,
    "kid_twice": _repeat_kid,
    "kid_missing": _take_kid,
    "keys_too_many": _crowd,
    "keys_none": _empty,
}
