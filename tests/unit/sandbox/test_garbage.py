"""Is garbage the garbage that was asked for?"""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from agent.sandbox import Fault
from agent.sandbox.faults import Garbage
from tests.unit.sandbox.scene import scene


@pytest.mark.parametrize("kind", ["not_xml", "empty", "html", "truncated"])
async def test_garbage_is_no_xml(kind: Garbage, tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.add(Fault("garbage", garbage=kind))
        answer = await here.assume()
        assert answer.status == 200
        with pytest.raises(ET.ParseError):
            _ = answer.root
        assert answer.headers["Content-Type"] == ("text/html" if kind == "html" else "text/xml")
        assert here.sandbox.requests[-1].code == f"(garbage: {kind})"


@pytest.mark.parametrize(
    ("kind", "member", "text"),
    [
        ("empty_members", "SecretAccessKey", ""),
        ("empty_members", "Audience", "sts.amazonaws.com"),
        ("expired", "Expiration", "2001-01-01T00:00:00Z"),
    ],
)
async def test_garbage_may_look_like_an_answer(kind: Garbage, member: str, text: str, tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.add(Fault("garbage", garbage=kind))
        assert (await here.assume()).text(member) == text


async def test_members_may_be_missing_and_the_root_wrong(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.replace([Fault("garbage", garbage="missing_members")])
        body = (await here.assume()).body
        assert b"AccessKeyId" in body
        assert b"SecretAccessKey" not in body
        here.sandbox.faults.replace([Fault("garbage", garbage="wrong_root")])
        assert (await here.assume()).root.tag == "{urn:example}Greeting"
