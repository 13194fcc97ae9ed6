"""Is what happened in this AWS written down, and no secret with it?"""

import re
from datetime import timedelta
from pathlib import Path
from random import Random

from agent.sandbox import Call, Fault, practice_world
from agent.sandbox.cloud import Cloud
from tests.fakes.clock import START, FakeClock
from tests.unit.sandbox.scene import ROLE, scene


async def test_the_calls_are_written_down(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.assume()
        (here.site / "keys.json").unlink()
        await here.assume()
        await here.post({"Action": "GetCallerIdentity", "Version": "2011-06-15"})
        first, second, third = here.sandbox.requests
        assert (first.action, first.code, first.status) == ("AssumeRoleWithWebIdentity", "Success", 200)
        assert (first.role_arn, first.session_name, first.at) == (ROLE, "tester", START)
        assert (second.code, second.status) == ("InvalidIdentityToken", 400)
        assert second.why.endswith("keys.json answered 404")
        assert (third.action, third.code, third.status) == ("GetCallerIdentity", "MissingAuthenticationToken", 403)


async def test_the_session_behind_a_set_is_found_by_its_key_id(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        answer = await here.assume()
        found = here.sandbox.issued(answer.text("AccessKeyId"))
        assert found is not None
        assert (found.role_arn, found.arn.rpartition("/")[2]) == (ROLE, "tester")
        assert answer.text("SessionToken") not in repr(found)
        assert here.sandbox.issued("ASIANOBODY") is None


async def test_nothing_secret_is_written_down(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        token = here.token()
        answer = await here.assume(token)
        secrets = (token, answer.text("SecretAccessKey"), answer.text("SessionToken"))
        written = repr(here.sandbox.requests)
        async with here.http.get(f"{here.sandbox.control_url}/requests") as shown:
            written += await shown.text()
        assert not [secret for secret in secrets if secret in written]


def test_ten_thousand_calls_are_remembered() -> None:
    cloud = Cloud(practice_world(), FakeClock(), Random(1))
    for number in range(10_001):
        cloud.note(Call("", "Success", 200, "", str(number), START))
    assert len(cloud.calls) == 10_000
    assert cloud.calls[0].session_name == "1"
    assert cloud.calls[-1].session_name == "10000"


def test_the_time_is_the_clocks_unless_told_otherwise() -> None:
    cloud = Cloud(practice_world(), FakeClock(), Random(1))
    assert cloud.now() == START
    cloud.faults.add(Fault("clock", seconds=-90))
    assert cloud.now() == START - timedelta(seconds=90)


def test_request_ids_are_uuids_of_their_own() -> None:
    cloud = Cloud(practice_world(), FakeClock(), Random(1))
    seen = {cloud.request_id() for _ in range(100)}
    assert len(seen) == 100
    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one) for one in seen
    )
