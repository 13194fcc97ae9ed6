from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.assembly.callers import PATTERNED, bearer_tokens, grants, token_grants, unusable_tokens, wanted
from agent.callers import Caller, Grant, Origin, Peer
from agent.narrowing import Narrowing
from agent.settings.callers import Grant as Written
from agent.wording import TokenGrant, Wording
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported

#: What may be wanted to be known of callers.
KINDS = ("kernel", "accounts", "units", "executables", "containers", "unit_tokens")
OLD, NEW = "an-old-token-0123456789", "a-new-token-0123456789"


def written(**words: Any) -> Written:
    return Written.model_construct(**words)


def test_each_role_is_granted_to_each_who_shows_one_of_the_tokens() -> None:
    a, b = Path("/a"), Path("/b")
    assert grants([written(roles=("backup", "reports"), token_file=(a, b))]) == [
        Grant("backup", frozenset({("token.file", "/a")}), setting="grants#1"),
        Grant("backup", frozenset({("token.file", "/b")}), setting="grants#1"),
        Grant("reports", frozenset({("token.file", "/a")}), setting="grants#1"),
        Grant("reports", frozenset({("token.file", "/b")}), setting="grants#1"),
    ]


def test_anyone_is_granted_a_role_only_where_that_is_spelt_out() -> None:
    nobody = Caller(Peer(Origin("127.0.0.1"), None), frozenset())
    (open_to_all,) = grants([written(roles=("reports",), anyone=True)])
    assert open_to_all.name == "reports"
    assert open_to_all.when <= nobody.facts
    assert grants([written(roles=("backup",))]) == []


def test_each_role_is_given_as_its_own_narrowing_says() -> None:
    several = written(
        roles=("a", "b"), user=("alice", "1000"), session_name="${ROLE}-${UID}", duration=timedelta(hours=1)
    )
    assert grants([written(roles=("c",), anyone=True), several])[1:] == [
        Grant(role, frozenset({fact}), Narrowing(f"{role}-${{UID}}", timedelta(hours=1)), "grants#2")
        for role in ("a", "b")
        for fact in (("unix.user", "alice"), ("unix.uid", "1000"))
    ]


def test_each_audience_is_granted_to_each_who_is_meant_and_says_what_the_grant_does() -> None:
    given = written(
        audiences=("vault", "orders"), user=("alice", "1000"), scopes=("read",), claims={"u": "${USER}"}, roles=("a",)
    )
    said = Wording("host:web-1", timedelta(minutes=10), ("read",), (("u", "${USER}"),))
    assert token_grants([written(roles=("b",), anyone=True), given], "host:web-1") == [
        TokenGrant(audience, frozenset({fact}), said, "grants#2")
        for audience in ("vault", "orders")
        for fact in (("unix.user", "alice"), ("unix.uid", "1000"))
    ]
    assert [grant.name for grant in grants([given])] == ["a", "a"]


def test_callers_inside_aws_have_grants_of_their_own() -> None:
    ours = written(audiences=("vault",), anyone=True)
    theirs = written(audiences=("vault",), aws_principal=("arn:aws:iam::123456789012:role/a",), aws_account=("1" * 12,))
    assert [grant.setting for grant in token_grants([ours, theirs], "s")] == ["grants#1"]
    (found,) = token_grants([ours, theirs], "s", aws=True)
    assert found.setting == "grants#2"
    principal = ("aws.principal", "arn:aws:iam::123456789012:role/a")
    assert found.when == {principal, ("aws.account", "1" * 12)}


def test_nobody_is_granted_tokens_where_nobody_is_named() -> None:
    assert token_grants([written(audiences=("vault",))], "s") == []


def test_what_tokens_are_to_say_is_wanted_as_what_roles_are() -> None:
    given = token_grants([written(audiences=("vault",), unit=("a.service",), subject="${USER}@web")], "s")
    assert wanted(given).every_user


def test_only_what_some_grant_asks_for_is_wanted() -> None:
    nothing = wanted(grants([written(roles=("a",), anyone=True)]))
    assert (nothing.users, nothing.groups, nothing.every_user) == (frozenset(), frozenset(), False)
    assert not any(getattr(nothing, kind) for kind in KINDS)
    assert nothing.patterns == dict.fromkeys(PATTERNED, ())


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ({"user": ("alice",)}, {"kernel", "accounts"}), ({"user": ("1000",)}, {"kernel", "accounts"}),
        ({"group": ("ops",)}, {"kernel", "accounts"}), ({"unit": ("a.service",)}, {"kernel", "units"}),
        ({"user_unit": ("a*.service",)}, {"kernel", "units"}), ({"slice": ("a.slice",)}, {"kernel", "units"}),
        ({"unit": ("a.service",), "session_name": "${UID}"}, {"kernel", "units", "accounts"}),
        ({"executable": ("/a",)}, {"kernel", "executables"}), ({"container": ("a*",)}, {"containers"}),
        ({"unit_token": ("a@*.service",)}, {"unit_tokens"}), ({"token_file": (Path("/a"),)}, set()),
    ],
)  # fmt: skip
def test_each_word_wants_those_who_can_tell(words: dict[str, Any], kinds: set[str]) -> None:
    found = wanted(grants([written(roles=("a",), **words)]))
    assert {kind for kind in KINDS if getattr(found, kind)} == kinds


def test_names_and_patterns_are_wanted_as_they_are_written() -> None:
    one = written(roles=("a",), user=("alice", "1000"), group=("ops", "100"), session_name="${USER}")
    other = written(roles=("a",), unit=("b@*.service", "a?.service", "c.service"), container=("web-*",))
    found = wanted(grants([one, other]))
    assert (sorted(found.users), sorted(found.groups)) == (["alice"], ["100", "ops"])
    assert found.every_user
    assert found.patterns == {
        "systemd.unit": ("a?.service", "b@*.service"),
        "systemd.user_unit": (),
        "token.unit": (),
        "container.name": ("web-*",),
    }


async def test_token_files_by_which_nobody_gets_anything_are_found(tmp_path: Path) -> None:
    contents = {"good": NEW, "empty": "\n", "short": "x", "open": NEW}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    files = tuple(tmp_path / name for name in (*contents, "missing"))
    found = await unusable_tokens([written(roles=("a",), token_file=files)], clock=FakeClock())
    assert {path.name for path in found} == {"empty", "short", "open", "missing"}
    assert found[tmp_path / "empty"].what == f"{tmp_path / 'empty'} holds no token"


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
