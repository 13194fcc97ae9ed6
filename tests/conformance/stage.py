"""Where do the clients play? On one host with its agent, each with a gate of its own to AWS."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from agent.sandbox import Fault, Sandbox
from tests.conformance.cast import Client
from tests.conformance.conversation import Answer, Conversation, Word, calm, conversation
from tests.conformance.gate import Gate, gate_to
from tests.live.host import ROLECALL, TOKEN, Agent, Host, agent_on, run_to_end, sandboxed
from tests.live.walking import until

ROLE_ARN = "arn:aws:iam::123456789012:role/backup"

#: STS gives nobody this role; who asks it who he is gets his answer as ever.
STS_DOWN = Fault("status", status=503, role=ROLE_ARN)


@dataclass(frozen=True, slots=True)
class Took:
    """How one request went: what the client made of it, and what AWS heard of it."""

    answer: Answer
    heard: tuple[str, ...]

    @property
    def well(self) -> bool:
        """Whether it went as it should: the role was had, and nothing was sent without a good signature."""
        return self.answer.ok and set(self.heard) == {"signed"}


Takes = Mapping[str, Took]


@dataclass
class Troupe:
    """The clients that are running, by name."""

    talks: Mapping[str, Conversation]
    gates: Mapping[str, Gate]

    async def ask(self, word: Word, *, only: Sequence[str] | None = None) -> Takes:
        """One request of each, all at once."""
        names = [name for name in self.talks if only is None or name in only]
        for name in names:
            self.gates[name].take()
        answers = await asyncio.gather(*(self.talks[name].ask(word) for name in names))
        return {name: Took(answer, tuple(self.gates[name].take())) for name, answer in zip(names, answers, strict=True)}


@dataclass
class Stage:
    """A host, its AWS, and the clients that are to play; `environ` is what `rolecall env` says."""

    host: Host
    sandbox: Sandbox
    clients: Sequence[Client]
    gates: Mapping[str, Gate]
    environ: dict[str, str] = field(default_factory=dict)

    def outage(self) -> None:
        """From now on STS gives the role to nobody."""
        self.sandbox.faults.replace([STS_DOWN])

    def well(self) -> None:
        """Nothing is wrong any more."""
        self.sandbox.faults.clear()

    def own(self, client: Client) -> dict[str, str]:
        """What a client finds in its environment besides what `rolecall env` says: where AWS is, and no home."""
        return {
            "PATH": self.host.environment()["PATH"],
            "HOME": str(self.host.home / "nobody"),
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL": self.gates[client.name].url,
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            # object_store does not mind AWS_EC2_METADATA_DISABLED, and nobody is to leave this machine.
            "AWS_METADATA_ENDPOINT": "http://127.0.0.1:9",
        }

    @asynccontextmanager
    async def troupe(
        self,
        more: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        *,
        environ: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Troupe]:
        """All clients, started up; `more` is added to their environment, `environ` is there instead of ours."""
        ours = dict(self.environ if environ is None else environ) | dict(more or {})
        async with AsyncExitStack() as opening:
            started = await asyncio.gather(
                *(
                    opening.enter_async_context(conversation(client, self.own(client) | ours, before))
                    for client in self.clients
                )
            )
            troupe = Troupe({talk.client.name: talk for talk in started}, self.gates)
            await calm(started)
            yield troupe

    async def served(self, token: str = TOKEN) -> None:
        """Wait until the agent gives the role to whoever shows this token."""
        await until(lambda: self._answers(lambda status: status == 200, token), 40)

    async def empty(self) -> None:
        """Wait until the agent has nothing to give any more."""
        await until(lambda: self._answers(lambda status: status == 503), 40)

    async def listening(self) -> None:
        """Wait until the agent takes connections, whatever it has to give."""
        await until(self._accepts, 40)

    async def ask(self, token: str = TOKEN) -> int:
        """The status with which the agent answers; 0 if it does not."""
        url, headers = f"{self.host.url}/v1/credentials/backup", {"Authorization": token}
        with suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
                return answer.status
        return 0

    async def _answers(self, good: Callable[[int], bool], token: str = TOKEN) -> bool:
        return good(await self.ask(token))

    async def _accepts(self) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.host.ports[0])
            writer.close()
            return True
        return False


@asynccontextmanager
async def stage_in(home: Path, clients: Sequence[Client], roles: Sequence[str] = ("backup",)) -> AsyncIterator[Stage]:
    """A host in a folder of its own, with its AWS; no agent runs yet."""
    async with AsyncExitStack() as opening:
        host, sandbox = await opening.enter_async_context(sandboxed(home, roles))
        host.log = "info"
        (home / "nobody").mkdir()
        gates = {client.name: await opening.enter_async_context(gate_to(sandbox)) for client in clients}
        stage = Stage(host, sandbox, clients, gates)
        stage.environ = await said_environment(host)
        yield stage


async def said_environment(
    host: Host, role: str = "backup", present: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What `rolecall env` has a program set, for one in whose environment there is `present` already."""
    environ = host.environment() | dict(present or {})
    words = [*ROLECALL, "env", *([role] if role else []), "-c", str(host.config), "--json"]
    code, out, err = await run_to_end(words, environ)
    assert code == 0, err
    said: dict[str, str] = json.loads(out)["set"]
    return said


@asynccontextmanager
async def ready_agent(stage: Stage, token: str = TOKEN) -> AsyncIterator[Agent]:
    """The agent, up and ready, with its role for whoever shows this token."""
    async with agent_on(stage.host) as agent:
        await agent.ready()
        await stage.served(token)
        yield agent
