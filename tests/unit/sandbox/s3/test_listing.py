"""Does a listing show what is in the bucket, in groups and pages?"""

import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox import practice_world
from agent.sandbox.refusals import Refusal
from agent.sandbox.s3.listing import Stored, list_objects
from tests.fakes.clock import START
from tests.unit.sandbox.desk import BUCKET, desk
from tests.unit.sandbox.scene import ISSUER


def test_listings_have_prefixes_groups_and_pages(tmp_path: Path) -> None:
    objects = dict.fromkeys(("a/1", "a/2", "b/1", "c", "d"), b"")
    with desk(tmp_path, replace(practice_world(ISSUER), objects=objects)) as at:
        s3 = at.s3()
        grouped = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
        assert [one["Prefix"] for one in grouped["CommonPrefixes"]] == ["a/", "b/"]
        assert [one["Key"] for one in grouped["Contents"]] == ["c", "d"]
        inside = s3.list_objects_v2(Bucket=BUCKET, Prefix="a/", Delimiter="/")
        assert [one["Key"] for one in inside["Contents"]] == ["a/1", "a/2"]
        assert [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, StartAfter="b/1")["Contents"]] == ["c", "d"]
        for size in (1, 2, 3):
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=BUCKET, Delimiter="/", PaginationConfig={"PageSize": size}
            )
            seen: list[str] = []
            for page in pages:
                seen += [one["Prefix"] for one in page.get("CommonPrefixes", [])]
                seen += [one["Key"] for one in page.get("Contents", [])]
                assert page["KeyCount"] <= size
            assert sorted(seen) == ["a/", "b/", "c", "d"]


KEYS = st.sets(st.text("ab/", min_size=1, max_size=5), max_size=12)


def page(keys: set[str], **asked: str) -> dict[str, Any]:
    stored = {key: Stored(b"", START) for key in keys}
    found = list_objects("bucket", stored, {name.replace("_", "-"): value for name, value in asked.items()})
    assert isinstance(found, dict)
    return found


def shown(found: Mapping[str, Any]) -> list[str]:
    return [one["Key"] for one in found["Contents"]] + [one["Prefix"] for one in found["CommonPrefixes"]]


@given(KEYS, st.sampled_from(["", "a", "a/", "b/a"]), st.sampled_from(["", "/"]), st.integers(1, 4))
def test_pages_together_show_everything_once(keys: set[str], prefix: str, delimiter: str, size: int) -> None:
    expected = set()
    for key in keys:
        if key.startswith(prefix):
            head, slash, _ = key[len(prefix) :].partition("/")
            expected.add(prefix + head + slash if delimiter and slash else key)
    seen: list[str] = []
    asked = {"prefix": prefix, "delimiter": delimiter, "max_keys": str(size)}
    found = page(keys, **asked)
    while True:
        seen += shown(found)
        assert found["KeyCount"] == len(shown(found)) <= size
        if not found["IsTruncated"]:
            break
        found = page(keys, **asked, continuation_token=found["NextContinuationToken"])
    assert sorted(seen) == sorted(expected)


def test_names_are_encoded_for_those_who_ask() -> None:
    found = page({"a b/ü"}, encoding_type="url", prefix="a ")
    assert (shown(found), found["Prefix"], found["EncodingType"]) == (["a%20b/%C3%BC"], "a%20", "url")


def test_no_keys_asked_for_are_none_and_not_cut_off() -> None:
    found = page({"a", "b"}, max_keys="0")
    assert (shown(found), found["IsTruncated"]) == ([], False)


@pytest.mark.parametrize(
    "asked",
    [
        {"max_keys": "many"},
        {"max_keys": "-1"},
        {"max_keys": "9" * 5000},
        {"continuation_token": "x"},
        {"continuation_token": base64.b64encode(b"\xff").decode()},
    ],
)
def test_numbers_and_tokens_that_are_none_are_refused(asked: dict[str, str]) -> None:
    with pytest.raises(Refusal, match="InvalidArgument"):
        page({"a"}, **asked)
