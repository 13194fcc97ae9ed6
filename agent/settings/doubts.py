"""What is allowed, but probably not meant, or not known to be risky?"""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from agent.settings import S3, Https, Settings, StsRole, aws_callers
from agent.settings.cognito import Cognito
from agent.settings.files import TokenFile
from agent.settings.keys import makes_keys
from agent.settings.oauth2 import OAuth2
from agent.settings.openings import openings
from agent.settings.outputs import numbered
from agent.settings.overlaps import overlaps
from agent.settings.templates import run_together
from agent.settings.token_words import texts
from agent.settings.tokens import FromFile, SelfSigned
from agent.settings.vain import in_vain
from agent.settings.verifying import doubtful_rules
from agent.spans import spell_duration

#: Sessions shorter than this cannot be renewed with 25 minutes left and still be worth their calls.
_SHORT_SESSION = timedelta(minutes=30)
_LONG_TOKEN = timedelta(minutes=15)
_LONG_TOKEN_FOR_OTHERS = timedelta(hours=1)
_USUAL_WAIT = timedelta(hours=24)
_SHORT_OVERLAP = timedelta(days=7)
_HTTPS = 443


def warnings(settings: Settings) -> list[str]:
    """Say what the operator may want to look at, one sentence each, with the setting's path before it."""
    return [
        *_tokens(settings),
        *_issuer(settings),
        *_rotation(settings),
        *_publishing(settings),
        *_roles(settings),
        *_tokens_for_others(settings),
        *openings(settings),
        *in_vain(settings),
        *overlaps(settings.grants),
        *_unit_tokens(settings),
        *doubtful_rules(settings.verify),
        *_aws_callers(settings),
        *_listeners(settings),
    ]


def _tokens(settings: Settings) -> Iterator[str]:
    match settings.identity:
        case OAuth2() if settings.identity.signs:
            pass
        case FromFile() | OAuth2() | Cognito():
            unused = []
            if settings.publishing is None:
                unused = [name for name in ("issuer", "key") if getattr(settings, name) is not None]
            if settings.rotation_asked:
                unused.append("rotation" if settings.next_key is None else "key.next")
            yield from (
                f'{name}: is not used, since identity.source is "{settings.identity.source}"' for name in unused
            )
        case SelfSigned(lifetime=lifetime, pin_roles=pin_roles):
            if lifetime > _LONG_TOKEN:
                said = "a token is used within seconds, and whoever steals it can use it as long"
                yield f"identity.lifetime: {spell_duration(lifetime)} is long; {said}"
            if not pin_roles:
                yield "identity.pin_roles: is off; one stolen token opens every role that trusts its subject"


def _issuer(settings: Settings) -> Iterator[str]:
    of_aws = not isinstance(settings.identity, OAuth2)  # or it is read by a provider, wherever it is, or by nobody
    if settings.issuer is not None and of_aws:
        host = urlsplit(settings.issuer.url).netloc
        if host != host.lower():
            yield f'issuer.url: has capitals in its host name; AWS compares byte for byte, "{host.lower()}" is safer'
        if host == "localhost" or "." not in host:
            yield f"issuer.url: AWS must be able to fetch documents from {host}, which is no public name"


def _tokens_for_others(settings: Settings) -> Iterator[str]:
    """Nobody can call back a token: it is good to its end, whoever has it."""
    asked = [(f"grants#{number}", grant.lifetime) for number, grant in enumerate(settings.grants, start=1)]
    asked += [(f"files#{n}", file.lifetime) for n, file in enumerate(settings.files, 1) if isinstance(file, TokenFile)]
    for where, lifetime in asked:
        if lifetime > _LONG_TOKEN_FOR_OTHERS:
            said = "nobody can call such a token back, and whoever steals it can use it as long"
            yield f"{where}.lifetime: {spell_duration(lifetime)} is long; {said}; callers get a new one in time"
    for number, grant in enumerate(settings.grants, start=1):
        told = [("subject", grant.subject or ""), *(("claims", one) for one in texts(grant.claims))]
        for word, template in told if grant.audiences else ():
            if (names := run_together(template)) is not None:
                pair = " and ".join(f"${{{name}}}" for name in names)
                said = f"nothing keeps {pair} apart, so that one caller may be called what another one is"
                yield f'grants#{number}.{word}: {said}; put a mark between them that names do not have, as in "/"'


def _aws_callers(settings: Settings) -> Iterator[str]:
    place = settings.aws_callers
    if place is None:
        return
    if not any(grant.values(word) for grant in settings.grants for word in aws_callers.WHO):
        yield "aws_callers: nobody is granted anything there; add [[grants]] with aws_principal and audiences"
    if place.listen.is_loopback:
        yield f"aws_callers.listen: only this machine can connect to {place.listen}, and nobody inside AWS"


def _rotation(settings: Settings) -> Iterator[str]:
    rules = settings.rotation
    if rules is None:
        return
    if settings.next_key is not None:
        said = f"the keys are moving to {settings.next_key.custodian}"
        yield f"key.next: {said}; once rolecall keys list shows none of the old ones, let [key.next] take [key]'s place"
    elif not rules.automatic and settings.key is not None and not makes_keys(settings.key):
        said = "the agent makes no keys where [key] has them"
        yield f"rotation: is not automatic, as {said}; when it is time, name the next one in [key.next]"
    elif not rules.automatic:
        yield "rotation.automatic: is off; one key signs until somebody says: rolecall keys rotate"
    if rules.announce < _USUAL_WAIT:
        why = "whoever keeps a copy of the key set for longer will refuse the first tokens of each new key"
        yield f"rotation.announce: {spell_duration(rules.announce)} is short; {why}; 24h is usual"
    if rules.keep < _USUAL_WAIT:
        why = "that is all the time there is to see that the new key is not accepted everywhere"
        yield f"rotation.keep: {spell_duration(rules.keep)} is short; {why}; 24h is usual"


def _publishing(settings: Settings) -> Iterator[str]:
    place = settings.publishing
    if place is None or settings.issuer is None:
        return
    if place.certificates is not None:
        yield "publishing.certificates: keys are shown with x5c; Google Cloud refuses key sets that have it"
    if isinstance(place, Https):
        if place.listen.is_loopback:
            yield f"publishing.listen: only this machine can connect to {place.listen}, and AWS has to"
        elif place.listen.port != _HTTPS:
            said = f"AWS asks on port {_HTTPS} alone; something has to forward that to {place.listen}"
            yield f"publishing.listen: {said}"
    elif isinstance(place, S3) and (expected := _path_in(place.bucket, settings.issuer.url)) != place.prefix:
        said = f'is "{place.prefix}", but the documents of {settings.issuer.url} are usually under "{expected}"'
        yield f"publishing.prefix: {said}; leave it so only if the web server makes up for it"


def _path_in(bucket: str, issuer: str) -> str:
    """Where in a bucket the documents of an issuer are, unless a web server between them changes paths."""
    parts = urlsplit(issuer)
    path = parts.path.strip("/")
    if parts.netloc.startswith("s3.") and parts.netloc.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        path = path.removeprefix(bucket).strip("/")  # S3 itself, with the bucket in the path
    return path


def _roles(settings: Settings) -> Iterator[str]:
    granted = {name for grant in settings.grants for name in grant.roles}
    if isinstance(settings.publishing, S3):
        granted.add(settings.publishing.credentials.removeprefix("role:"))  # we have it for ourselves
    granted |= {file.role for file in settings.files if not isinstance(file, TokenFile)}
    for name, role in settings.roles.items():
        if name not in granted:
            yield f"roles.{name}: is granted to nobody; add [[grants]] with it, or take it out"
        if isinstance(role, StsRole) and role.duration < _SHORT_SESSION:
            yield (
                f"roles.{name}.duration: {spell_duration(role.duration)} is short; callers will see credentials with "
                "less than 20 minutes left, for which some SDKs ask again at every request; 1h is usual"
            )


def _unit_tokens(settings: Settings) -> Iterator[str]:
    words = settings.unit_tokens
    if words is not None and words.overlap < _SHORT_OVERLAP:
        said = f"a unit that is not restarted within {spell_duration(words.rotate + words.overlap)} may lose its roles"
        yield f"unit_tokens.overlap: {spell_duration(words.overlap)} is short; {said}; 90d is usual"


def _listeners(settings: Settings) -> Iterator[str]:
    if not settings.listen.admin.is_loopback:
        who = "other machines can read metrics and status there; it serves no secret, but names roles and callers"
        yield f"listen.admin: {settings.listen.admin} is not a loopback address: {who}"
    if settings.listen.verify is not None and not settings.listen.verify.is_loopback:
        who = "tokens come to it in the clear; let only a proxy on this machine, or in its containers, reach it"
        yield f"listen.verify: {settings.listen.verify} is not a loopback address: {who}"
    ours = [(f"listen.{word}", address) for word, address in settings.listen.addresses()]
    if settings.containers is not None:
        ours += numbered("containers.listen", settings.containers.listen)
    for word, address in ours:
        if address.port == 0:
            yield f"{word}: with port 0 the address is another one after each start"
