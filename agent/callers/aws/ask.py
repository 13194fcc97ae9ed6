"""Whose request is this? AWS knows, and STS tells whoever sends it.

What is sent is what was shown, to the letter, with one header that we write ourselves: so a request which was signed
for another server is none that STS believes. A nonce is sent where one was signed, and means nothing. Nothing else
leads anywhere: no redirect is followed, no proxy of the environment used, and the answer is read only so far.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from agent.authorities import trusting
from agent.callers.aws import NONCE_HEADER, SERVER_HEADER, Principal, rejected
from agent.callers.aws.canonical import principal
from agent.callers.aws.fairness import Lanes
from agent.callers.aws.presigned import Presigned
from agent.clock import Clock, within
from agent.errors import AgentError, ConfigurationError, ProofUnchecked
from agent.https import OURS, body_of

#: How long STS may take in all, in seconds. It answers within a tenth of one.
PATIENCE: Final = 5.0
#: So many are asked about at once: some 200 a second, a third of what one account may ask STS in a region.
AT_ONCE: Final = 16
#: The longest answer that is read, in bytes; STS's comes to half a kilobyte.
_LONGEST: Final = 16_384
#: With which codes STS says 400 although the request may be good (STS API reference, "Common errors").
_BUSY: Final = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable"})


@dataclass(frozen=True, slots=True)
class Way:
    """How STS is reached: `server_id` is who we are; a proxy is one that the configuration names, or none."""

    server_id: str
    ca_bundle: Path | None = None
    proxy: str | None = None


class Sts:
    """An STS that is asked whose a presigned request is. To be used while `open` lasts."""

    def __init__(self, way: Way, clock: Clock) -> None:
        """Open nothing yet."""
        self._way = way
        self._clock = clock
        self._lanes = Lanes(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be ready to ask. Raises ConfigurationError where the CA bundle is none."""
        connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=_trust(self._way.ca_bundle), keepalive_timeout=30)
        async with aiohttp.ClientSession(
            connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        ) as session:
            self._session = session
            try:
                yield
            finally:
                self._session = None

    async def whose(self, proof: Presigned, address: str) -> Principal:
        """Who signed such a request; `address` is who wants to know, who waits in line with others.

        Raises TokenRejected if STS does not believe it; ProofUnchecked if it did not say, or too much is asked.
        """
        async with self._lanes.turn(address):
            try:
                status, body = await within(self._clock, PATIENCE, self._ask(proof))
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
                problem: AgentError = _unchecked(f"STS did not answer ({type(error).__name__})")
            else:
                return _told(status, body)
        raise problem  # out here, unchained: what the library says may quote the request

    async def _ask(self, proof: Presigned) -> tuple[int, bytes]:
        if self._session is None:
            raise aiohttp.ClientConnectionError
        headers = {SERVER_HEADER: self._way.server_id, **OURS}
        if proof.nonce:
            headers[NONCE_HEADER] = proof.nonce
        async with self._session.get(
            URL(proof.url.reveal(), encoded=True),
            headers=headers,
            allow_redirects=False,
            proxy=self._way.proxy,
        ) as answer:
            return answer.status, await body_of(answer, _LONGEST)


def _told(status: int, body: bytes) -> Principal:
    """What STS's answer comes to. Raises TokenRejected or ProofUnchecked."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if status == 200:
        result = _member(_member(said, "GetCallerIdentityResponse"), "GetCallerIdentityResult")
        arn, account = result.get("Arn"), result.get("Account")
        try:
            if isinstance(arn, str) and isinstance(account, str):
                return principal(arn, account)
        except ValueError:
            pass
        raise _unchecked("what answers in place of STS names no principal")
    code = _member(said, "Error").get("Code")
    if status in {400, 401, 403} and isinstance(code, str) and code not in _BUSY:
        shown = code if code.isascii() and code.isalnum() and len(code) <= 64 else "another code"
        raise rejected(f"STS does not believe the presigned request: {shown}", "refused")
    raise _unchecked(f"STS answered {status}")


def _member(said: object, name: str) -> Mapping[str, object]:
    found = said.get(name) if isinstance(said, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _unchecked(what: str) -> ProofUnchecked:
    return ProofUnchecked(what, hint="see whether this host reaches the STS endpoints of aws_callers.regions")


def _trust(ca_bundle: Path | None) -> ssl.SSLContext:
    try:
        return trusting(ca_bundle)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the CA bundle {ca_bundle} cannot be used", hint="point sts.ca_bundle at a readable file of certificates"
        ) from error
