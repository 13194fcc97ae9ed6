"""Does the documentation say what is so?"""

import json
import re
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest

from agent.sandbox import Fault, world_as_json, world_from_json
from agent.sandbox.faults import Garbage, Kind, SiteAnswer, SiteTls, fault_from_json

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "sandbox.md").read_text()


def test_the_world_it_shows_is_one() -> None:
    shown, parties, pools, outbound = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    written = json.loads(shown)
    assert set(written) == set(world_as_json(world_from_json(written)))
    assert world_from_json(written).roles[0].name == "backup"
    believing = world_from_json(json.loads(parties)).relying_parties
    assert all([believing.apis, believing.providers, believing.applications, believing.vault])
    signing_in = world_from_json(json.loads(pools))
    assert [one.pool_id for one in signing_in.user_pools] == ["eu-central-1_Ab129faBb"]
    assert signing_in.identity_pools[0].clients[0][0] == signing_in.user_pools[0].provider_name
    issuing = world_from_json(json.loads(outbound)).outbound
    assert issuing is not None
    assert issuing.organization == "o-a1b2c3d4e5"


def test_every_kind_of_fault_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == {"kind", *get_args(Kind)}
    (row,) = re.findall(r"^\| `garbage`.*$", TEXT, re.MULTILINE)
    assert set(get_args(Garbage)) <= set(re.findall(r"`(\w+)`", row))


def test_every_fault_of_a_site_is_in_the_lists_and_nothing_else() -> None:
    (told,) = re.findall(r"^\* The certificate.*?\n\n", TEXT, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(\w+)`", told)) - {"times", "seconds", "about", "Age"}
    assert named == {*get_args(SiteTls), *get_args(SiteAnswer)}


def test_the_faults_it_shows_can_be_had() -> None:
    several, one, *others = re.findall(r"/faults -d '(.*?)'", TEXT)
    assert [fault_from_json(one).kind for one in json.loads(several)] == ["clock", "slow"]
    assert fault_from_json(json.loads(one)) == Fault("site", site="status", status=403, document="jwks")
    assert [fault_from_json(json.loads(other)).kind for other in others] == ["throttled", "status"]


async def test_the_python_it_shows_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def shown_to_sts(endpoint: str, token: str) -> None:
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": "arn:aws:iam::123456789012:role/demo",
            "RoleSessionName": "reader",
            "WebIdentityToken": token,
        }
        async with aiohttp.ClientSession() as http:
            for _ in range(3):
                await http.post(endpoint, data=form)

    (shown,) = re.findall(r"```python\n(from datetime.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {"shown_to_sts": shown_to_sts}
    exec(shown.replace("...", "await shown_to_sts(sandbox.endpoint_url, token)"), names)
    await names["practise"](tmp_path)
    assert capsys.readouterr().out == "['ServiceUnavailable', 'ServiceUnavailable', 'Success']\n"
