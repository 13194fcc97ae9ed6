"""Whatever somebody shows, nobody is asked but an STS of the regions, and nothing but who has signed."""

import base64
import contextlib
from urllib.parse import parse_qsl, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from agent.callers.aws.canonical import principal
from agent.callers.aws.hosts import origins
from agent.callers.aws.presigned import Presigned, read_presigned
from agent.errors import TokenRejected
from tests.unit.callers.aws.shown import ORIGIN, parameters, query, shown, url

KNOWN = origins(["eu-central-1", "us-east-1"])
HOSTS = {origin.removeprefix("https://") for origin in KNOWN}
NAMES = [name for name, _ in parameters()]

#: Pieces of which tricks are made.
PIECES = st.sampled_from(
    [
        *("https://", "http://", "//", "/", "\\", "?", "#", "@", ":", ":443", ".", "..", "&", ";", "=", "+"),
        *(" ", "\t", "\r\n", "%2e", "%2F", "%00", "%0d%0a", "\u3002", "\uff0e", "xn--", "user:pass@"),
        *("[::1]", "169.254.169.254", "example.com", ".example.com", "sts", "amazonaws.com"),
        *("sts.eu-central-1.amazonaws.com", "Action=AssumeRole", "Action=GetCallerIdentity", "action=x"),
    ]
)


@st.composite
def bent(draw: st.DrawFn) -> str:
    """A good request with something put in, taken out or put twice, somewhere."""
    text = url()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        to = draw(st.integers(at, min(len(text), at + draw(st.sampled_from([0, 0, 1, 3, 30])))))
        text = text[:at] + draw(PIECES | st.text(max_size=3)) + text[to:]
    return text


@st.composite
def assembled(draw: st.DrawFn) -> str:
    """A request made of an origin of pieces and of parameters in any order, some changed, dropped or doubled."""
    origin = draw(st.sampled_from(sorted(KNOWN)) | st.lists(PIECES, max_size=6).map("".join))
    pairs = draw(st.permutations(parameters()))
    pairs = [pair for pair in pairs if draw(st.integers(0, 30))]
    changed = [(name, draw(st.text(max_size=20)) if not draw(st.integers(0, 30)) else value) for name, value in pairs]
    doubled = changed + [pair for pair in changed if not draw(st.integers(0, 30))]
    return f"{origin}{draw(st.sampled_from(['/?', '?', '//?', '/x?']))}{query(doubled)}"


def read(text: str) -> Presigned | None:
    with contextlib.suppress(TokenRejected):
        return read_presigned(shown(text.encode("utf-8", "surrogatepass")), KNOWN)
    return None


@given(st.text(max_size=300) | st.lists(PIECES, max_size=20).map("".join) | bent() | assembled())
@example(url())
@example(url(f"{ORIGIN}/?@example.com"))
def test_nothing_that_is_taken_leads_anywhere_else_by_anybodys_reading(text: str) -> None:
    proof = read(text)
    if proof is None:
        return
    whole = proof.url.reveal()
    assert whole == text
    sent, parts = URL(whole, encoded=True), urlsplit(whole)
    assert str(sent) == whole
    for host, port, scheme in (
        (sent.raw_host, sent.explicit_port, sent.scheme),
        (parts.hostname, parts.port, parts.scheme),
    ):
        assert (scheme, host in HOSTS, port) == ("https", True, None)
    assert (sent.raw_path, parts.path) == ("/", "/")
    besides = (sent.raw_user, sent.raw_password, sent.raw_fragment, parts.username, parts.password, parts.fragment)
    assert not any(besides)
    said = parse_qsl(whole.partition("?")[2], keep_blank_values=True, strict_parsing=True)
    assert len(dict(said)) == len(said)
    assert dict(said)["Action"] == "GetCallerIdentity"
    assert {name for name, _ in said} <= {*NAMES}
    assert [*sent.query.items()] == said


@given(
    st.binary(max_size=200)
    | st.text(max_size=300).map(str.encode)
    | st.binary(max_size=100).map(base64.urlsafe_b64encode)
)
def test_whatever_is_shown_is_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(TokenRejected):
        read_presigned(raw, KNOWN)


@given(st.text(max_size=60), st.sampled_from(["iam", "sts"]))
def test_whoever_is_believed_is_of_the_account_that_aws_names(rest: str, service: str) -> None:
    with contextlib.suppress(ValueError):
        found = principal(f"arn:aws:{service}::123456789012:{rest}", "123456789012")
        assert found.arn.split(":")[4] == "123456789012"
        assert len(found.arn.split(":")) == 6
        assert "*" not in found.arn


@given(
    st.sampled_from(["role/", "role/team/ci/", "user/", "user/team/"]),
    st.from_regex(r"[A-Za-z0-9_+=,.@-]{1,64}", fullmatch=True),
)
def test_a_canonical_name_stays_what_it_is(kind: str, name: str) -> None:
    once = principal(f"arn:aws:iam::123456789012:{kind}{name}", "123456789012")
    assert principal(once.arn, once.account) == once
