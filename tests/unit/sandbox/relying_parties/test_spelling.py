"""As Go writes it."""

from agent.sandbox.relying_parties.spelling import spelt


def test_claims_are_spelt_as_go_spells_them() -> None:
    values: list[object] = ["a", ["a", ["b"]], 1.5, False, None, {}, {"b": [1], "a": "x"}]
    assert [spelt(value) for value in values] == ["a", "[a [b]]", "1.5", "false", "<nil>", "map[]", "map[a:x b:[1]]"]
