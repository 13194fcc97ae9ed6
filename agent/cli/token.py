"""What does an identity token say, is it good, and how do we get one? And how does a caller get its own kind?"""

import argparse
import asyncio
import json
import sys
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent import jose
from agent.cli.caller_token import configure_new, make_caller_token
from agent.cli.configuration import settings_of
from agent.cli.durations import seconds
from agent.cli.granted_token import configure_granted, granted
from agent.cli.keys import also_here, credentials_directory
from agent.cli.supposed import supposed
from agent.cli.terminal import paint, say, show_json
from agent.cli.token_exchange import configure_exchange, exchange
from agent.cli.verifying import configure_verify, judged
from agent.clock import RemoteClock, SystemClock, instant
from agent.errors import AgentError, ConfigurationError
from agent.secret import Secret
from agent.settings import Cognito, Settings
from agent.settings.lifetimes import longest_token
from agent.settings.oauth2 import OAuth2
from agent.settings.tokens import SelfSigned
from agent.spans import spell_duration
from agent.wording import Wording

HELP = "mint a token, show what one says, verify one; or make a new one for a caller"
EXAMPLE = "rolecall token mint --role backup | rolecall token show"

_LARGEST = 64 * 1024  # bytes; STS takes tokens of up to 20,000 characters
_TIMES = ("iat", "nbf", "exp", "auth_time")
_YEAR_10000 = 253_402_300_800


def configure(parser: argparse.ArgumentParser) -> None:
    """Add mint, show, verify, new and exchange."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="mint|show|verify|new|exchange")
    mint = verbs.add_parser(
        "mint", help="make and sign a token with the configured key, or have one of the configured provider"
    )
    mint.add_argument("--role", metavar="ROLE", help="pin it to this role (default: to all that are configured)")
    mint.add_argument(
        "--audience", metavar="AUD", help="who may take it (default: as configured); what a grant for it says is in it"
    )
    mint.add_argument("--subject", metavar="SUB", help="whom it speaks of (default: as configured)")
    mint.add_argument(
        "--lifetime",
        type=seconds,
        metavar="5m",
        help="1 minute to 1 hour, or as long as a grant's (default: as configured)",
    )
    mint.add_argument(
        "--claim", type=_claim, action="append", default=[], metavar="NAME=TEXT", help="one more claim; may be repeated"
    )
    configure_granted(mint)
    show = verbs.add_parser("show", help="print what a token says, without verifying it")
    verify = verbs.add_parser("verify", help="verify a token as a relying party does")
    configure_verify(verify)
    for verb in (show, verify):
        verb.add_argument(
            "token", nargs="?", default="-", metavar="TOKEN", help="better from standard input, which is the default"
        )
    new = verbs.add_parser(
        "new", help="write a random token for a caller into a file, as token_file of grants names it"
    )
    configure_new(new)
    exchanging = verbs.add_parser("exchange", help="inside AWS: get a token from a rolecall for one's IAM identity")
    configure_exchange(exchanging)
    for verb in (mint, show, verify, new, exchanging):
        also_here(verb)


def run(arguments: argparse.Namespace) -> int:
    """Do one of the five."""
    if arguments.what == "mint":
        return _mint(arguments)
    if arguments.what == "new":
        return make_caller_token(arguments)
    if arguments.what == "exchange":
        return exchange(arguments)
    token = _token(arguments.token)
    return _show(token, as_json=arguments.json) if arguments.what == "show" else _verify(token, arguments)


def _mint(arguments: argparse.Namespace) -> int:
    from agent.assembly.issuing import issued
    from agent.assembly.rotation import signing_key
    from agent.assembly.tokens import mint

    settings = settings_of(arguments.config)
    if arguments.role is not None and arguments.role not in settings.roles:
        raise ConfigurationError(
            f"the configuration has no role {arguments.role!r}", hint=f"it has: {', '.join(sorted(settings.roles))}"
        )
    if arguments.role is not None and arguments.role not in settings.token_roles:
        raise ConfigurationError(
            f"the role {arguments.role!r} is had by the sign-in of a person, for no token of ours",
            hint="see who signed in, and until when: rolecall status",
        )
    ours = settings.key is not None and arguments.audience  # a token for another relying party is ours in any case
    if isinstance(settings.identity, OAuth2 | Cognito) and not ours:
        return _fetch(settings, settings.identity, arguments)
    if settings.key is None and isinstance(settings.identity, SelfSigned):
        raise ConfigurationError(f"{settings.path} has no [key] to sign tokens with", hint="add [issuer] and [key]")
    if settings.key is None:
        raise ConfigurationError(
            f"{settings.path} has no [key]: its tokens come from somebody else", hint="look where they come from"
        )
    _check_lifetime(settings, arguments)
    wording = _worded(settings, arguments)
    if wording is None:
        _refuse_unpinned(settings, arguments)
    changes: dict[str, Any] = {
        name: value for name in ("audience", "subject") if (value := getattr(arguments, name)) is not None
    }
    if arguments.lifetime is not None:
        changes["lifetime"] = timedelta(seconds=arguments.lifetime)
    scope = {"scope": " ".join(arguments.scope)} if arguments.scope else {}
    changes["claims"] = {**scope, **dict(arguments.claim)}

    async def minted() -> tuple[str, datetime]:
        role = settings.token_roles.get(arguments.role) if arguments.role else None
        async with signing_key(settings, credentials_directory(), SystemClock()) as key:
            if wording is not None:
                token = await issued(settings, key, arguments.audience, wording, SystemClock())
                return token.value.reveal(), token.expires_at
            token = await mint(
                settings, key, role, clock=SystemClock(), token_id=lambda: str(uuid.uuid4()), changes=changes
            )
        return token.value.reveal(), token.expires_at

    value, expires_at = asyncio.run(minted())
    _give(value, expires_at, as_json=arguments.json)
    return 0


def _refuse_unpinned(settings: Settings, arguments: argparse.Namespace) -> None:
    """Where there are no roles to pin it to, a token for STS would be good for any that trusts our subject."""
    words = settings.identity
    if not isinstance(words, SelfSigned) or settings.token_roles or not words.pin_roles:
        return
    if arguments.audience in (None, words.audience):
        raise ConfigurationError(
            "there is no role that a token for STS would be for", hint="say for whom it is to be: --audience"
        )


def _check_lifetime(settings: Settings, arguments: argparse.Namespace) -> None:
    """Keys are shown until the longest of the tokens that they have signed is over, and no longer."""
    longest = longest_token(settings)
    if arguments.lifetime is not None and timedelta(seconds=arguments.lifetime) > longest:
        given, most = (spell_duration(span) for span in (timedelta(seconds=arguments.lifetime), longest))
        raise ConfigurationError(
            f"a token of {given} could outlive what shows the key that signed it",
            hint=f"ask for {most} or less; tokens that are granted may live for 24h",
        )


def _worded(settings: Settings, arguments: argparse.Namespace) -> Wording | None:
    """What a grant has the token say that is asked for; None if it is to be made of what was written out."""
    facts = supposed(arguments)
    by_hand = [word for word in ("role", "subject", "claim") if getattr(arguments, word)]
    if facts and (by_hand or not arguments.audience):
        if by_hand:
            raise ConfigurationError(
                f"--{by_hand[0]} cannot stand beside the words that describe a caller",
                hint="leave out the one or the others: what is in a caller's token is what its grant says",
            )
        raise ConfigurationError(
            "the words that describe a caller mean nothing without --audience", hint="say for whom the token is to be"
        )
    if not arguments.audience or by_hand:
        return None
    wording = granted(settings, arguments.audience, arguments.scope, facts)
    if wording is None and facts:
        raise _granted_to_nobody(settings, arguments.audience)
    if wording is None and (there := _granted_audiences(settings)) and not _opens_roles(settings, arguments.audience):
        others = f"but for {there}; what this one says is from [identity]"
        say(f"warning: nobody is granted tokens for {arguments.audience}, {others}")
    if wording is not None and arguments.lifetime is not None:
        return replace(wording, lifetime=timedelta(seconds=arguments.lifetime))
    return wording


def _granted_to_nobody(settings: Settings, audience: str) -> ConfigurationError:
    said = f"nobody is granted tokens for {audience}"
    if _opens_roles(settings, audience):
        return ConfigurationError(said, hint="that is what opens roles: name the role instead of a caller, with --role")
    there = _granted_audiences(settings)
    listed = f"grants have {there}; correct it, or " if there else ""
    return ConfigurationError(said, hint=f"{listed}add a [[grants]] for it")


def _granted_audiences(settings: Settings) -> str:
    return ", ".join(sorted({name for grant in settings.grants for name in grant.audiences}))


def _opens_roles(settings: Settings, audience: str) -> bool:
    return isinstance(settings.identity, SelfSigned) and settings.identity.audience == audience


def _fetch(settings: Settings, words: OAuth2 | Cognito, arguments: argparse.Namespace) -> int:
    """Have a token of the provider that makes ours, which decides on its own what is in it."""
    from agent.assembly import cognito
    from agent.assembly.oauth2 import fetched
    from agent.assembly.rotation import signing_key

    for word in ("audience", "subject", "lifetime", "claim"):
        if getattr(arguments, word):
            raise ConfigurationError(
                f"--{word} cannot be chosen: the provider makes the token, and decides what it says",
                hint="leave it out; what is asked for is in [identity]",
            )

    async def had() -> tuple[str, datetime]:
        if isinstance(words, Cognito):
            token = await cognito.fetched(words, credentials_directory(), RemoteClock(SystemClock()))
            return token.value.reveal(), token.expires_at
        async with AsyncExitStack() as stack:
            signer = None
            if words.signs:
                ours = signing_key(settings, credentials_directory(), SystemClock())
                key = await stack.enter_async_context(ours)
                signer = lambda: key  # noqa: E731 - one value, as a function
            token = await fetched(words, signer, credentials_directory(), RemoteClock(SystemClock()))
        return token.value.reveal(), token.expires_at

    value, expires_at = asyncio.run(had())
    _give(value, expires_at, as_json=arguments.json)
    return 0


def _give(value: str, expires_at: datetime, *, as_json: bool) -> None:
    if as_json:
        show_json({"token": value, "expires_at": instant(expires_at)})
    else:
        print(value)


def _show(token: Secret, *, as_json: bool) -> int:
    header, claims = _unverified(token)
    if as_json:
        show_json({"verified": False, "header": header, "claims": claims})
        return 0
    say(paint("Not verified: anybody could have written this.", "yellow", sys.stderr))
    _print(header, claims)
    return 0


def _verify(token: Secret, arguments: argparse.Namespace) -> int:
    header, _ = _unverified(token)
    claims, checked = judged(token, arguments)
    if arguments.json:
        show_json({"verified": True, "header": header, "claims": claims})
        return 0
    say(paint(f"Verified: {checked}.", "green", sys.stderr))
    _print(header, claims)
    return 0


def _print(header: Mapping[str, object], claims: Mapping[str, object]) -> None:
    """Print for a person; as ASCII, so that nothing a stranger wrote can move the cursor about."""
    now = SystemClock().now()
    for title, part in (("header", header), ("claims", claims)):
        print(paint(title, "bold"))
        for name, value in part.items():
            note = f"  {paint(_moment(value, now), 'dim')}" if name in _TIMES else ""
            print(f"  {json.dumps(name)[1:-1]:<8} {json.dumps(value)}{note}")


def _moment(value: object, now: datetime) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _YEAR_10000:
        return "not a date"
    moment = datetime.fromtimestamp(value, UTC)
    away = f"in {spell_duration(moment - now)}" if moment > now else f"{spell_duration(now - moment)} ago"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {away}"


def _token(argument: str) -> Secret:
    """The token on the command line, or else what standard input holds."""
    if argument != "-":
        say("warning: other users of this machine can read command lines; let the token come from standard input")
        return Secret(argument.strip())
    if sys.stdin.isatty():
        say("Paste the token, then press Ctrl-D.")
    text = sys.stdin.buffer.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise ConfigurationError("what came in is too long to be a token", hint="see what was piped in")
    if not text.strip():
        raise ConfigurationError("no token came in", hint="pipe one in, as in: rolecall token show < FILE")
    return Secret(text.decode("latin-1").strip())


def _unverified(token: Secret) -> tuple[dict[str, object], dict[str, object]]:
    try:
        return jose.unverified(token.reveal())
    except ValueError as error:
        raise AgentError(f"this is no signed JWT: {error}", hint="see what was piped in; it may be cut off") from error


def _claim(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("write it as NAME=TEXT")
    return name, value
