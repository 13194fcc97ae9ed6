from agent.callers import Origin, Peer
from agent.web import Asked, Output
from tests.unit.web.world import OnlyOrdinary, World


def test_what_was_asked_can_be_shown_without_the_token() -> None:
    assert "sesame" not in repr(Asked("GET", "/", Peer(Origin("127.0.0.1"), b"open-sesame")))


def test_outputs_are_outputs() -> None:
    outputs: list[Output] = [World().output, OnlyOrdinary(World().output)]
    assert [output.label("/").output for output in outputs] == ["ecs", "ecs"]
