from agent.events import RefreshTokenUnsaved
from tests.unit.events.plain import check_plain


def test_what_could_not_be_kept_is_told_with_where_and_why_and_without_the_token() -> None:
    event = RefreshTokenUnsaved("machine in eu-central-1_Ab129faBb", "/var/lib/rolecall/cognito.json", "No space left")
    check_plain([event])
    assert {"source", "path", "reason"} == set(event.__slots__)
