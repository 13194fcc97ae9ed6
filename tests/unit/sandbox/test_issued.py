"""Are credentials drawn as AWS's look, and remembered as long as they matter?"""

import re
from datetime import timedelta
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox.issued import Issued, Register, new_material
from tests.fakes.clock import START
from tests.unit.sandbox.scene import scene


async def test_credentials_differ_from_call_to_call_and_repeat_with_the_seed(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        async with scene(tmp_path, rng=Random(1)) as here:
            seen.append([(await here.assume()).text("SecretAccessKey") for _ in range(2)])
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[0][1]


async def test_a_session_token_is_as_long_as_was_asked(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        answer = await here.assume(MinimumSessionTokenSize="4096")
        assert len(answer.text("SessionToken")) == 4096
        assert answer.text("SessionTokenUtilization") == "100"


@given(st.randoms(use_true_random=False), st.integers(0, 4096))
def test_credentials_look_like_those_of_aws(rng: Random, least: int) -> None:
    material = new_material(rng, least)
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", material.access_key_id)
    assert re.fullmatch(r"[A-Za-z0-9/+]{40}", material.secret_access_key.reveal())
    token = material.session_token.reveal()
    assert len(token) == max(least, len(new_material(Random(0), 0).session_token.reveal()))
    assert re.fullmatch(r"[A-Za-z0-9/+=]+", token)
    assert token not in repr(material)


def issued(number: int, hours: int) -> Issued:
    material = new_material(Random(number), 0)
    return Issued(
        f"ASIA{number:016}",
        material.secret_access_key,
        material.session_token,
        START + timedelta(hours=hours),
        "role",
        "arn",
        "user",
        (),
        {},
    )


def test_what_ended_a_day_ago_is_forgotten_in_time() -> None:
    register = Register()
    register.add(issued(0, 1), START)
    later = START + timedelta(hours=26)
    for number in range(1, 1000):
        register.add(issued(number, 24), later)
    assert register.find(issued(0, 1).access_key_id) is None
    assert register.find(issued(1, 24).access_key_id)
    assert sum(register.find(issued(number, 24).access_key_id) is not None for number in range(1, 1000)) == 999
