from dataclasses import replace
from typing import Any

import pytest

from agent.doctor import Finding
from agent.doctor.callers import Meant, Named, Seen, examined
from agent.errors import AgentUnreachable, ConfigurationError

HERE: dict[str, Any] = {"facts": [["unix.uid", "990"], ["systemd.unit", "session-3.scope"]], "granted": []}
MEANT = Meant(
    by_kernel=True, by_unit=True, by_itself=True, absent=(), uid=990, url="http://127.0.0.1:9170/v1/credentials"
)
TOKENS = replace(MEANT, by_kernel=False, by_unit=False, by_itself=False)
SEEN = Seen(answer=HERE, everybody=MEANT.url)
OLD = ("this kernel (5.4) does not tell the control group of a socket", "use kernel 5.8 or newer")
BLIND = ("this kernel has no sock_diag", "load inet_diag")


def only(meant: Meant, seen: Seen) -> Finding:
    tried = examined(meant, seen)
    (finding,) = tried.findings
    assert (finding.link, tried.link, tried.good == "") == ("callers", "callers", finding.severity != "note")
    return finding


def test_where_the_agent_sees_what_the_grants_mean_all_is_good() -> None:
    tried = examined(MEANT, SEEN)
    assert (tried.findings, tried.not_tried) == ((), "")
    assert tried.good == "callers are seen as the grants mean, and the agent sees that this is user 990"


def test_where_tokens_alone_count_the_kernel_is_nobody_s_concern() -> None:
    tried = examined(
        TOKENS, replace(SEEN, users=False, units=False, kernel=(BLIND,), answer={"facts": [], "granted": []})
    )
    assert (tried.findings, tried.good) == ((), "no grant needs the kernel to say who calls")


def test_without_an_agent_it_is_said_what_was_not_tried() -> None:
    tried = examined(MEANT, replace(SEEN, answer=None))
    assert (tried.findings, tried.not_tried != "") == ((), True)


def test_an_agent_that_sees_nobody_is_an_error_and_one_of_older_grants_may_be_why() -> None:
    finding = only(MEANT, replace(SEEN, answer={"facts": [], "granted": []}))
    assert (finding.severity, finding.sure) == ("error", "likely")
    assert "does not see what this process is" in finding.what
    assert finding.hint.startswith("restart it, if the grants are newer than it is")


def test_an_agent_that_sees_somebody_else_is_in_another_user_namespace() -> None:
    finding = only(MEANT, replace(SEEN, answer={"facts": [["unix.uid", "100990"]], "granted": []}))
    assert finding.severity == "error"
    assert finding.what == "the agent takes this process for user 100990, and it is user 990"


def test_an_agent_that_sees_no_units_is_doubtful_only_where_units_are_named() -> None:
    seen = replace(SEEN, answer={"facts": [["unix.uid", "990"]], "granted": []})
    assert only(MEANT, seen).severity == "warning"
    assert examined(replace(MEANT, by_unit=False), seen).findings == ()


@pytest.mark.parametrize(
    ("meant", "seen", "severities"),
    [
        (MEANT, replace(SEEN, units=False, kernel=(OLD,)), ["error"]),
        (MEANT, replace(SEEN, users=False, units=False, kernel=(BLIND, OLD)), ["error", "warning"]),
        (MEANT, replace(SEEN, kernel=(OLD,)), ["warning"]),  # it tells both, and something is odd
        (replace(MEANT, by_unit=False), replace(SEEN, units=False, kernel=(OLD,)), ["note"]),
    ],
)
def test_what_the_kernel_does_not_tell_is_as_bad_as_it_is_needed(
    meant: Meant, seen: Seen, severities: list[str]
) -> None:
    findings = examined(
        meant, replace(seen, answer={"facts": [["unix.uid", "990"], ["systemd.slice", "a"]], "granted": []})
    )
    assert [finding.severity for finding in findings.findings] == severities
    assert (findings.findings[0].what, findings.findings[0].hint) == seen.kernel[0]


def test_a_kernel_that_cannot_tell_is_told_of_once() -> None:
    """That the agent sees nobody either follows from it."""
    blind = replace(SEEN, users=False, units=False, kernel=(BLIND,), answer={"facts": [], "granted": []})
    assert only(MEANT, blind).what == BLIND[0]


def test_an_engine_that_does_not_answer_is_an_error() -> None:
    trouble = ConfigurationError("podman at /run/p.sock does not answer", hint="start it")
    finding = only(TOKENS, replace(SEEN, engine=trouble))
    assert (finding.severity, finding.hint) == ("error", "start it")
    assert finding.what == "grants name containers, and podman at /run/p.sock does not answer"


@pytest.mark.parametrize(
    ("named", "said", "hint"),
    [
        (Named("grants#2.user", "user", "alcie"), "grants#2.user: no user 'alcie' is on this machine", "getent passwd"),
        (Named("grants#2.group", "group", "osp"), "no group 'osp' is on this machine", "getent group"),
        (Named("grants#1.unit", "unit", "a.service"), "no unit 'a.service' is on this machine", "list-unit-files"),
        (Named("grants#1.container", "container", "web"), "no container 'web' runs here", "podman ps"),
        (Named("grants#1.executable", "executable", "/x"), "no executable '/x' is on this machine", "readlink -f"),
    ],
)
def test_whoever_is_not_there_is_named_with_the_setting(named: Named, said: str, hint: str) -> None:
    finding = only(replace(MEANT, absent=(named,)), SEEN)
    assert (finding.severity, said in finding.what, hint in finding.hint) == ("warning", True, True)


def test_an_agent_that_does_not_say_whom_it_sees_is_a_doubt() -> None:
    finding = only(MEANT, replace(SEEN, answer=AgentUnreachable("the agent does not say", hint="restart it")))
    assert (finding.severity, finding.what, finding.hint) == ("warning", "the agent does not say", "restart it")


def test_one_url_for_everybody_is_worth_a_note_where_no_token_is_needed() -> None:
    finding = only(MEANT, replace(SEEN, everybody=""))
    assert finding.severity == "note"
    assert "rolecall env --format environment >>/etc/environment" in finding.hint
    assert examined(TOKENS, replace(SEEN, everybody="")).findings == ()
