import base64
import hashlib
import re

from agent.sign_in import pages


def test_a_page_asks_for_nothing_from_anywhere() -> None:
    text = pages.WORKED.decode()
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|http", text)
    style = re.search(r"<style>(.*)</style>", text)
    assert style is not None
    allowed = dict(pages.HEADERS)["Content-Security-Policy"]
    assert base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() in allowed
    assert "default-src 'none'" in allowed


def test_what_is_said_is_escaped() -> None:
    assert b"<b>" not in pages.page("<b>", "<b>")


def test_each_outcome_has_words_of_its_own() -> None:
    all_of_them = [pages.WORKED, pages.DENIED, pages.FAILED, pages.FOREIGN, pages.ANSWERED, pages.NOTHING]
    assert len({*all_of_them}) == len(all_of_them)


def test_nobody_keeps_a_page_or_where_it_was() -> None:
    headers = dict(pages.HEADERS)
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
