"""Would AWS believe the issuer, as it is seen through its public URL?"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from agent.doctor import Finding, Severity, Sureness, Tried
from agent.errors import AgentError
from agent.publishing import Jwk
from agent.publishing.inspection import Inspection
from agent.publishing.judgement import Verdict, judge


def unreadable(error: AgentError) -> Tried:
    """The link where we could not even look."""
    return Tried("issuer", findings=(Finding("issuer", "error", error.what, error.hint),))


def examined(inspection: Inspection, expected: Mapping[str, Jwk], announced: Collection[str] = ()) -> Tried:
    """The link as it was seen; `expected` and `announced` are as for `agent.publishing.judgement.judge`."""
    verdicts = judge(inspection, expected, announced)
    kids = [*expected, *announced]
    errors = [_finding(one, "error", inspection, kids) for one in _each_cause_once(verdicts, "bad")]
    doubts = [_finding(one, "warning", inspection, kids) for one in _each_cause_once(verdicts, "doubt")]
    notes = [*_private(inspection)]
    return Tried(
        "issuer", f"{inspection.issuer} shows what AWS needs" if not errors else "", (*errors, *doubts, *notes)
    )


def read_by_aws(tried: Tried) -> Tried:
    """The link, once AWS has taken a token by these keys: then what cannot be reached from here can be from there."""
    return replace(tried, findings=tuple(map(_relieved, tried.findings)))


def _relieved(finding: Finding) -> Finding:
    if finding.severity != "error" or finding.sure == "certain":
        return finding
    return replace(
        finding, severity="warning", what=f"{finding.what}; AWS has read it all the same, some time ago perhaps"
    )


def _private(inspection: Inspection) -> Iterator[Finding]:
    """What AWS must have been told where no public authority vouches for the site."""
    tls = inspection.discovery.tls
    if tls is not None and tls.verified and tls.private and tls.chain:
        yield Finding(
            "issuer",
            "note",
            f"the certificate of {inspection.discovery.host} is from a private CA, which AWS knows by its thumbprint",
            f"see that the provider in IAM has the thumbprint {tls.chain[-1].thumbprint}",
        )


def _each_cause_once(verdicts: Sequence[Verdict], level: str) -> Iterator[Verdict]:
    """Where one thing is wrong with both documents, it is said of the first."""
    seen: set[str] = set()
    for verdict in verdicts:
        if verdict.level == level and verdict.hint not in seen:
            seen.add(verdict.hint)
            yield verdict


def _finding(verdict: Verdict, severity: Severity, inspection: Inspection, kids: Sequence[str]) -> Finding:
    about = next((kid for kid in kids if kid in verdict.what), "")
    return Finding("issuer", severity, verdict.what, verdict.hint, _sure(verdict, inspection), about)


def _sure(verdict: Verdict, inspection: Inspection) -> Sureness:
    """What we could not reach, AWS may; what we have seen, it sees."""
    failures = {answer.failure.what for _, answer in inspection.answers if answer.failure}
    return "likely" if verdict.what in failures else "certain"
