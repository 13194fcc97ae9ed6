"""Was a form that comes back shown by us, to this browser?

Against forged requests: every form carries a seal over what it decides and over a cookie that only this browser has,
and a browser that says where its form came from has to say that it was here.
"""

import hashlib
import hmac
import re
from http.cookies import CookieError, SimpleCookie
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.wire import Wire

_COOKIE: Final = "rolecall-sandbox-browser"


class Forms:
    """The seals of one Identity Center."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._key = cloud.rng.randbytes(32)

    def browser(self, wire: Wire) -> str:
        """The name of this browser: the one that its cookie has, or a new one."""
        return _browser(wire) or self._cloud.rng.randbytes(16).hex()

    def cookie(self, browser: str) -> str:
        """A Set-Cookie header. Not sent along when a form of somebody else's page leads here, nor shown to scripts."""
        secure = "; Secure" if self._cloud.endpoint_url.startswith("https:") else ""
        return f"{_COOKIE}={browser}; Path=/; HttpOnly; SameSite=Strict{secure}"

    def seal(self, browser: str, what: str) -> str:
        """What the form about `what` carries."""
        return hmac.digest(self._key, f"{browser} {what}".encode(), hashlib.sha256).hex()

    def is_ours(self, wire: Wire, what: str, seal: str) -> bool:
        """Whether this form about `what` was shown here, to this browser."""
        browser = _browser(wire)
        origin = wire.headers.get("origin")
        if not browser or (origin is not None and origin.partition("://")[2] != wire.headers.get("host", "")):
            return False
        return hmac.compare_digest(self.seal(browser, what).encode(), seal.encode())


def _browser(wire: Wire) -> str:
    """What the cookie says, if it is one of ours; "" otherwise."""
    try:
        found = SimpleCookie(wire.headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return found.value if found and re.fullmatch(r"[0-9a-f]{32}", found.value) else ""
