"""What do clients make of trouble between the agent and AWS?"""

import asyncio

from agent.sandbox import Fault
from tests.conformance.stage import ROLE_ARN, STS_DOWN, Stage, ready_agent
from tests.conformance.words import Words, after, in_between, keeps_working, over
from tests.live.host import ROLECALL, agent_on, run_to_end

#: How long STS takes to give the first set, in seconds: twice as long as the agent lets a request wait.
_SLOW = 1.5
#: How long the sets live that are near their end, in seconds. The agent hands none out in its last minute: those of
#: the first kind are renewed before that, and those of the second, with STS down, are handed out for twenty seconds.
_SHORT, _SHORTEST = 125.0, 80.0


async def healthy(stage: Stage) -> Words:
    """Nothing is wrong."""
    async with ready_agent(stage), stage.troupe() as troupe:
        return keeps_working([await troupe.ask(word) for word in ("call", "call", "fresh")])


async def cold(stage: Stage) -> Words:
    """The clients ask as soon as the agent takes connections, with its first set on its way."""
    async with stage.troupe() as troupe:
        stage.sandbox.faults.add(Fault("slow", seconds=_SLOW, role=ROLE_ARN))
        async with agent_on(stage.host):
            await stage.listening()
            first = await troupe.ask("call")
            stage.well()
            await stage.served()
            return await over(first, troupe)


async def down_before(stage: Stage) -> Words:
    """The agent starts while STS is down: there is nothing to give, and nothing has ever been given."""
    stage.outage()
    async with stage.troupe() as troupe, agent_on(stage.host) as agent:
        await agent.ready()
        first = await troupe.ask("call")
        stage.well()
        await stage.served()
        return await over(first, troupe)


async def down_during(stage: Stage) -> Words:
    """STS goes down while the agent holds credentials."""
    async with ready_agent(stage), stage.troupe() as troupe:
        takes = [await troupe.ask("call")]
        stage.outage()
        takes += [await troupe.ask(word) for word in ("call", "fresh", "call")]
        return keeps_working(takes)


async def near_the_end(stage: Stage) -> Words:
    """What the agent has to give is so near its end that most clients fetch it again for every request."""
    stage.sandbox.faults.add(Fault("lifetime", seconds=_SHORT))
    async with ready_agent(stage), stage.troupe() as troupe:
        return keeps_working([await troupe.ask(word) for word in ("call", "call", "call", "fresh")])


async def over_the_end(stage: Stage) -> Words:
    """STS is down for longer than what the agent and the clients hold is good for."""
    stage.sandbox.faults.add(Fault("lifetime", seconds=_SHORTEST))
    async with stage.troupe() as troupe, agent_on(stage.host) as agent:
        await agent.ready()
        ends = asyncio.get_running_loop().time() + _SHORTEST + 1
        had = await troupe.ask("call")
        stage.sandbox.faults.replace([*stage.sandbox.faults.current(), STS_DOWN])
        await stage.empty()
        between = await troupe.ask("call")
        # From here on nobody has anything: what was given last has ended.
        await asyncio.sleep(ends - asyncio.get_running_loop().time())
        last = await troupe.ask("call")
        stage.well()
        await stage.served()
        return after([had], in_between([between], await over(last, troupe)))


async def wait_first(stage: Stage) -> Words:
    """STS is down at first, and the clients are started by who has waited for the role."""
    stage.outage()
    async with agent_on(stage.host) as agent:
        await agent.ready()
        words = [*ROLECALL, "wait", "backup", "-c", str(stage.host.config), "--timeout", "40s"]
        waiting = asyncio.ensure_future(run_to_end(words, stage.host.environment()))
        await asyncio.sleep(1)
        assert not waiting.done()
        stage.well()
        code, _, err = await waiting
        assert code == 0, err
        async with stage.troupe() as troupe:
            return keeps_working([await troupe.ask("call")])
