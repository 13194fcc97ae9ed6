import pytest

from agent.callers import Origin, Peer
from agent.web.peer import host_allowed, peer
from agent.web.problems import BAD_REQUEST, BROWSER_REFUSED, HOST_REFUSED, Problem, Refusal

LOCAL = "127.0.0.1"
HERE, FAR = Origin("127.0.0.1", LOCAL), Origin("10.9.8.7", LOCAL)
HOST = (b"Host", b"127.0.0.1:9170")


@pytest.mark.parametrize(
    "host",
    [
        b"127.0.0.1",
        b"127.0.0.1:9170",
        b"127.0.0.1:1",
        b"localhost",
        b"LocalHost:9170",
        b"[::1]",
        b"[::1]:9170",
        b"169.254.170.2",
        b"169.254.170.23:80",
        b"[fd00:ec2::23]",
        b"[FD00:EC2::23]:80",
    ],
)
def test_hosts_that_sdks_send_are_allowed(host: bytes) -> None:
    assert host_allowed(host, LOCAL)


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"evil.example.com",
        b"evil.example.com:9170",
        b"127.0.0.1.example.com",
        b"localhost.example.com",
        b"127.0.0.1@evil.example.com",
        b"127.0.0.1:9170@evil.example.com",
        b"127.0.0.1:",
        b"127.0.0.1:999999",
        b"127.0.0.1 ",
        b" 127.0.0.1",
        b"127.0.0.1,evil.example.com",
        b"127.0.0.2",
        b"0.0.0.0",
        b"2130706433",
        b"::1",
        b"[::1",
        b"[::ffff:127.0.0.1]",
        b"10.0.0.5",
        b"localhost.",
        b"\xff",
    ],
)
def test_other_hosts_are_refused(host: bytes) -> None:
    assert not host_allowed(host, LOCAL)


def test_the_address_that_a_connection_came_in_on_is_allowed() -> None:
    assert host_allowed(b"10.0.0.5:9170", "10.0.0.5")
    assert host_allowed(b"[2001:db8::5]:9170", "2001:db8::5")
    assert not host_allowed(b"2001:db8::5", "2001:db8::5")


@pytest.mark.parametrize(
    ("value", "presented"),
    [
        (b"token", b"token"),
        (b" \ttoken\t ", b"token"),
        (b"Bearer token", b"Bearer token"),
        (b"\xfft", b"\xfft"),
        (b"", b""),
    ],
)
def test_what_was_presented_is_raw_but_for_blanks_around_it(value: bytes, presented: bytes) -> None:
    assert peer([HOST, (b"AUTHORIZATION", value)], FAR, needs_host=True) == Peer(FAR, presented)


def test_nothing_presented_is_none() -> None:
    assert peer([HOST], FAR, needs_host=True) == Peer(FAR, None)


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ([], BAD_REQUEST),
        ([HOST, HOST], BAD_REQUEST),
        ([HOST, (b"host", b"localhost")], BAD_REQUEST),
        ([HOST, (b"Authorization", b"a"), (b"authorization", b"a")], BAD_REQUEST),
        ([(b"Host", b"evil.example.com")], HOST_REFUSED),
        ([HOST, (b"Origin", b"null")], BROWSER_REFUSED),
        ([HOST, (b"REFERER", b"")], BROWSER_REFUSED),
        ([(b"x-forwarded-for", b"127.0.0.1"), HOST], BROWSER_REFUSED),
    ],
)
def test_requests_that_no_sdk_sends_are_refused(headers: list[tuple[bytes, bytes]], problem: Problem) -> None:
    with pytest.raises(Refusal) as refused:
        peer(headers, HERE, needs_host=True)
    assert refused.value.problem is problem


def test_only_http_1_1_demands_a_host() -> None:
    assert peer([], HERE, needs_host=False) == Peer(HERE, None)
    with pytest.raises(Refusal):
        peer([(b"Host", b"evil.example.com")], HERE, needs_host=False)
