from datetime import UTC, datetime, timedelta, timezone

from agent.web.answers import headers, http_date, wire


def test_a_date_is_in_gmt_and_cut_to_whole_seconds() -> None:
    moment = datetime(2026, 11, 20, 13, 5, 9, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert http_date(moment) == "Fri, 20 Nov 2026 12:05:09 GMT"
    assert http_date(datetime(2026, 1, 1, tzinfo=UTC)) == "Thu, 01 Jan 2026 00:00:00 GMT"


def test_the_media_type_has_no_charset_and_nothing_may_be_kept() -> None:
    named = dict(headers(b"{}", "then", (("Retry-After", "1"),)))
    assert named == {
        "Content-Type": "application/json",
        "Content-Length": "2",
        "Cache-Control": "no-store",
        "Date": "then",
        "Server": "rolecall",
        "Retry-After": "1",
    }


def test_an_answer_on_the_wire_says_whether_it_is_the_last() -> None:
    assert wire("200 OK", [("A", "b")], b"{}", last=False) == b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}"
    assert wire("200 OK", [("A", "b")], b"{}", last=True) == b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n{}"
