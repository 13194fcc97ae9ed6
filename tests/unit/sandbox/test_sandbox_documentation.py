"""Does the documentation say what is so?"""

import json
import re
from pathlib import Path
from typing import get_args

from agent.sandbox import world_as_json, world_from_json
from agent.sandbox.faults import Garbage, Kind, fault_from_json

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "sandbox.md").read_text()


def test_the_world_it_shows_is_one() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    written = json.loads(shown)
    assert set(written) == set(world_as_json(world_from_json(written)))
    assert world_from_json(written).roles[0].name == "backup"


def test_every_kind_of_fault_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == {"kind", *get_args(Kind)}
    (row,) = re.findall(r"^\| `garbage`.*$", TEXT, re.MULTILINE)
    assert set(get_args(Garbage)) <= set(re.findall(r"`(\w+)`", row))


def test_the_faults_it_shows_can_be_had() -> None:
    (shown,) = re.findall(r"/faults -d '(.*?)'", TEXT)
    assert [fault_from_json(one).kind for one in json.loads(shown)] == ["clock", "slow"]
