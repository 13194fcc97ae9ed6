from pathlib import Path

from agent.doctor import Finding, Tried
from agent.doctor.issuer import examined, read_by_aws, unreadable
from agent.errors import IssuerUnreadable
from agent.publishing.inspection import Answer, Failure, Inspection
from agent.sandbox.faults import Fault
from tests.fakes.clock import START
from tests.unit.publishing.looked_at import ISSUER, looked_at, ours


async def test_a_site_in_order_is_good_and_a_private_authority_is_worth_a_note(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        tried = examined(await seen.site.inspect(), ours())
    assert tried.good == f"{ISSUER} shows what AWS needs"
    assert [(one.severity, "thumbprint" in one.hint) for one in tried.findings] == [("note", True)]


async def test_what_is_wrong_with_both_documents_in_one_way_is_said_once(tmp_path: Path) -> None:
    async with looked_at(tmp_path) as seen:
        seen.sandbox.faults.add(Fault("site", site="bytes"))
        tried = examined(await seen.site.inspect(), ours())
    errors = [one for one in tried.findings if one.severity == "error"]
    assert ["openid-configuration" in one.what for one in errors] == [True]
    assert tried.good == ""


async def test_what_is_doubtful_is_a_warning_about_the_key_it_names(tmp_path: Path) -> None:
    expected = {**ours(), "coming": {"kty": "EC", "kid": "coming"}}
    async with looked_at(tmp_path) as seen:
        tried = examined(await seen.site.inspect(), expected, ["coming"])
    (warning,) = [one for one in tried.findings if one.severity == "warning"]
    assert "cannot be seen yet" in warning.what
    assert warning.about == "coming"


def test_what_we_could_not_reach_aws_may_so_it_is_only_likely() -> None:
    answer = Answer(f"{ISSUER}/.well-known/openid-configuration", failure=Failure("it is away", "see its log"))
    (finding,) = examined(Inspection(ISSUER, START, answer), {}).findings
    assert (finding.what, finding.hint, finding.sure) == ("it is away", "see its log", "likely")


def test_what_aws_has_read_is_no_error_only_because_we_cannot_reach_it() -> None:
    seen = Finding("issuer", "error", "the key is not shown", "publish")
    away = Finding("issuer", "error", "it is away", "see its log", "likely")
    relieved = read_by_aws(Tried("issuer", findings=(seen, away)))
    assert relieved.findings[0] == seen
    assert (relieved.findings[1].severity, relieved.findings[1].sure) == ("warning", "likely")
    assert relieved.findings[1].what.startswith("it is away; AWS has read it")


def test_where_we_cannot_even_look_is_an_error() -> None:
    (finding,) = unreadable(IssuerUnreadable("the CA bundle is none", hint="name one")).findings
    assert (finding.link, finding.severity, finding.what) == ("issuer", "error", "the CA bundle is none")
