import json

import pytest

from agent.callers import Origin, Peer
from agent.leases import TOKENS
from agent.outputs.who import NAME, PATH, WhoOutput
from agent.roster import TokenRoster
from agent.vending import TokenVendor
from agent.web import Asked
from agent.web.problems import Refusal
from agent.wording import TokenGrant
from tests.unit.outputs.test_token import READING, STRANGER
from tests.unit.outputs.test_token import WEB as SERVICE
from tests.unit.web.world import BOTH, NONE, WEB, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def output(world: World) -> WhoOutput:
    grants = [TokenGrant("api", SERVICE.facts, READING, "grants#7")]
    roster = TokenRoster({}, {"api": ""}, kind=TOKENS)
    return WhoOutput(world.vendor, TokenVendor(roster, [], grants, world.reported, TOKENS))


def asked(token: bytes | None, method: str = "GET", path: str = PATH) -> Asked:
    return Asked(method, path, Peer(Origin("127.0.0.1"), token))


async def test_a_caller_is_told_which_tokens_it_may_have(output: WhoOutput) -> None:
    said = json.loads((await output.answer(Asked("GET", PATH, Peer(SERVICE, None)))).body)
    assert said["caller"] == "systemd.unit=web.service"
    assert said["tokens"] == [{"audience": "api", "scopes": ["read", "write"], "by": "grants#7"}]


async def test_and_nothing_of_what_others_may(output: WhoOutput) -> None:
    said = json.loads((await output.answer(Asked("GET", PATH, Peer(STRANGER, None)))).body)
    assert (said["granted"], said["tokens"]) == ([], [])


@pytest.mark.parametrize(
    ("token", "roles"), [(WEB, ["web"]), (BOTH, ["backup", "web"]), (NONE, []), (b"unknown", []), (None, [])]
)
async def test_it_is_told_which_roles_and_to_look_is_not_to_be_refused(
    world: World, output: WhoOutput, token: bytes | None, roles: list[str]
) -> None:
    told = await output.answer(asked(token))
    said = json.loads(told.body)
    assert told.role == ""
    assert [one["role"] for one in said["granted"]] == roles
    assert [name for name, _ in said["facts"]] == (["token.file"] if token in {WEB, BOTH, NONE} else [])
    assert not world.reported


@pytest.mark.parametrize(("path", "method", "status"), [("/v1/who/x", "GET", 404), (PATH, "POST", 405)])
async def test_another_path_or_method_is_not_here(output: WhoOutput, path: str, method: str, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        await output.answer(asked(WEB, method, path))
    assert caught.value.problem.status == status


def test_nothing_is_ready_made(output: WhoOutput) -> None:
    assert output.ready(asked(WEB)) is None
    assert output.label(PATH) == (NAME, "")
