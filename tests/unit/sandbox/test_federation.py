import pytest

from agent.errors import ConfigurationError
from agent.sandbox.federation import Outbound, outbound_as_json, outbound_from_json
from agent.sandbox.world import World
from agent.sandbox.world_json import world_as_json, world_from_json

WHOLE = Outbound(organization="o-a1b2c3d4e5", ou_path="o-a1b2c3d4e5/r-ab12/", region="eu-west-1")


def test_it_is_read_as_it_was_written() -> None:
    assert outbound_from_json(outbound_as_json(WHOLE)) == WHOLE
    assert outbound_from_json({}) == Outbound()


def test_a_world_has_it_or_has_it_not() -> None:
    for world in (World(), World(outbound=WHOLE)):
        assert world_from_json(world_as_json(world)) == world
    assert World().outbound is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", "https://oidc.example.com"),
        ("issuer", "http://4f6c1e0a-9d3b-4c58-8a57-2b1f6e9d0c11.tokens.sts.global.api.aws"),
        ("organization", "example"),
        ("ou_path", "r-ab12/"),
    ],
)
def test_what_aws_gives_nobody_is_refused(field: str, value: str) -> None:
    with pytest.raises(ConfigurationError):
        outbound_from_json({field: value})


def test_an_unknown_member_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has no"):
        outbound_from_json({"keys": []})
