"""Are claims refused that ask for what cannot be, in AWS's words?"""

from pathlib import Path

import pytest

from tests.unit.sandbox.scene import ROLE, allow, scene, trusting
from tests.unit.sandbox.wrong import (
    BAD_TAGS,
    FIFTY_ONE,
    NOT_PINNED,
    ROLES,
    SOURCE,
    TAGS,
    Wrong,
    invalid,
    is_refused,
)

WRONG: dict[str, Wrong] = {
    # the roles claim
    "pinned to another role": Wrong(invalid(NOT_PINNED), claims={ROLES: f"{ROLE}-other"}),
    "pinned to several others": Wrong(invalid(NOT_PINNED), claims={ROLES: [f"{ROLE}-1", f"{ROLE}-2"]}),
    "pinned to none": Wrong(invalid(NOT_PINNED), claims={ROLES: []}),
    "pinned by wildcard": Wrong(invalid(NOT_PINNED), claims={ROLES: "arn:aws:iam::123456789012:role/*"}),
    "pinned by name": Wrong(invalid(NOT_PINNED), claims={ROLES: "demo"}),
    "pinned to an object": Wrong(invalid(NOT_PINNED), claims={ROLES: {ROLE: True}}),
    "pins come before the trust policy": Wrong(
        invalid(NOT_PINNED), claims={ROLES: "demo"}, world=trusting(allow(Effect="Deny"))
    ),
    # tags and source identity
    "tags that are a list": Wrong(invalid(BAD_TAGS), claims={TAGS: []}),
    "principal_tags that are text": Wrong(
        invalid("principal_tags passed in claim is not in correct format."), claims={TAGS: {"principal_tags": "a"}}
    ),
    "tag value that is text": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"Team": "web"}}}),
    "tag with two values": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"Team": ["a", "b"]}}}),
    "tag value that is a number": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"Team": [7]}}}),
    "flat tag that is a number": Wrong(invalid(BAD_TAGS), claims={f"{TAGS}/principal_tags/Team": 7}),
    "51 tags": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": FIFTY_ONE}}),
    "long tag key": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"k" * 129: ["v"]}}}),
    "long tag value": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"k": ["v" * 257]}}}),
    "empty tag key": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"": ["v"]}}}),
    "reserved tag key": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"aws:k": ["v"]}}}),
    "strange tag value": Wrong(invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"k": ["a*b"]}}}),
    "tags that differ in case alone": Wrong(
        invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"a": ["1"], "A": ["2"]}}}
    ),
    "transitive key that is no tag": Wrong(
        invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"a": ["1"]}, "transitive_tag_keys": ["b"]}}
    ),
    "transitive keys that are text": Wrong(
        invalid(BAD_TAGS), claims={TAGS: {"principal_tags": {"a": ["1"]}, "transitive_tag_keys": "a"}}
    ),
    "short source identity": Wrong(
        invalid("Source identity passed in claim is not in correct format."), claims={SOURCE: "a"}
    ),
    "source identity with blanks": Wrong(
        invalid("Source identity passed in claim is not in correct format."), claims={SOURCE: "a b"}
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_in_the_words_of_aws(wrong: Wrong, tmp_path: Path) -> None:
    await is_refused(wrong, tmp_path)


TAGS = "https://aws.amazon.com/tags"


async def test_session_tags_are_conditions_and_cost_room(tmp_path: Path) -> None:
    condition = {
        "StringEquals": {"aws:RequestTag/Team": "web"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "Cost"], "sts:TransitiveTagKeys": ["Team"]},
    }
    world = trusting(allow(condition, Action=["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]))
    nested = {TAGS: {"principal_tags": {"Team": ["web"], "Cost": ["a b"]}, "transitive_tag_keys": ["Team"]}}
    flat = {
        f"{TAGS}/principal_tags/Team": "web",
        f"{TAGS}/principal_tags/Cost": "a b",
        f"{TAGS}/transitive_tag_keys": ["Team"],
    }
    async with scene(tmp_path, world=world) as here:
        for claims in (nested, flat):
            answer = await here.assume(here.token(**claims))
            assert answer.status == 200
            assert 1 <= int(answer.text("PackedPolicySize")) <= 100
        other = {TAGS: {"principal_tags": {"Team": ["api"]}}}
        assert (await here.assume(here.token(**other))).status == 403


async def test_the_source_identity_is_a_condition_and_in_the_answer(tmp_path: Path) -> None:
    action = ["sts:AssumeRoleWithWebIdentity", "sts:SetSourceIdentity"]
    world = trusting(allow({"StringLike": {"sts:SourceIdentity": "adm*"}}, Action=action))
    async with scene(tmp_path, world=world) as here:
        answer = await here.assume(here.token(**{"https://aws.amazon.com/source_identity": "admin"}))
        assert answer.text("SourceIdentity") == "admin"
        assert (await here.assume()).status == 403
