"""What does somebody see who is sent here to sign in?

Plain HTML: no script, nothing from elsewhere. The headers hold the browser to that.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from agent.sandbox.wire import Reply

_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1b2733}"
    "h1{font-size:1.4rem}fieldset{border:1px solid #9aa7b4;border-radius:.4rem;margin:1rem 0}"
    "label{display:block;padding:.2rem 0}button,input[name=user_code]{font:inherit;padding:.4rem 1.2rem}"
    "code{font-size:1.2rem;letter-spacing:.1rem}footer{margin-top:3rem;color:#5b6773;font-size:.85rem}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_FOOTER: Final = "This is a sandbox, not AWS: it asks nobody for a password."


def page(title: str, body: str, *, status: int = 200, leads_to: str = "", cookie: str = "") -> Reply:
    """A page. `leads_to` is the origin to which its form may take the browser, besides this one."""
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main><footer>{_FOOTER}</footer></body></html>"
    )
    headers = _headers(leads_to) | ({"Set-Cookie": cookie} if cookie else {})
    return Reply(status, text.encode(), "text/html; charset=utf-8", headers)


def sent_to(url: str) -> Reply:
    """Send the browser elsewhere, by GET whatever it came with (RFC 9700, 4.12)."""
    return Reply(303, b"", "text/plain", {"Location": url, **_headers("")})


def _headers(leads_to: str) -> dict[str, str]:
    # form-action covers where a form's answer redirects to, as well
    targets = f"'self' {leads_to}".strip()
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {targets}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def refusal_page(said: str) -> Reply:
    """What is wrong, to somebody who can do nothing about it here."""
    return page("This cannot be answered", f"<p>{escape(said)}</p>", status=400)


def done_page(title: str) -> Reply:
    """That it is over."""
    return page(title, "<p>You can close this window.</p>")


def code_page(entered: str = "") -> Reply:
    """A field for a user code; with what was entered before, if that is nobody's."""
    wrong = f"<p>No device is waiting for the code {escape(entered)}. It may have expired.</p>" if entered else ""
    body = (
        f"{wrong}<p>Enter the code that your device shows.</p>"
        '<form method="get" action="/device"><p><label for="user_code">Code</label>'
        '<input id="user_code" name="user_code" autocomplete="off" autocapitalize="characters" autofocus required>'
        "</p><button>Continue</button></form>"
    )
    return page("Authorize a device", body, status=404 if entered else 200)


def consent_page(
    action: str,
    client_name: str,
    users: Sequence[str],
    hidden: Mapping[str, str],
    *,
    user_code: str = "",
    leads_to: str = "",
    cookie: str = "",
) -> Reply:
    """A form: who is signing in, and whether this client may act for them."""
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in hidden.items()
    )
    choices = "".join(
        f'<label><input type="radio" name="user" value="{escape(one)}" required{" checked" if not index else ""}> '
        f"{escape(one)}</label>"
        for index, one in enumerate(users)
    )
    code = f"<p>Does your device show this code?</p><p><code>{escape(user_code)}</code></p>" if user_code else ""
    body = (
        f"{code}<p><strong>{escape(client_name)}</strong> wants to list your accounts and to use your roles there.</p>"
        f'<form method="post" action="{escape(action)}">{fields}'
        f"<fieldset><legend>Sign in as</legend>{choices or 'There are no users.'}</fieldset>"
        '<button name="decision" value="allow">Allow</button> '
        '<button name="decision" value="deny" formnovalidate>Deny</button></form>'
    )
    return page("Allow access to your accounts?", body, leads_to=leads_to, cookie=cookie)
