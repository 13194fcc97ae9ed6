import grp
import json
import os
import pwd
from pathlib import Path

import pytest

from agent.cli import main
from tests.fakes.answering import answering, http
from tests.fakes.commands import rolecall
from tests.fakes.written import TOKEN, write_configuration

GRANTS = """
[[grants]]
roles = ["backup"]
unit = "backup@*.service"
user = "alice"
[[grants]]
roles = ["reports"]
group = "ops"
"""


def who(home: Path, *words: str, port: int | None = None, written: str = GRANTS) -> int:
    configuration = write_configuration(home, credentials=port or 0).config
    before, _, after = configuration.read_text().partition("[[grants]]")
    configuration.write_text(before + written + after[after.index("[listen]") :])
    return main(["who", *words, "-c", str(configuration)])


def seen(*facts: tuple[str, str], granted: tuple[str, ...] = ()) -> bytes:
    roles = [{"role": role, "by": "grants#1"} for role in granted]
    return http(200, {"caller": "somebody", "facts": facts, "granted": roles})


def test_it_tells_what_the_agent_sees_and_which_grants_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = [("unix.uid", "4294967290"), ("unix.group", "ops"), ("systemd.unit", "session-3.scope")]
    with answering(seen(*facts, granted=("reports",))) as agent:
        assert who(tmp_path, port=agent.port) == 0
    assert agent.requests[0].startswith(b"GET /v1/who HTTP/1.1\r\n")
    out, err = capsys.readouterr()
    assert f"what the agent at 127.0.0.1:{agent.port} sees of this caller:\n" in out
    assert "  unit           session-3.scope\n" in out
    assert "  yes  grants#2: reports\n" in out
    no = "  no   grants#1: backup: unit must fit backup@*.service, and is session-3.scope; "
    assert no + "user must be alice, and is not known\n" in out
    assert err == ""


def test_a_user_who_is_not_the_one_is_named_as_this_machine_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The agent looks up only the names that grants have, so it does not say that this is root."""
    with answering(seen(("unix.uid", "0"), ("systemd.unit", "backup@a.service"))) as agent:
        assert who(tmp_path, port=agent.port) == 1
    out, _ = capsys.readouterr()
    assert "user must be alice, and is root\n" in out
    groups = {grp.getgrgid(number).gr_name for number in os.getgrouplist("root", pwd.getpwuid(0).pw_gid)}
    assert f"group must be ops, and is {', '.join(sorted(groups))}\n" in out


def test_a_role_that_is_not_granted_is_exit_1_and_says_how_a_service_would_be_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = [("unix.uid", "1"), ("unix.group", "ops"), ("systemd.unit", "a.service")]
    with answering(seen(*facts, granted=("reports",))) as agent:
        assert who(tmp_path, "backup", port=agent.port) == 1
    out, err = capsys.readouterr()
    assert "reports" not in out
    assert err.startswith("not granted: backup\nhint: a service is seen otherwise; describe it: rolecall who --unit")
    assert "systemd-run --pipe --wait --uid=USER" in err


def test_what_the_agent_grants_counts_and_a_file_that_says_otherwise_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(seen(("unix.uid", "1"), ("systemd.unit", "a.service"), granted=("backup",))) as agent:
        assert who(tmp_path, "backup", port=agent.port) == 0
    said = f"the agent grants backup, and {tmp_path}/rolecall.toml nothing: it runs with another configuration"
    assert said in capsys.readouterr().err


def test_a_caller_of_whom_the_kernel_tells_nothing_is_told_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(seen(), seen()) as agent:
        assert who(tmp_path, port=agent.port) == 1
        out, err = capsys.readouterr()
        assert "nothing: it showed no token that is known, and the kernel tells nothing of it" in out
        assert "\nhint: " in err.partition("warning: ")[2]
        assert who(tmp_path, "--json", port=agent.port) == 1
    assert {"users", "units", "wanting"} == json.loads(capsys.readouterr().out)["kernel"].keys()


def test_recognition_that_is_switched_off_is_why_nothing_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = write_configuration(tmp_path)
    off = '[callers]\nrecognise = "off"\n[listen]'
    with answering(http(200, {"facts": [], "granted": [{"role": "reports"}]})) as agent:
        text = written.config.read_text().replace("[listen]", off)
        lines = [line if not line.startswith("credentials = ") else f'credentials = "127.0.0.1:{agent.port}"'
                 for line in text.splitlines()]  # fmt: skip
        written.config.write_text("\n".join(lines))
        assert main(["who", "-c", str(written.config)]) == 0
    out, err = capsys.readouterr()
    assert "yes  grants#2: reports" in out
    assert f"no   grants#1: backup: the token in {written.token} must be shown, and was not" in out
    assert err == ""  # nobody is granted anything by the kernel's word


def test_the_token_of_the_role_is_shown_to_the_agent(tmp_path: Path) -> None:
    with answering(seen(("token.file", str(tmp_path / "backup.token")), granted=("backup",))) as agent:
        config = write_configuration(tmp_path, credentials=agent.port).config
        assert main(["who", "backup", "-c", str(config)]) == 0
    assert f"Authorization: {TOKEN}\r\n".encode() in agent.requests[0]


def test_a_token_that_cannot_be_shown_is_no_reason_not_to_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(seen(("unix.uid", "1"))) as agent:
        written = write_configuration(tmp_path, credentials=agent.port, token=None)
        assert main(["who", "backup", "-c", str(written.config)]) == 1
    assert "warning: no token was shown: no token file that grants role backup exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "granted"),
    [
        (["--unit", "backup@daily.service", "--user", "alice"], ["backup"]),
        (["--unit", "backup@daily.service"], []),
        (["--unit", "backup.service", "--user", "alice"], []),
        (["--group", "ops"], ["reports"]),
    ],
)
def test_another_caller_is_judged_without_asking_the_agent(
    tmp_path: Path, words: list[str], granted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert who(tmp_path, *words, "--json") == (0 if granted else 1)
    told = json.loads(capsys.readouterr().out)
    assert (told["granted"], told["agent"], told["kernel"]) == (granted, None, None)


def test_what_was_not_said_of_another_caller_is_said_to_be_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert who(tmp_path, "backup", "--user", "alice") == 1
    out, err = capsys.readouterr()
    assert "no   grants#1: backup: unit must fit backup@*.service, and was not said\n" in out
    assert err.endswith("not granted: backup\n")  # and nothing of how to be somebody else


def test_a_user_of_whom_this_machine_knows_nothing_is_said_to_be_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    who(tmp_path, "reports", "--user", "no-such-user")
    assert "warning: there is no user 'no-such-user' on this machine, so its groups are not known\n" in (
        capsys.readouterr().err
    )
    who(tmp_path, "reports", "--user", "root")
    assert capsys.readouterr().err == "not granted: reports\n"


def test_several_roles_are_said_to_need_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert who(tmp_path, "--unit", "backup@x.service", "--user", "alice", "--group", "ops") == 0
    assert "granted are backup, reports: one of them must be asked for by name" in capsys.readouterr().err


def test_of_two_grants_that_fit_the_first_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = GRANTS + '[[grants]]\nroles = ["reports"]\nuser = "alice"\n'
    assert who(tmp_path, "reports", "--group", "ops", "--user", "alice", written=twice) == 0
    out, _ = capsys.readouterr()
    assert "yes  grants#2: reports\n" in out
    assert "yes  grants#3: reports, but grants#2 comes first and counts\n" in out


def test_a_template_that_cannot_be_filled_gives_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = GRANTS + '[[grants]]\nroles = ["backup"]\nuser = "bob"\nsession_name = "${UID}"\n'
    assert who(tmp_path, "backup", "--user", "bob", written=written) == 1
    assert "no   grants#3: backup: it names ${UID}, which is not known of this caller" in capsys.readouterr().out


def test_a_token_is_one_more_thing_to_say_of_another_caller(tmp_path: Path) -> None:
    written = '[[grants]]\nroles = ["backup"]\nuser = "alice"\ntoken_file = "/etc/token"\n'
    written += '[[grants]]\nroles = ["reports"]\nanyone = true\n'
    assert who(tmp_path, "backup", "--user", "alice", "--token-file", "/etc/token", written=written) == 0
    assert who(tmp_path, "backup", "--user", "alice", written=written) == 1


def test_a_role_that_does_not_exist_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert who(tmp_path, "nosuch") == 2
    assert "has no role or audience 'nosuch'" in capsys.readouterr().err


@pytest.mark.parametrize("said", [{"facts": "none", "granted": []}, {"facts": [["a"]], "granted": []}, {"facts": []}])
def test_what_is_not_the_agent_is_said_to_be_a_stranger(
    said: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(http(200, said)) as agent:
        assert who(tmp_path, port=agent.port) == 1
    assert "is not the agent" in capsys.readouterr().err


def test_an_agent_that_knows_no_such_question_is_to_be_restarted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(http(404, {"code": "NotFound", "message": "There is nothing here."})) as agent:
        assert who(tmp_path, port=agent.port) == 1
    assert "does not say whom it sees: There is nothing here.\nhint: is it of this version?" in capsys.readouterr().err


def test_the_help_has_an_example_of_both() -> None:
    done = rolecall("who", "--help")
    assert "rolecall who; rolecall who backup --unit backup@daily.service --user backup" in done.stdout


# Tokens for others

TOKENS = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[[grants]]
audiences = ["orders", "vault"]
unit = "web@*.service"
scopes = ["read", "write"]
[[grants]]
audiences = ["vault"]
user = "alice"
claims = { who = "${USER}" }
[listen]
credentials = "127.0.0.1:PORT"
"""


def tokens(home: Path, *words: str, port: int = 9) -> int:
    config = home / "rolecall.toml"
    config.write_text(TOKENS.replace("PORT", str(port)))
    return main(["who", *words, "-c", str(config)])


def test_for_whom_a_described_caller_may_have_tokens_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tokens(tmp_path, "--unit", "web@1.service", "--user", "alice", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["granted"], told["audiences"]) == ([], ["orders", "vault"])
    assert [(one["grant"], one["role"], one["audience"], one["counts"]) for one in told["grants"]] == [
        ("grants#1", None, "orders", True),
        ("grants#1", None, "vault", True),
        ("grants#2", None, "vault", False),
    ]
    assert [one["scopes"] for one in told["grants"]] == [["read", "write"], ["read", "write"], []]


def test_of_one_audience_what_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tokens(tmp_path, "orders", "--user", "alice") == 1
    out, err = capsys.readouterr()
    assert "grants#1: tokens for orders with the scopes read write: unit must fit web@*.service" in out
    assert "vault" not in out
    assert "not granted: orders" in err


def test_an_audience_that_nobody_is_granted_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tokens(tmp_path, "nosuch", "--user", "alice") == 2
    said = capsys.readouterr().err
    assert "has no role or audience 'nosuch'" in said
    assert "orders" in said.partition("hint: it has: ")[2]


def test_what_the_agent_grants_is_compared_with_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_of = {"caller": "somebody", "facts": [["unix.uid", "7"], ["unix.user", "alice"]], "granted": []}
    for there, warned in ((["vault"], False), (["vault", "orders"], True)):
        listed = [{"audience": one, "scopes": [], "by": "grants#1"} for one in there]
        with answering(http(200, seen_of | {"tokens": listed})) as agent:
            assert tokens(tmp_path, port=agent.port) == 0
        out, err = capsys.readouterr()
        assert "yes  grants#2: tokens for vault" in out
        assert ("it runs with another configuration" in err) is warned


def test_an_agent_of_before_knows_no_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(http(200, {"caller": "somebody", "facts": [["unix.user", "alice"]], "granted": []})) as agent:
        tokens(tmp_path, port=agent.port)
    assert "the agent grants nothing" in capsys.readouterr().err
