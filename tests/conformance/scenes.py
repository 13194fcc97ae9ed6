"""Which scenes are there, what is each client expected to do in it, and what does the operator do about it?"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance import scenes_agent, scenes_aws, scenes_callers
from tests.conformance.cast import Client
from tests.conformance.stage import Stage, stage_in
from tests.conformance.words import (
    BY_NO_PROXY,
    BY_TOKEN_FILE,
    EXPIRED,
    RECOVERS,
    UNSIGNED,
    WHILE_OVERLAP,
    WORKS,
    Words,
)


@dataclass(frozen=True, slots=True)
class Scene:
    """One sort of trouble.

    Attributes:
        title: in the table.
        play: makes it, with all clients at once.
        happens: what it is that happens.
        expected: what every client does that is not in `apart`.
        apart: what others do, by their names: deviations that are known, and neither more nor fewer.
        operator: what whoever runs the machine does about it.
        roles: which roles the host has.
    """

    title: str
    play: Callable[[Stage], Awaitable[Words]]
    happens: str
    expected: str
    operator: str
    apart: Mapping[str, str] = field(default_factory=dict)
    roles: Sequence[str] = ("backup",)

    @property
    def name(self) -> str:
        """In commands."""
        return self.play.__name__

    def word(self, client: Client) -> str:
        """What this client is expected to do."""
        return self.apart.get(client.name, self.expected)


_CPP_UNSIGNED = {"pyarrow": f"{UNSIGNED}, {RECOVERS}"}

_FIRST_ROLE = (
    "Nothing for most. Start a program on the C++ SDK only when the role is there: `rolecall wait ROLE` before it "
    "(`ExecStartPre=` in a unit), or `rolecall exec ROLE -- program`."
)

SCENES: tuple[Scene, ...] = (
    Scene(
        title="healthy",
        play=scenes_aws.healthy,
        happens="Nothing is wrong. Each client makes a request, makes another, and is then made anew.",
        expected=WORKS,
        operator="Nothing.",
    ),
    Scene(
        title="role still cold",
        play=scenes_aws.cold,
        happens=(
            "The agent has just started and STS takes 1.5 s over the first set. The clients ask meanwhile: the agent "
            "lets each request wait for 0.7 s and then answers 503."
        ),
        expected=WORKS,
        apart={"minio": RECOVERS},
        operator=(
            "Nothing for most: their own tries outlast it. minio-go tries once only: start what is built on it with "
            "`wait` or `exec`."
        ),
    ),
    Scene(
        title="STS down before",
        play=scenes_aws.down_before,
        happens="The agent starts while STS answers 503, so that there is nothing to give; then STS is up again.",
        expected=RECOVERS,
        apart=_CPP_UNSIGNED,
        operator=_FIRST_ROLE,
    ),
    Scene(
        title="STS down during",
        play=scenes_aws.down_during,
        happens="STS goes down while the agent holds credentials. It goes on giving them to all, new clients too.",
        expected=WORKS,
        operator="Nothing, unless it lasts: `rolecall status` and the metrics tell how long what is held is good for.",
    ),
    Scene(
        title="near their end",
        play=scenes_aws.near_the_end,
        happens=("What the agent has to give is good for two minutes or less: most clients fetch it for each request."),
        expected=WORKS,
        operator="Nothing: it costs the agent little, and STS nothing.",
    ),
    Scene(
        title="over their end",
        play=scenes_aws.over_the_end,
        happens=(
            "STS is down for longer than what is held is good for. In its last minute the agent stops giving it and "
            "answers 503; what clients have in memory ends a minute later. Then STS is up again."
        ),
        expected=RECOVERS,
        apart={"pyarrow": f"{EXPIRED}, {RECOVERS}"},
        operator=(
            "Mend STS, or the way there; no client needs a restart. The agent never gives out what has ended; it is "
            "the C++ SDK that keeps what it has when it gets nothing else, and goes on signing with that."
        ),
    ),
    Scene(
        title="agent restarted",
        play=scenes_agent.restart,
        happens=(
            "The agent is ended while requests of all clients wait for their answers, by SIGTERM and then by SIGKILL, "
            "and started again at once."
        ),
        expected=RECOVERS,
        apart=_CPP_UNSIGNED,
        operator=(
            "Nothing: who holds credentials does not notice, and even those who hold none, as here, are back within "
            "seconds, many without an error. Start programs on the C++ SDK with `wait` or `exec`."
        ),
    ),
    Scene(
        title="agent stopped",
        play=scenes_agent.stopped,
        happens=(
            "The agent is stopped. Clients that remember their credentials go on with them; those that are made anew "
            "find nobody there. Later the agent is started again."
        ),
        expected=RECOVERS,
        apart=_CPP_UNSIGNED,
        operator="Start the agent; no client needs a restart. Start programs on the C++ SDK with `wait` or `exec`.",
    ),
    Scene(
        title="token changed",
        play=scenes_callers.token_changed,
        happens=(
            "The token in the agent's file is replaced, then that in the clients' file. The old one is good for as "
            "long as `token_overlap` says; at last it is not."
        ),
        expected=WORKS,
        apart={"cli2": WHILE_OVERLAP, "java": WHILE_OVERLAP},
        operator=(
            "Before the overlap ends, restart programs on the Java SDK, which prefers the value in its environment to "
            "the file, and shells in which old releases of the AWS CLI v2 are used, which know only the value."
        ),
    ),
    Scene(
        title="wrong token",
        play=scenes_callers.wrong_token,
        happens="The agent does not know the clients' token and answers 401, until the token stands in its file.",
        expected=RECOVERS,
        apart=_CPP_UNSIGNED,
        operator="Put the right token into the file: the agent reads it within seconds, and no client needs a restart.",
    ),
    Scene(
        title="role not granted",
        play=scenes_callers.not_granted,
        happens="The agent knows the token, but grants it another role, and answers 403; then it is granted this one.",
        expected=RECOVERS,
        apart=_CPP_UNSIGNED,
        operator="Grant the role, or ask for one that is granted; `rolecall check` tells who gets what.",
        roles=("backup", "reports"),
    ),
    Scene(
        title="proxies",
        play=scenes_callers.proxies,
        happens=(
            "All six variables that name a proxy name one, beside the environment of `rolecall env`. Then the same "
            "without `NO_PROXY` and `no_proxy`, to see who would have given the token away."
        ),
        expected=WORKS,
        apart={"obstore": BY_NO_PROXY, "rust": BY_NO_PROXY},
        operator="Take over `NO_PROXY` and `no_proxy` with the rest of what `rolecall env` says.",
    ),
    Scene(
        title="`exec`",
        play=scenes_callers.executed,
        happens=(
            "`rolecall exec` runs the client while STS is down at first, in an environment full of other keys, "
            "profiles and tokens, and with a `[default]` profile in the home folder."
        ),
        expected=WORKS,
        operator="Nothing: the client is started when its role is there, and finds nothing but its role.",
    ),
    Scene(
        title="`wait`",
        play=scenes_aws.wait_first,
        happens="STS is down at first; `rolecall wait` returns when the role is there, and then the clients start.",
        expected=WORKS,
        operator="Put `rolecall wait` before whatever tries once only.",
    ),
    Scene(
        title="one address for all",
        play=scenes_callers.one_address,
        happens=(
            "The address ends in `/v1/credentials` and names no role, and there is no token anywhere: the kernel tells "
            "the agent which user asks, and each user is granted another role."
        ),
        expected=WORKS,
        apart={"obstore": BY_TOKEN_FILE},
        operator=(
            "Nothing for most. What is built on object_store asks the agent only if "
            "`AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` names a file as well: any file with a line of letters, and no "
            "newline, will do."
        ),
        roles=("backup", "reports"),
    ),
)


#: The same, what takes longest first.
BY_LENGTH = sorted(SCENES, key=lambda scene: scene.play is not scenes_aws.over_the_end)


async def played(scene: Scene, home: Path, clients: Sequence[Client]) -> Words:
    """Play a scene in an empty folder: what each client did."""
    async with stage_in(home, clients, scene.roles) as stage:
        return await scene.play(stage)
