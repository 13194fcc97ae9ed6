"""Somebody at a browser, without the browser: keeps cookies, sends forms, and hears where it is led, but stays."""

import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit


@dataclass(frozen=True)
class Page:
    """What a browser would show, or `location`, where it would go.

    Attributes:
        hidden: the hidden fields of its form.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def hidden(self) -> dict[str, str]:
        fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', self.text)
        return {unescape(name): unescape(value) for name, value in fields}

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    @property
    def brought(self) -> dict[str, str]:
        """The parameters of where it is led."""
        return dict(parse_qsl(urlsplit(self.location).query))


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Surfer:
    """One browser."""

    def __init__(self) -> None:
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies), _Stay()
        )

    def open(self, url: str, headers: Mapping[str, str] | None = None) -> Page:
        """Look at a page."""
        return self._ask(urllib.request.Request(url, headers=dict(headers or {})))

    def send(self, page: Page, headers: Mapping[str, str] | None = None, **fields: str) -> Page:
        """Send the form of a page, with its hidden fields and these."""
        action = unescape(re.findall(r'<form method="post" action="([^"]*)">', page.text)[0])
        return self.post(urljoin(page.url, action), {**page.hidden, **fields}, headers)

    def post(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Page:
        """Send a form that no page has shown."""
        return self._ask(urllib.request.Request(url, urlencode(fields).encode(), dict(headers or {})))

    def sign_in(self, url: str, user: str = "ada", decision: str = "allow") -> Page:
        """Look at a page that asks for consent, and say yes, or no."""
        return self.send(self.open(url), user=user, decision=decision)

    def _ask(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=10) as answer:
                return Page(request.full_url, answer.status, dict(answer.headers), answer.read().decode())
        except HTTPError as answer:
            with answer:
                return Page(request.full_url, answer.code, dict(answer.headers), answer.read().decode())
