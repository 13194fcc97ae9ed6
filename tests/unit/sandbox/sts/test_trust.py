"""Is a role refused to whoever it does not trust, in AWS's words?"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.sandbox import Provider, Role, practice_world
from tests.unit.sandbox.scene import ISSUER, PROVIDER, ROLE, allow, scene, trusting
from tests.unit.sandbox.wrong import (
    DENIED,
    SOURCE,
    TAGS,
    Wrong,
    is_refused,
)

WRONG: dict[str, Wrong] = {
    "missing role": Wrong(DENIED, {"RoleArn": "arn:aws:iam::123456789012:role/missing"}),
    "role without its path": Wrong(
        DENIED,
        world=replace(
            practice_world(ISSUER),
            roles=(Role("arn:aws:iam::123456789012:role/team/demo", practice_world(ISSUER).roles[0].trust_policy),),
        ),
    ),
    "role in other case": Wrong(DENIED, {"RoleArn": "arn:aws:iam::123456789012:role/Demo"}),
    "longer than the role allows": Wrong(
        (400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
        {"DurationSeconds": "7201"},
        world=trusting(allow(), max_session=timedelta(hours=2)),
    ),
    "trust in another provider": Wrong(
        DENIED, world=trusting(allow(Principal={"Federated": PROVIDER.replace("oidc.", "other.")}))
    ),
    "trust in a service": Wrong(DENIED, world=trusting(allow(Principal={"Service": "ec2.amazonaws.com"}))),
    "trust in another account's provider": Wrong(
        DENIED, world=trusting(allow(Principal={"Federated": PROVIDER.replace("123456789012", "210987654321")}))
    ),
    "trust for another action": Wrong(DENIED, world=trusting(allow(Action="sts:AssumeRole"))),
    "explicit deny": Wrong(DENIED, world=trusting(allow(), allow(Effect="Deny"))),
    "wrong subject": Wrong(DENIED, world=trusting(allow({"StringEquals": {"oidc.example.com:sub": "host:other"}}))),
    "pin required": Wrong(DENIED, world=trusting(allow({"Bool": {"sts:RoleAuthorizedByIdp": "true"}}))),
    "condition on a custom claim": Wrong(
        DENIED,
        claims={"repository": "a/b"},
        world=trusting(allow({"StringEquals": {"oidc.example.com:repository": "a/b"}})),
    ),
    "tags without the right to": Wrong(
        (403, "AccessDenied", "Not authorized to perform sts:TagSession"),
        claims={TAGS: {"principal_tags": {"Team": ["web"]}}},
        world=trusting(allow()),
    ),
    "source without the right to": Wrong(
        (403, "AccessDenied", "Not authorized to perform sts:SetSourceIdentity"),
        claims={SOURCE: "admin"},
        world=trusting(allow()),
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_in_the_words_of_aws(wrong: Wrong, tmp_path: Path) -> None:
    await is_refused(wrong, tmp_path)


async def test_the_authorized_party_takes_the_place_of_the_audience(tmp_path: Path) -> None:
    world = trusting(
        allow(
            {
                "StringEquals": {"oidc.example.com:aud": "client"},
                "ForAllValues:StringEquals": {"oidc.example.com:oaud": ["one", "two"]},
                "Null": {"oidc.example.com:oaud": "false"},
            }
        )
    )
    world = replace(world, providers=(Provider(ISSUER, ("client",)),))
    async with scene(tmp_path, world=world) as here:
        answer = await here.assume(here.token(azp="client", aud=["one", "two"]))
        assert answer.status == 200
        assert answer.text("Audience") == "client"
        assert (await here.assume(here.token(azp="client", aud="three"))).status == 403


async def test_a_pinned_token_meets_the_condition_that_asks_for_pins(tmp_path: Path) -> None:
    async with scene(tmp_path, world=trusting(allow({"Bool": {"sts:RoleAuthorizedByIdp": "true"}}))) as here:
        assert (await here.assume(here.token(**{"https://aws.amazon.com/roles": [ROLE]}))).status == 200


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"sts:RoleSessionName": "tester"}},
        {"StringEquals": {"aws:FederatedProvider": PROVIDER}},
        {"ForAnyValue:StringLike": {"oidc.example.com:amr": "mfa*"}},
        {"StringEquals": {"oidc.example.com:email": "one@example.com"}},
        {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
        {"StringEquals": {"OIDC.example.com:SUB": "host:practice"}},
    ],
    ids=str,
)
async def test_a_trust_policy_can_ask_about(condition: dict[str, object], tmp_path: Path) -> None:
    async with scene(tmp_path, world=trusting(allow(condition))) as here:
        assert (await here.assume(here.token(amr=["pwd", "mfa-1"], email="one@example.com"))).status == 200
