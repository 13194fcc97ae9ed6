from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.assembly.callers import bearer_tokens, grants
from agent.callers import Caller, Grant, Origin, Peer
from agent.settings.callers import Grant as Written
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported

OLD, NEW = "an-old-token-0123456789", "a-new-token-0123456789"


def written(**words: Any) -> Written:
    usual: dict[str, Any] = {"anyone": False, "token_file": (), "token_overlap": timedelta(hours=1)}
    return Written.model_construct(**usual | words)


def test_each_role_is_granted_to_each_who_shows_one_of_the_tokens() -> None:
    a, b = Path("/a"), Path("/b")
    assert grants([written(roles=("backup", "reports"), token_file=(a, b))]) == [
        Grant("backup", frozenset({("token.file", "/a")})),
        Grant("backup", frozenset({("token.file", "/b")})),
        Grant("reports", frozenset({("token.file", "/a")})),
        Grant("reports", frozenset({("token.file", "/b")})),
    ]


def test_anyone_is_granted_a_role_only_where_that_is_spelt_out() -> None:
    nobody = Caller(Peer(Origin("127.0.0.1"), None), frozenset())
    (open_to_all,) = grants([written(roles=("reports",), anyone=True)])
    assert open_to_all.covers(nobody, "reports")
    assert grants([written(roles=("backup",))]) == []


async def test_a_file_that_two_grants_name_keeps_old_tokens_for_the_shorter_time(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", FakeClock()
    file.touch(0o600)
    file.write_text(OLD)
    hours, minutes = (written(token_file=(file,), token_overlap=timedelta(minutes=m)) for m in (120, 10))
    for order in ([hours, minutes], [minutes, hours]):
        file.write_text(OLD)
        tokens = bearer_tokens(order, clock=clock, report=Reported())
        await tokens.read()
        file.write_text(NEW)
        await tokens.read()
        clock._steady += 1  # a change counts when it has stood for a moment
        await tokens.read()
        known = {("token.file", str(file))}
        assert tokens.attest(Peer(Origin("127.0.0.1"), OLD.encode())) == known
        clock._steady += 11 * 60
        assert tokens.attest(Peer(Origin("127.0.0.1"), OLD.encode())) == frozenset()
        assert tokens.attest(Peer(Origin("127.0.0.1"), NEW.encode())) == known
