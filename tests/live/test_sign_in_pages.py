"""Do people in a real browser get through the sandbox's Identity Center, and does nobody else get in by them?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.live.browser import Browser, chromium
from tests.unit.sandbox.identity_center.visit import refused, visit

pytestmark = pytest.mark.long


@dataclass
class Site:
    """Somebody else on the loopback: a program that waits for a browser to come back, or a site that means no good.

    Attributes:
        page: what it shows at every path.
        came: what was asked for, path and query.
    """

    url: str = ""
    page: str = "Signed in."
    came: list[str] = field(default_factory=list)


@asynccontextmanager
async def site(host: str = "127.0.0.1") -> AsyncIterator[Site]:
    here = Site()

    async def answer(request: web.Request) -> web.Response:
        here.came.append(request.path_qs)
        return web.Response(text=here.page, content_type="text/html")

    application = web.Application()
    application.router.add_get("/{any:.*}", answer)
    async with TestServer(application, host=host) as server:
        here.url = f"http://{host}:{server.port}"
        yield here


async def test_somebody_says_yes_and_the_program_gets_a_code_that_works(browser: Browser) -> None:
    await browser.forbid_scripts()
    with visit() as v:
        async with site() as program:
            client = v.register(clientName="rolecall on web-1")
            redirect = f"{program.url}/oauth/callback"
            await browser.open(v.authorize_url(client, redirect_uri=redirect))
            assert "rolecall on web-1 wants to list your accounts" in await browser.text()
            await browser.click("brook")
            await browser.click("ada")
            await browser.click("Allow")
            brought = dict(parse_qsl(urlsplit(await browser.arrives(f"{redirect}?code=")).query))
            assert await browser.text() == "Signed in."
            assert brought["state"] == "a state & more"
            tokens = v.redeem(client, brought["code"], redirectUri=redirect)
            assert v.sso.list_accounts(accessToken=tokens["accessToken"])["accountList"]
            assert [one["user"] for one in v.tell("/identity-center")["sessions"]] == ["ada"]
            ours = (v.sandbox.endpoint_url, program.url)
            assert all(one.startswith(ours) for one in browser.requests)
            assert [one for one in browser.complaints if "favicon" not in one] == []


async def test_somebody_says_no_and_the_program_hears_it(browser: Browser) -> None:
    with visit() as v:
        async with site("localhost") as program:
            client = v.register(redirectUris=["http://localhost/cb"])
            await browser.open(v.authorize_url(client, redirect_uri=f"{program.url}/cb"))
            await browser.click("Deny")
            brought = dict(parse_qsl(urlsplit(await browser.arrives(f"{program.url}/cb?error=")).query))
            assert (brought["error"], brought["state"]) == ("access_denied", "a state & more")
            assert v.tell("/identity-center")["sessions"] == []


async def test_a_code_is_entered_by_keyboard_for_a_device(browser: Browser) -> None:
    await browser.forbid_scripts()
    with visit() as v:
        client = v.register_device(clientName="a device")
        told = v.device(client)
        await browser.open(told["verificationUri"])
        await browser.fill("#user_code", told["userCode"].replace("-", " ").lower())
        await browser.press("Enter")
        await browser.shows(told["userCode"])
        await browser.click("Allow")
        await browser.shows("Request approved")
        assert v.poll(client, told)["accessToken"]


@pytest.mark.long
async def test_a_page_that_frames_ours_shows_nothing_of_it(browser: Browser) -> None:
    with visit() as v:
        async with site("localhost") as evil:
            evil.page = f'<h1>Win a prize</h1><iframe src="{escape(v.authorize_url(v.register()))}"></iframe>'
            await browser.open(evil.url)
            await browser.shows("Win a prize")
            inside = await browser.script("document.querySelector('iframe').contentDocument === null")
            assert inside  # the browser shows a page of its own there, of another origin
            assert any("frame-ancestors 'none'" in one for one in browser.complaints)


@pytest.mark.long
async def test_a_form_of_another_site_decides_nothing_even_with_the_seal(browser: Browser) -> None:
    with visit() as v:
        async with site("localhost") as evil:
            client = v.register_device()
            told = v.device(client)
            await browser.open(told["verificationUriComplete"])
            fields = await browser.script("Object.fromEntries(new FormData(document.forms[0]))")
            (cookie,) = await browser.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
            hidden = "".join(
                f'<input type=hidden name="{name}" value="{escape(value)}">' for name, value in fields.items()
            )
            decided = "<button name=decision value=allow>Win</button>"
            evil.page = f'<form method=post action="{told["verificationUri"]}">{hidden}{decided}</form>'
            await browser.open(evil.url)
            await browser.click("Win")
            assert "not shown to this browser by this page" in await browser.shows("cannot be answered")
            assert refused(lambda: v.poll(client, told)) == "AuthorizationPending"
            await browser.open(told["verificationUriComplete"])
            await browser.click("Allow")
            await browser.shows("Request approved")


@pytest.mark.long
async def test_with_a_certificate_it_is_the_same() -> None:
    with visit(tls=True) as v:
        async with site() as program, chromium("--ignore-certificate-errors") as careless:
            client = v.register()
            redirect = f"{program.url}/oauth/callback"
            await careless.open(v.authorize_url(client, redirect_uri=redirect))
            await careless.click("Allow")
            brought = dict(parse_qsl(urlsplit(await careless.arrives(f"{redirect}?code=")).query))
            assert v.redeem(client, brought["code"], redirectUri=redirect)["accessToken"]
