"""What do a thousand roles cost while nobody asks for anything?"""

import asyncio
import random
import time

import uvloop

from agent.clock import RemoteClock, SystemClock
from agent.outputs.ecs import EcsOutput
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.sessions import Keeper, RoleSession
from agent.vending import RoleVendor
from agent.web.listener import answering
from agent.web.stats import RequestStats
from bench.agent_server import MadeUp, complain, ignore

ROLES = 1000


def cpu_a_minute(seconds: float) -> float:
    """CPU seconds a minute of the keeper with a thousand fresh roles and an open listener, watched for so long."""
    return uvloop.run(_idle(seconds)) * 60 / seconds


async def _idle(seconds: float) -> float:
    clock = RemoteClock(SystemClock())
    chance = random.Random(1)  # noqa: S311 - for spreading, not for secrets
    sessions = {
        f"role-{number}": RoleSession(
            f"role-{number}",
            MadeUp(clock),
            RefreshPolicy(),
            clock=clock,
            report=ignore,
            spread=chance.random,
        )
        for number in range(ROLES)
    }
    keeper = Keeper(sessions.values(), clock=clock, concurrency=ROLES, spread=lambda: 0.0)  # all at once, to begin with
    vendor = RoleVendor(Roster.whole(sessions), [], [], ignore)
    keeping = asyncio.ensure_future(keeper.keep_fresh())
    output, stats = EcsOutput(vendor, sessions), RequestStats()
    where = ("127.0.0.1", 0)
    async with answering(output, where, clock=clock, stats=stats, on_bug=complain, report=ignore):
        await keeper.tried()
        await asyncio.sleep(0.5)
        began = time.process_time()
        await asyncio.sleep(seconds)
        used = time.process_time() - began
    keeping.cancel()
    await asyncio.wait([keeping])
    return used
