"""What is measured: the credentials listener as the daemon runs it, with a source that needs no AWS."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import uvloop

from agent.callers import Facts, Grant
from agent.callers.bearer import BearerTokens
from agent.callers.kernel import KernelRecogniser
from agent.clock import Clock, RemoteClock, SystemClock
from agent.credentials import Credentials
from agent.events import Event
from agent.leases import TOKENS
from agent.outputs import documents, token
from agent.outputs.ecs import EcsOutput
from agent.outputs.local import LocalOutput
from agent.outputs.token import TokenOutput
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.secret import Secret
from agent.sessions import RoleSession, Session
from agent.tokens import IssuedToken
from agent.vending import RoleVendor, TokenVendor
from agent.web.listener import answering
from agent.web.stats import RequestStats
from agent.wording import TokenGrant, Wording

ROLE = "web"
AUDIENCE = "https://api.example.com"


def made_up(clock: Clock) -> Credentials:
    """A set of the usual size: with it, the body comes to 1.2 kB."""
    now = clock.now()
    return Credentials(
        access_key_id="ASIAEXAMPLEEXAMPLE00",
        secret_access_key=Secret("s" * 40),
        session_token=Secret("t" * 900),
        obtained_at=now,
        expires_at=now + timedelta(hours=1),
        role_arn="arn:aws:iam::123456789012:role/web",
        account_id="123456789012",
    )


def made_up_token(clock: Clock) -> IssuedToken:
    """A token that makes an answer of the same size, so that what is compared is the way to it."""
    now = clock.now()
    return IssuedToken(Secret("t" * 1050), "id", AUDIENCE, "read", now, now + timedelta(hours=1))


class MadeUpTokens:
    """A source of tokens whose answers come at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def fetch(self) -> IssuedToken:
        """Sign nothing."""
        return made_up_token(self._clock)


class MadeUp:
    """A source whose answers come at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def fetch(self) -> Credentials:
        """Answer without asking anybody."""
        return made_up(self._clock)


def ignore(event: Event) -> None:
    """Report nothing: what is logged is said once a set, not once a request."""


def complain(error: BaseException) -> None:
    """Say what must not happen."""
    print(f"bug: {error!r}", file=sys.stderr)


async def issuing(tokens: BearerTokens, when: Facts, clock: RemoteClock) -> TokenVendor:
    """Whoever gives tokens to the same caller."""
    wording = Wording("host:web-1", timedelta(hours=1), ("read",))
    session = Session(
        AUDIENCE, MadeUpTokens(clock), RefreshPolicy(), clock=clock, report=ignore, spread=lambda: 0.5, kind=TOKENS
    )
    await session.renew()
    grants = [TokenGrant(AUDIENCE, when, wording)]
    return TokenVendor(Roster({(AUDIENCE, wording): session}, kind=TOKENS), [tokens], grants, ignore, TOKENS)


async def serve(token_file: Path, *, asking: bool) -> None:
    """Print the port, serve until killed. `asking`: whether the kernel is asked who calls."""
    clock = RemoteClock(SystemClock())
    session = RoleSession(
        ROLE,
        MadeUp(clock),
        RefreshPolicy(),
        clock=clock,
        report=ignore,
        spread=lambda: 0.5,
    )
    await session.renew()
    tokens = BearerTokens({token_file: timedelta(hours=1)}, clock=clock, report=ignore)
    await tokens.read()
    grant = Grant(ROLE, frozenset({("token.file", str(token_file))}))
    vendor = RoleVendor(Roster.whole({ROLE: session}), [tokens], [grant], ignore)
    where = ("127.0.0.1", 0)
    output = LocalOutput(EcsOutput(vendor, [ROLE]), {token.PATH: TokenOutput(await issuing(tokens, grant.when, clock))})
    stats = RequestStats()
    recogniser = KernelRecogniser(clock) if asking else None
    async with answering(
        output, where, clock=clock, stats=stats, on_bug=complain, report=ignore, recogniser=recogniser
    ) as (_, port):
        print(port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(documents.ecs(made_up(SystemClock())))
    run = asyncio.run if sys.argv[3] == "asyncio" else uvloop.run
    run(serve(Path(sys.argv[1]), asking=sys.argv[4] == "kernel"))
