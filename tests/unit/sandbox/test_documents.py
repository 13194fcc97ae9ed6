"""Are answers written as AWS writes them?"""

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox.documents import Value, as_json, as_xml, iso, iso_millis
from tests.fakes.clock import START
from tests.unit.sandbox.scene import scene

NOW = int(START.timestamp())


async def test_json_is_given_to_those_who_accept_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        answer = await here.assume(headers={"Accept": "application/json"})
        assert answer.headers["Content-Type"] == "application/json"
        result = json.loads(answer.body)["AssumeRoleWithWebIdentityResponse"]["AssumeRoleWithWebIdentityResult"]
        assert result["Credentials"]["Expiration"] == NOW + 3600
        assert result["AssumedRoleUser"]["Arn"].endswith(":assumed-role/demo/tester")
        refused = await here.assume("garbage", headers={"Accept": "application/json"})
        assert refused.status == 400
        assert json.loads(refused.body)["Error"]["Code"] == "InvalidIdentityToken"
        assert json.loads(refused.body)["Error"]["Type"] == "Sender"
        assert json.loads(refused.body)["RequestId"] == refused.headers["x-amzn-requestid"]


MOMENT = datetime(2026, 11, 20, 13, 5, 6, 789000, tzinfo=timezone(timedelta(hours=1)))


def test_a_document_is_nested_as_it_is() -> None:
    value: Value = {"A": {"B": "x", "None": None}, "List": ["1", {"C": 2}], "Yes": True, "When": MOMENT, "Empty": []}
    assert as_xml("Root", value, "urn:x") == (
        b'<Root xmlns="urn:x"><A><B>x</B></A><List>1</List><List><C>2</C></List><Yes>true</Yes>'
        b"<When>2026-11-20T12:05:06Z</When></Root>"
    )
    assert json.loads(as_json(value)) == {
        "A": {"B": "x"},
        "List": ["1", {"C": 2}],
        "Yes": True,
        "When": MOMENT.timestamp(),
        "Empty": [],
    }


def test_moments_are_in_utc_and_in_whole_seconds() -> None:
    assert iso(MOMENT) == "2026-11-20T12:05:06Z"
    assert iso_millis(MOMENT.astimezone(UTC)) == "2026-11-20T12:05:06.000Z"


@given(st.text())
def test_any_text_makes_a_document_that_can_be_read(text: str) -> None:
    read = ET.fromstring(as_xml("Root", {"Text": text})).findtext("Text") or ""
    assert len(read) == len(text.replace("\r\n", "\n"))
    speakable = [one for one in text if one.isprintable()]
    assert [one for one in read if one.isprintable() and one != "?"] == [one for one in speakable if one != "?"]
