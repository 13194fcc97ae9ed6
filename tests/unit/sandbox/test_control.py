"""Can a running sandbox be looked at and told what to do, in any language that speaks JSON?"""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox import Fault, practice_world, world_as_json
from tests.unit.sandbox.scene import ISSUER, ROLE, Scene, scene


async def tell(
    here: Scene, method: str, path: str, document: object = None, raw: bytes | None = None
) -> tuple[int, Any]:
    data = raw if raw is not None else (None if document is None else json.dumps(document).encode())
    async with here.http.request(method, here.sandbox.control_url + path, data=data) as answer:
        return answer.status, await answer.json()


async def test_faults_are_set_added_shown_and_cleared(tmp_path: Path) -> None:
    slow = {"kind": "slow", "seconds": 0.5, "times": 2, "role": None}
    down = {"kind": "status", "status": 500, "times": None, "role": ROLE}
    async with scene(tmp_path) as here:
        assert await tell(here, "GET", "/faults") == (200, [])
        assert await tell(here, "PUT", "/faults", slow) == (200, [slow])
        assert await tell(here, "POST", "/faults", [down]) == (200, [slow, down])
        assert here.sandbox.faults.current() == (
            Fault("slow", seconds=0.5, times=2),
            Fault("status", status=500, role=ROLE),
        )
        assert await tell(here, "PUT", "/faults", [down]) == (200, [down])
        assert (await here.assume()).status == 500
        assert await tell(here, "DELETE", "/faults") == (200, [])
        assert (await here.assume()).status == 200


async def test_a_wrong_fault_changes_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await tell(here, "PUT", "/faults", {"kind": "drop"})
        status, answer = await tell(here, "PUT", "/faults", [{"kind": "slow"}, {"kind": "earthquake"}])
        assert status == 400
        assert answer["error"] == "there is no kind of fault 'earthquake'"
        assert "slow" in answer["hint"]
        assert here.sandbox.faults.current() == (Fault("drop"),)
        assert (await tell(here, "PUT", "/faults", raw=b"{"))[1]["error"] == "the body is not JSON"


async def test_requests_are_shown_and_forgotten(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.assume("garbage")
        status, shown = await tell(here, "GET", "/requests")
        assert status == 200
        assert shown == [
            {
                "action": "AssumeRoleWithWebIdentity",
                "code": "InvalidIdentityToken",
                "status": 400,
                "role_arn": ROLE,
                "session_name": "tester",
                "at": "2026-11-20T12:00:00Z",
                "why": "",
            }
        ]
        assert await tell(here, "DELETE", "/requests") == (200, [])
        assert here.sandbox.requests == []


async def test_the_world_is_shown_and_replaced(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        status, world = await tell(here, "GET", "/world")
        assert (status, world) == (200, world_as_json(practice_world(ISSUER)))
        world["roles"] = []
        assert await tell(here, "PUT", "/world", world) == (200, world)
        assert (await here.assume()).status == 403
        assert (await tell(here, "PUT", "/world", {"account_id": "1"}))[0] == 400
        assert here.sandbox.world.account_id == "123456789012"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/fault", 404), ("PATCH", "/faults", 405), ("PUT", "/requests", 405)],
)
async def test_what_is_not_there_is_said_not_to_be(method: str, path: str, status: int, tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await tell(here, method, path))[0] == status
