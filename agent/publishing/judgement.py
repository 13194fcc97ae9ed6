"""Would AWS believe what an issuer's site shows, and is it what should be there?

Pure. What was seen is an `Inspection`; what is to be said of it are verdicts, in the order of the chain: certificate,
discovery document, key set, keys, caches. AWS does not publish its rules; these are its requirements as documented,
and where those end, what has been seen to be refused.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from agent.clock import instant
from agent.errors import IssuerUnreadable
from agent.publishing import Jwk, Sighting
from agent.publishing.discovery import MANY_KEYS, MOST_KEYS, crowding
from agent.publishing.inspection import Answer, Inspection, Tls
from agent.spans import spell_duration

#: Without these, STS says that it could not retrieve the verification key.
_NEEDED: Final = ("response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported")
#: The members of a key that make it the key it is, and say what it is good for (RFC 7517 §4, RFC 7518 §6).
_TELLING: Final = ("kty", "crv", "n", "e", "x", "y", "alg", "use")
#: Members that are the private half (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
#: Copies older than this hold up rotations: a key waits until nobody can have an older one.
_LONG: Final = timedelta(hours=1)
#: From here on an issuer is too near to the five seconds that AWS gives it.
_SLOW: Final = 2.5
#: No sentence is longer, in characters: what sites say may be anything.
_LONGEST: Final = 500
_SOON: Final = timedelta(days=14)

# Why OpenSSL does not believe a certificate: X509_V_ERR_… of x509_vfy.h.
_NOT_YET, _EXPIRED, _SELF_SIGNED, _OTHER_NAME = 9, 10, 18, 62

Level = Literal["good", "doubt", "bad"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was found: what it is, and what to do about it unless it is good."""

    level: Level
    what: str
    hint: str = ""


def sighting(inspection: Inspection) -> Sighting:
    """What the world reads. Raises IssuerUnreadable if AWS could not have believed it."""
    for flaw in flaws(inspection):
        raise IssuerUnreadable(flaw.what, hint=flaw.hint)
    fresh_for = inspection.key_set.fresh_for if inspection.key_set else None
    return Sighting(inspection.keys, fresh_for)


def flaws(inspection: Inspection) -> Iterator[Verdict]:
    """Why AWS cannot believe the site at all, whatever keys it shows; nothing if it can."""
    return map(_printable, _flaws(inspection))


def judge(inspection: Inspection, expected: Mapping[str, Jwk], announced: Collection[str] = ()) -> Sequence[Verdict]:
    """All that there is to say of an inspection, in the order of the chain, good things too.

    Args:
        inspection: what was seen.
        expected: the keys that should be shown, by kid, as `agent.publishing.discovery.published` makes them.
        announced: the kids of those that do not sign yet, and so may still be missing.
    """
    verdicts = [*_certificates(inspection), *flaws(inspection)]
    for name, answer in inspection.answers:
        if not _unread(name, answer):
            verdicts += _reading(name, answer)
    document = inspection.discovery.document
    if document is not None:
        verdicts += _discovery(inspection, document, expected)
    if inspection.key_set and not _unread("", inspection.key_set) and inspection.shown:
        verdicts += _keys(inspection, expected, announced)
    for name, answer in inspection.answers:
        if not _unread(name, answer):
            verdicts += _caching(name, answer)
    return [*map(_printable, verdicts)]


def _printable(verdict: Verdict) -> Verdict:
    """The same without what a site may have put into its words to play tricks with a terminal, and not too long."""
    return replace(verdict, what=_tamed(verdict.what), hint=_tamed(verdict.hint))


def _tamed(words: str) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in words)
    return printable if len(printable) <= _LONGEST else f"{printable[:_LONGEST]}…"


def _flaws(inspection: Inspection) -> Iterator[Verdict]:
    for name, answer in _whose_certificate(inspection):
        if answer.tls and not answer.tls.verified:
            yield Verdict("bad", *_distrust(answer, answer.tls, name))
    for name, answer in inspection.answers:
        found = _unread(name, answer)
        if found:
            yield Verdict("bad", *found)
        elif answer.status == 0:
            continue  # it was not asked for, since the certificate was not believed
        elif answer is inspection.discovery:
            yield from _discovery_flaws(inspection, answer)
        else:
            yield from _key_set_flaws(inspection, answer)


def _whose_certificate(inspection: Inspection) -> Iterator[tuple[str, Answer]]:
    """The answers, of those with the same certificates the first alone."""
    seen: list[tuple[str, Tls]] = []
    for name, answer in inspection.answers:
        if answer.tls and (answer.host, answer.tls) not in seen:
            seen.append((answer.host, answer.tls))
            yield name, answer


def _distrust(answer: Answer, tls: Tls, name: str) -> tuple[str, str]:
    """Why a certificate is not believed, and what to do."""
    host, own = answer.host, tls.chain[0] if tls.chain else None
    if own is None:
        return f"{host} shows no certificate that could be verified: {tls.why}", "see how its TLS is set up"
    if tls.code in (_EXPIRED, _NOT_YET):
        ended = next((one for one in tls.chain if one.not_after < own.not_after), own)
        word = "has expired" if tls.code == _EXPIRED else "is not valid yet"
        return (
            f"the certificate of {host} {word}: {ended.subject} is good until {instant(ended.not_after)}",
            "renew it and have the server load it; if it is in order, see whether this machine's clock is right",
        )
    if tls.code == _OTHER_NAME:
        return (
            f"the certificate of {host} is for another name: {own.subject}",
            f"have the server show one that names {host}, and see that it knows the name (SNI)",
        )
    private = (
        "a certificate of your own CA is believed here if a CA bundle names that CA, and by AWS if the provider in "
        f"IAM has the thumbprint {tls.chain[-1].thumbprint}"
    )
    if tls.code == _SELF_SIGNED:
        return f"the certificate of {host} is signed by itself", f"get one from a public CA; {private}"
    if len(tls.chain) == 1:
        return (
            f"{host} shows its own certificate alone, without that of its signer, {own.issuer}",
            f"have the server show the whole chain, often called fullchain.pem; {private}",
        )
    return (
        f"the certificate of {host} leads to no authority that is known here: {tls.chain[-1].issuer} ({tls.why})",
        f"get {name} served with a certificate of a public CA; {private}",
    )


def _unread(name: str, answer: Answer) -> tuple[str, str] | None:
    """Why a document could not be had as a JSON object, and what to do; None if it could."""
    if answer.failure:
        return answer.failure.what, answer.failure.hint
    if answer.status == 0:
        return None
    if answer.location:
        return (
            f"{answer.url} redirects ({answer.status}) to {answer.location}, where AWS need not follow",
            "serve the document itself at this address",
        )
    if answer.status != 200:
        hint = _STATUS_HINTS.get(answer.status, "see the log of the web server")
        return f"{answer.url} answers {answer.status} instead of {name}", hint
    return _unlike_json(name, answer)


def _unlike_json(name: str, answer: Answer) -> tuple[str, str] | None:
    """Why what was answered is no JSON object, and what to do; None if it is one."""
    found = None
    if answer.encoding not in ("", "identity"):
        found = (
            f"{answer.url} is compressed ({answer.encoding}), though that was not asked for",
            "store the document as it is, without Content-Encoding",
        )
    elif answer.media_type == "text/html":
        found = (
            f"{answer.url} shows a web page instead of {name}",
            "see whether a sign-in page, a firewall or a catch-all route answers in its place",
        )
    elif answer.media_type != "application/json" and not answer.media_type.endswith("+json"):
        found = (
            f"{answer.url} is served as {answer.media_type or 'nothing in particular'}, not as application/json",
            "set the content type; files without a suffix often have none",
        )
    elif answer.document is None:
        empty = "is empty" if answer.size == 0 else "is no JSON object"
        found = f"{name} at {answer.url} {empty}", "see who wrote it, and publish again: rolecall publish"
    return found


_STATUS_HINTS: Final[Mapping[int, str]] = {
    401: "let everybody read it, without signing in",
    403: "let everybody read it; S3 says 403 also of what does not exist, and firewalls say it to robots",
    404: "publish it with: rolecall publish; and see whether the server shows the directory at this path",
    429: "let AWS ask as often as it likes",
}


def _discovery_flaws(inspection: Inspection, answer: Answer) -> Iterator[Verdict]:
    document = answer.document or {}
    issuer, uri = document.get("issuer"), document.get("jwks_uri")
    if issuer != inspection.issuer:
        said = f"is {issuer!r}" if "issuer" in document else "is missing"
        yield Verdict(
            "bad",
            f"the issuer in the discovery document {said}, and tokens say {inspection.issuer!r}",
            "they must be equal to the last byte, slash at the end and case included: publish again, or correct "
            "issuer.url",
        )
    if not isinstance(uri, str):
        yield Verdict("bad", "the discovery document has no jwks_uri", "publish again: rolecall publish")
    elif not uri.startswith("https://"):
        yield Verdict(
            "bad", f"the jwks_uri is {uri}, and AWS fetches over https alone", "publish again: rolecall publish"
        )
    for member in _NEEDED:
        value = document.get(member)
        if not isinstance(value, list) or not value:
            yield Verdict(
                "bad", f"the discovery document has no {member}, which AWS needs", "publish again: rolecall publish"
            )


def _key_set_flaws(inspection: Inspection, answer: Answer) -> Iterator[Verdict]:
    keys = (answer.document or {}).get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        yield Verdict("bad", f"{answer.url} is no key set", "see who wrote it, and publish again: rolecall publish")
    elif not keys:
        yield Verdict("bad", "the key set has no keys", "publish again: rolecall publish")
    for kind, count in crowding(inspection.shown).items():
        if count > MOST_KEYS:
            yield Verdict(
                "bad",
                f"the key set has {count} {kind} keys, and AWS reads no more than {MOST_KEYS} of a kind",
                "withdraw keys of hosts that are gone, or share the hosts out among several issuers: docs/fleet.md",
            )


def _certificates(inspection: Inspection) -> Iterator[Verdict]:
    """What there is to say of certificates that are believed."""
    for _, answer in _whose_certificate(inspection):
        tls = answer.tls
        if tls is None or not tls.verified or not tls.chain:
            continue
        first = min(tls.chain, key=lambda one: one.not_after)
        if first.not_after - inspection.at < _SOON:
            yield Verdict(
                "doubt",
                f"the certificate of {answer.host} ends soon: {first.subject} is good until {instant(first.not_after)}",
                "see why it has not been renewed",
            )
        if any(own.issuer != above.subject for own, above in zip(tls.chain, tls.chain[1:], strict=False)):
            yield Verdict(
                "doubt",
                f"{answer.host} shows its certificates in a wrong order",
                "put them in the order in which each is signed by the next, the server's own first",
            )
        yield Verdict("good", f"the certificate of {answer.host} is in order until {instant(tls.chain[0].not_after)}")
        if tls.private:
            yield Verdict(
                "good",
                f"it is from a private CA: the provider in IAM must have the thumbprint {tls.chain[-1].thumbprint}",
            )


def _reading(name: str, answer: Answer) -> Iterator[Verdict]:
    if answer.status == 0:
        return
    took = f"{answer.seconds:.1f} s"
    if answer.seconds > _SLOW:
        yield Verdict("doubt", f"{name} took {took}, and AWS waits for 5 s", "see what makes the server slow")
    yield Verdict("good", f"{name} is readable: {answer.url}, {answer.size} bytes in {took}")


def _discovery(
    inspection: Inspection, document: Mapping[str, object], expected: Mapping[str, Jwk]
) -> Iterator[Verdict]:
    if document.get("issuer") == inspection.issuer:
        yield Verdict("good", f"its issuer is the tokens' own, byte for byte: {inspection.issuer}")
    said = document.get("id_token_signing_alg_values_supported")
    lacking = {str(key["alg"]) for key in expected.values() if "alg" in key} - set(_texts(said))
    if isinstance(said, list) and said and lacking:
        yield Verdict(
            "doubt",
            f"the discovery document does not name {', '.join(sorted(lacking))}, with which keys of ours sign",
            "publish again: rolecall publish",
        )


def _texts(value: object) -> Iterator[str]:
    return (one for one in (value if isinstance(value, list) else []) if isinstance(one, str))


def _keys(inspection: Inspection, expected: Mapping[str, Jwk], announced: Collection[str]) -> Iterator[Verdict]:
    counts = Counter(kid for key in inspection.shown if isinstance(kid := key.get("kid"), str))
    for kid, count in counts.items():
        if count > 1:
            yield Verdict(
                "bad",
                f"{count} keys are shown under the kid {kid}",
                "see who else writes there; nobody can tell which of them is meant",
            )
    for kid, key in expected.items():
        if counts[kid] <= 1:
            yield _one_key(inspection, kid, key, is_announced=kid in announced)
    yield from _other_keys(inspection, [kid for kid in counts if kid not in expected])


def _one_key(inspection: Inspection, kid: str, key: Jwk, *, is_announced: bool) -> Verdict:
    shown = inspection.keys.get(kid)
    answer = inspection.key_set
    if shown is None:
        cached = answer is not None and (answer.from_cache or bool(answer.age))
        hint = "publish it: rolecall publish"
        if cached:
            hint += "; what was seen is a cache's copy, so if it is published, wait or invalidate the cache"
        if is_announced:
            return Verdict("doubt", f"the key {kid}, which is to sign later, cannot be seen yet", hint)
        return Verdict("bad", f"the key {kid} is not shown", hint)
    other = [name for name in _TELLING if shown.get(name) != key.get(name)]
    if other:
        return Verdict(
            "bad",
            f"the key {kid} is shown, but it is not ours: {', '.join(other)} {'is' if len(other) == 1 else 'are'} "
            "different",
            "see who has edited the key set, and publish again: rolecall publish",
        )
    return Verdict("good", f"the key {kid} is shown as it is ({key.get('alg', key.get('kty'))})")


def _other_keys(inspection: Inspection, foreign: Sequence[str]) -> Iterator[Verdict]:
    if foreign:
        named = ", ".join(foreign[:3]) + (", …" if len(foreign) > 3 else "")
        yield Verdict("good", f"{len(foreign)} more, which are not this host's: {named}")
    nameless = sum(not isinstance(key.get("kid"), str) for key in inspection.shown)
    if nameless:
        yield Verdict(
            "doubt", f"{nameless} of the keys shown have no kid", "no token can name them: see who has put them there"
        )
    if any(_PRIVATE & key.keys() for key in inspection.shown):
        yield Verdict(
            "bad",
            "the key set shows a private key to the whole world",
            "withdraw that key, have its owner make a new one, and see in CloudTrail what it was used for",
        )
    for kind, count in crowding(inspection.shown).items():
        if MANY_KEYS <= count <= MOST_KEYS:
            yield Verdict(
                "doubt",
                f"the key set has {count} {kind} keys, and AWS reads no more than {MOST_KEYS} of a kind",
                "share the hosts out among several issuers in good time: docs/fleet.md",
            )


def _caching(name: str, answer: Answer) -> Iterator[Verdict]:
    if answer.status == 0:
        return
    copy = f"; this is a copy {spell_duration(timedelta(seconds=answer.age))} old" if answer.age else ""
    if answer.max_age is None:
        yield Verdict(
            "doubt",
            f"nothing is said on how long {name} may be kept, and CloudFront then keeps it for a day{copy}",
            "have it served with Cache-Control: public, max-age=300",
        )
    elif timedelta(seconds=answer.max_age) > _LONG:
        yield Verdict(
            "doubt",
            f"{name} may be kept for {spell_duration(timedelta(seconds=answer.max_age))}{copy}",
            "have it served with Cache-Control: public, max-age=300; new keys have to wait for old copies to go",
        )
    elif answer.age is not None and answer.age > answer.max_age:
        yield Verdict(
            "doubt",
            f"a cache shows a copy of {name} that is {spell_duration(timedelta(seconds=answer.age))} old, "
            f"though it may be kept for {spell_duration(timedelta(seconds=answer.max_age))} alone",
            "see how the CDN is told to keep things, and invalidate its copy",
        )
    else:
        yield Verdict("good", f"{name} may be kept for {spell_duration(timedelta(seconds=answer.max_age))}{copy}")
