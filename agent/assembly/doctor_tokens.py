"""How does the doctor have a token that somebody else makes, and see who that is?"""

import asyncio
from pathlib import Path

from agent import jose
from agent.assembly import cognito
from agent.assembly.oauth2 import fetched
from agent.assembly.rotation import public_site
from agent.clock import Clock, RemoteClock
from agent.doctor import Tried
from agent.errors import AgentError, KeyUnavailable
from agent.keys import SigningKey
from agent.publishing.world import PublicSite
from agent.settings import FromFile, Settings
from agent.settings.cognito import Cognito
from agent.settings.oauth2 import OAuth2
from agent.tokens import Token
from agent.tokens.file import TokenFile


class Elsewhere:
    """The tokens of somebody else, or why there are none."""

    def __init__(self, settings: Settings, clock: Clock, credentials_directory: Path | None) -> None:
        """Ask nothing yet; `settings` say whose tokens they are."""
        self._settings = settings
        self._clock = clock
        self._credentials_directory = credentials_directory
        self._key_tried = asyncio.Event()
        self._signing: SigningKey | None = None
        self._turn = asyncio.Lock()
        self._had: Token | AgentError | None = None

    @property
    def makes_them(self) -> bool:
        """Whether it is somebody else who makes our tokens."""
        return isinstance(self._settings.identity, FromFile | OAuth2 | Cognito)

    def key_tried(self, signing: SigningKey | None) -> None:
        """Take the key with which we may have to show who we are; None if there is none."""
        self._signing = signing
        self._key_tried.set()

    async def token(self) -> Token:
        """A token, as the agent would have it. Raises AgentError."""
        match self._settings.identity:
            case FromFile() as words:
                return await TokenFile(words.file, RemoteClock(self._clock)).token()
            case OAuth2() | Cognito() as words:
                async with self._turn:
                    if self._had is None:
                        self._had = await self._asked(words)
                if isinstance(self._had, AgentError):
                    raise type(self._had)(self._had.what, hint=self._had.hint)
                return self._had
            case _:
                message = "our own tokens are not somebody else's"
                raise AssertionError(message)

    async def site(self) -> PublicSite:
        """The site of whoever makes them. Raises AgentError where there is none, and so nobody knows who that is."""
        named = str(jose.unverified((await self.token()).value.reveal())[1].get("iss"))
        ours, words = self._settings.issuer, self._settings.identity
        if isinstance(words, OAuth2) or (isinstance(words, Cognito) and (ours is None or ours.url != named)):
            return PublicSite(named, clock=self._clock, ca_bundle=words.ca_bundle, proxy=words.proxy)
        if ours is not None and ours.url == named:
            return public_site(self._settings, self._clock)
        return PublicSite(named, clock=self._clock)

    def key_link(self) -> Tried:
        """What there is to say of the key where there is none, because none is needed."""
        match self._settings.identity:
            case FromFile():
                what = "from a file"
            case Cognito():
                what = "from Amazon Cognito"
            case _:
                what = "from an OAuth 2.0 provider"
        return Tried("key", f"tokens come {what}, so there is no key here")

    async def _asked(self, words: OAuth2 | Cognito) -> Token | AgentError:
        """Ask once, whatever comes of it: a provider may lock out who asks too often."""
        if isinstance(words, Cognito):
            return await self._signed_in(words)
        if words.signs:
            await self._key_tried.wait()
            if self._signing is None:
                return KeyUnavailable(
                    "there is no key to show the provider who we are", hint="see what is said of the link key"
                )
        key = self._signing
        try:
            signer = None if key is None else lambda: key
            return await fetched(words, signer, self._credentials_directory, RemoteClock(self._clock))
        except AgentError as error:
            return type(error)(error.what, hint=error.hint)

    async def _signed_in(self, words: Cognito) -> Token | AgentError:
        """By the sign-in that the agent keeps: where refresh tokens rotate, the next is put where the agent looks."""
        try:
            return await cognito.fetched(words, self._credentials_directory, RemoteClock(self._clock))
        except AgentError as error:
            return type(error)(error.what, hint=error.hint)
