"""How does a person sign in, for roles that are had by a sign-in?"""

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.assembly.identity_center import OpenedCenter, cache_of, portal_of
from agent.cli.browser import open_browser, why_no_browser
from agent.cli.configuration import settings_of
from agent.cli.login_list import show_list
from agent.cli.terminal import paint, say, show_json, warn
from agent.clock import SystemClock, instant
from agent.errors import AgentError, ConfigurationError
from agent.events import Event, RefreshTokenUnsaved
from agent.settings import Cognito, IdentityCenter, Settings, find
from agent.settings.identity_center import identity_center_of
from agent.sign_in import SignIn
from agent.sign_in.assignments import Account, assignments
from agent.sign_in.cache import Cache
from agent.sign_in.leaving import sign_out
from agent.sign_in.renewal import Renewal
from agent.sign_in.signing_in import DeviceCode, Means, by_browser, by_device

HELP = "sign in at IAM Identity Center or Amazon Cognito, for roles that take a person"
EXAMPLE = """\
rolecall login                       # with the browser of this machine
  rolecall login --device              # on a machine without one: enter a code in a browser elsewhere
  rolecall login --list                # which accounts and permission sets you may have
  rolecall login --logout
  rolecall login --list --start-url https://example.awsapps.com/start --region eu-central-1   # without configuration"""

T = TypeVar("T")

#: Where a sign-in may be, by the table or the source that the configuration has for it.
_WHERE: Final = ("identity_center", "cognito")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to do, and how."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--device", action="store_true", help="sign in with a code, in a browser on any machine")
    what.add_argument("--list", action="store_true", help="list the accounts and permission sets that you may have")
    what.add_argument("--logout", action="store_true", help="sign out, for the AWS CLI and SDKs as well")
    parser.add_argument("--no-browser", action="store_true", help="open no browser: only show where to go")
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="where the browser comes back to (default: any that is free)"
    )
    parser.add_argument("--to", choices=_WHERE, help="where to sign in, if the configuration knows both")
    alone = parser.add_argument_group("without a configuration")
    alone.add_argument("--start-url", metavar="URL", help="the address of the access portal")
    alone.add_argument("--region", metavar="REGION", help="the region of its Identity Center")
    alone.add_argument("--session", metavar="NAME", help="the sso-session of the AWS CLI's whose sign-in this is")


def run(arguments: argparse.Namespace) -> int:
    """Sign in, sign out, or list; 0. Raises AgentError."""
    settings = None
    if arguments.start_url or arguments.region or arguments.session:
        words = identity_center_of(
            {name: value for name in ("start_url", "region", "session") if (value := getattr(arguments, name))}
        )
    else:
        settings = _configured(arguments.config)
        where = _where(settings, arguments.to)
        if where == "cognito":
            return _cognito(arguments, settings)
        assert settings.identity_center is not None  # or nobody could be led there
        words = settings.identity_center
    desk = _Desk(words, arguments)
    if arguments.logout:
        return desk.sign_out()
    if arguments.list:
        accounts = desk.listed()
        show_list(accounts, words, settings, as_json=arguments.json)
        return 0
    return desk.sign_in()


def _configured(config: Path | None) -> Settings:
    """The configuration; where there is none at all, it is said what does without one."""
    try:
        find(config, os.environ)
    except ConfigurationError as error:
        raise ConfigurationError(
            error.what, hint="name one with -c FILE or ROLECALL_CONFIG; or do without, by --start-url and --region"
        ) from error
    return settings_of(config)


def _where(settings: Settings, wanted: str | None) -> str:
    there = [
        name
        for name, known in (
            ("identity_center", settings.identity_center is not None),
            ("cognito", isinstance(settings.identity, Cognito)),
        )
        if known
    ]
    if wanted in there:
        return str(wanted)
    if not there or wanted is not None:
        raise ConfigurationError(
            f"{settings.path} knows of no sign-in{f' at {wanted}' if wanted else ''}",
            hint="it takes [identity_center] with start_url and region, or --start-url and --region",
        )
    if len(there) > 1:
        raise ConfigurationError(
            f"{settings.path} knows two places to sign in", hint=f"say which: --to {' or --to '.join(there)}"
        )
    return there[0]


def _cognito(arguments: argparse.Namespace, settings: Settings) -> int:
    from agent.cli.login_cognito import sign_in

    for word in ("device", "list", "logout"):
        if getattr(arguments, word):
            raise ConfigurationError(
                f"--{word} is for IAM Identity Center, and this sign-in is at Amazon Cognito",
                hint="leave it out: rolecall login",
            )
    return sign_in(arguments, settings)


class _Desk:
    """One sign-in, and what can be done about it at a terminal."""

    def __init__(self, words: IdentityCenter, arguments: argparse.Namespace) -> None:
        self._words = words
        self._arguments = arguments
        self._portal = portal_of(words)
        self._cache: Cache = cache_of(words, self._portal)

    def sign_in(self) -> int:
        arguments = self._arguments
        if not arguments.device and not arguments.no_browser and (why := why_no_browser(os.environ, sys.stderr)):
            raise ConfigurationError(
                f"no browser can be opened here: {why}", hint="sign in with: rolecall login --device"
            )
        signed_in = asyncio.run(self._opened(self._by_device if arguments.device else self._by_browser))
        lasting = signed_in.is_renewable(SystemClock().now())
        if arguments.json:
            show_json(
                {
                    "start_url": signed_in.start_url,
                    "region": signed_in.region,
                    "expires_at": instant(signed_in.expires_at),
                    "renewable": lasting,
                    "file": str(self._cache.path),
                }
            )
            return 0
        until = f"until {instant(signed_in.expires_at)}"
        lasts = "renewed by itself as long as the portal allows" if lasting else until
        print(f"{paint('Signed in', 'green')} at {signed_in.start_url}, {lasts}.")
        say("An agent that runs goes on within seconds; the AWS CLI and SDKs find the sign-in, too.")
        return 0

    def listed(self) -> list[Account]:
        async def found(center: OpenedCenter) -> list[Account]:
            renewal = Renewal(self._portal, self._cache, center, SystemClock(), _heard)
            return [account async for account in assignments(self._portal, center, renewal)]

        return asyncio.run(self._opened(found))

    def sign_out(self) -> int:
        trouble = asyncio.run(self._opened(lambda center: sign_out(self._cache, center)))
        if trouble is not None:
            warn(trouble)
        if self._arguments.json:
            show_json({"signed_out": True, "portal_told": trouble is None})
        else:
            print(f"Signed out at {self._portal.start_url}.")
        return 0

    async def _opened(self, work: Callable[[OpenedCenter], Coroutine[Any, Any, T]]) -> T:
        async with OpenedCenter(self._words) as center:
            return await work(center)

    async def _by_browser(self, center: OpenedCenter) -> SignIn:
        def show(url: str) -> None:
            say(f"Sign in with your browser{'' if self._arguments.no_browser else ', which opens'}:\n\n  {url}\n")
            if not self._arguments.no_browser:
                open_browser(url, os.environ)

        return await by_browser(self._means(center), port=self._arguments.port, show=show)

    async def _by_device(self, center: OpenedCenter) -> SignIn:
        def show(code: DeviceCode) -> None:
            say(
                f"In a browser on any machine, go to\n\n  {code.url}\n\nand enter the code\n\n  "
                f"{paint(code.user_code, 'bold', sys.stderr)}\n\nor go there with the code in it:\n\n  "
                f"{code.complete_url}\n\nAllow it only if this is the code that you see there."
            )

        return await by_device(self._means(center), show=show)

    def _means(self, center: OpenedCenter) -> Means:
        return Means(self._portal, self._cache, center, SystemClock(), random.SystemRandom())


def _heard(event: Event) -> None:
    if isinstance(event, RefreshTokenUnsaved):
        warn(AgentError(f"the sign-in could not be kept: {event.reason}", hint="sign in again when that is mended"))


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)
