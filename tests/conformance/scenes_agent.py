"""What do clients make of an agent that goes away and comes back?"""

import asyncio
import signal

from agent.sandbox import Fault
from tests.conformance.stage import ROLE_ARN, Stage, ready_agent
from tests.conformance.words import RECOVERS, WORKS, Words, after, in_between, keeps_working, over
from tests.live.host import agent_on

#: How long STS takes, in seconds: for long enough that requests are under way when the agent ends.
_SLOW = 8.0
#: How long the clients' requests have been under way then, in seconds: less than the agent lets them wait.
_UNDER_WAY = 0.3


async def restart(stage: Stage) -> Words:
    """The agent is ended while requests of all clients are under way, and started again at once: TERM, then KILL."""
    between, again = [], []
    async with stage.troupe() as troupe:
        for number in (signal.SIGTERM, signal.SIGKILL):
            stage.sandbox.faults.add(Fault("slow", seconds=_SLOW, role=ROLE_ARN))
            async with agent_on(stage.host) as agent:
                await stage.listening()
                asking = asyncio.ensure_future(troupe.ask("fresh"))
                await asyncio.sleep(_UNDER_WAY)
                await agent.stop(number)
            stage.well()
            async with ready_agent(stage):
                between.append(await asking)
                again.append(await troupe.ask("call"))
    words = {name: RECOVERS if said == WORKS else said for name, said in keeps_working(again).items()}
    return in_between(between, words)


async def stopped(stage: Stage) -> Words:
    """The agent is stopped, and started again later. What a client holds already stays good meanwhile."""
    async with stage.troupe() as troupe:
        async with ready_agent(stage):
            had = await troupe.ask("call")
        held = await troupe.ask("call", only=[client.name for client in stage.clients if client.remembers])
        last = await troupe.ask("fresh")
        async with ready_agent(stage):
            return after([had, {**had, **held}], await over(last, troupe))
