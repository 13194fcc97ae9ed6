from pathlib import Path

from agent.settings.credentials import StsRole
from agent.settings.reader import Reader
from agent.settings.section import Surroundings
from agent.settings.tokens import FromFile, SelfSigned


def reader(**words: object) -> Reader:
    return Reader(words, Surroundings(Path("/etc/rolecall"), None, {"HOST": "web-1"}))


def test_a_mistake_in_one_table_keeps_no_other_from_being_read() -> None:
    mine = reader(
        issuer=1, sts={"region": "eu-central-1"}, log={"level": "error"}, grants=[3, {"roles": ["a"], "anyone": True}]
    )
    draft = mine.draft()
    assert (draft.issuer, draft.sts is not None, draft.log is not None, list(draft.grants)) == (None, True, True, [2])
    assert [mistake.path for mistake in mine.mistakes] == ["issuer", "roles", "grants#1"]


def test_tokens_are_self_signed_unless_a_file_or_a_source_is_named() -> None:
    assert isinstance(reader().draft().identity, SelfSigned)
    assert isinstance(reader(identity={"subject": "host:a"}).draft().identity, SelfSigned)
    assert isinstance(reader(identity={"source": "file", "file": "/token"}).draft().identity, FromFile)
    assert reader(identity={"file": "/token"}).draft().identity is None


def test_each_role_knows_its_own_name() -> None:
    arn = "arn:aws:iam::123456789012:role/a"
    roles = {name: {"arn": arn, "session_name": "${ROLE}-session"} for name in ("a", "b")}
    drawn = reader(roles=roles).draft().roles
    assert [role.session_name for role in drawn.values() if isinstance(role, StsRole)] == ["a-session", "b-session"]


def test_a_role_under_a_bad_name_is_looked_at_all_the_same() -> None:
    mine = reader(roles={"Bad": {"arn": "x"}})
    assert mine.draft().roles == {}
    assert [mistake.path for mistake in mine.mistakes] == ["sts.region", "roles.Bad", "roles.Bad.arn"]
