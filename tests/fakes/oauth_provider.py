"""An OAuth 2.0 provider over TLS that says what it is told to, rightly or not, and remembers what it was asked."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.jose import b64url, compact, signing_input
from tests.fakes.certificate import certificate
from tests.fakes.clock import START

NOW = int(START.timestamp())
SECRET = "canary-secret-+/%: ä".replace("ä", "a")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def a_jwt(*, header: dict[str, object] | None = None, signature: bytes = b"canary", **claims: object) -> str:
    """A token as a provider would give it; a claim that is None is left out."""
    said: dict[str, object] = {
        "iss": "https://login.example.com",
        "sub": "rolecall",
        "aud": "sts.amazonaws.com",
        "iat": NOW,
        "exp": NOW + 3600,
        **claims,
    }
    there = {name: value for name, value in said.items() if value is not None}
    return compact(signing_input({"alg": "RS256", "kid": "one", **(header or {})}, there), signature)


def unsigned(**claims: Any) -> str:
    """The same with `alg: none`, and nothing where the signature should be."""
    head, body, _ = a_jwt(header={"alg": "none"}, signature=b"x", **claims).split(".")
    return f"{head}.{body}."


class OAuthProvider:
    """What the provider says: `answer` is the body for whoever asks for a token; `handler`, if set, answers instead.

    `document` is changed into the discovery document; `served` are the requests for tokens, `forms` their forms.
    """

    def __init__(self) -> None:
        self.url = ""
        self.ca = Path()
        self.status = 200
        self.answer: Any = {"access_token": a_jwt(), "token_type": "Bearer", "expires_in": 3600}
        self.headers: dict[str, str] = {"Date": "Fri, 20 Nov 2026 12:00:00 GMT"}
        self.document: dict[str, object] = {}
        self.discovery_status = 200
        self.discovery_page = ""  # what is shown in place of a document
        self.has_oauth_document = False
        self.handler: Handler | None = None
        self.requests: list[web.Request] = []
        self.forms: list[dict[str, list[str]]] = []
        self.discoveries = 0

    @property
    def issuer(self) -> str:
        return self.url

    async def token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        self.requests.append(request)
        self.forms.append({name: [str(value) for value in form.getall(name)] for name in form})
        if self.handler is not None:
            return await self.handler(request)
        body = self.answer if isinstance(self.answer, str | bytes) else json.dumps(self.answer)
        return web.Response(
            status=self.status,
            body=body if isinstance(body, bytes) else body.encode(),
            headers={"Content-Type": "application/json", **self.headers},
        )

    async def discovery(self, _: web.Request) -> web.StreamResponse:
        self.discoveries += 1
        if self.discovery_page:
            return web.Response(text=self.discovery_page, content_type="text/html")
        return web.json_response(self._documented(), status=self.discovery_status, headers=self.headers)

    async def oauth(self, _: web.Request) -> web.StreamResponse:
        """The document of RFC 8414, beside that of OpenID or without it."""
        return web.json_response(self._documented(), status=200 if self.has_oauth_document else 404)

    def _documented(self) -> dict[str, object]:
        return {"issuer": self.url, "token_endpoint": f"{self.url}/token", **self.document}


@asynccontextmanager
async def oauth_provider(folder: Path, tls: ssl.SSLContext | None = None) -> AsyncIterator[OAuthProvider]:
    """Serve until the end of the context; `tls` if the server's own is not good enough."""
    provider = OAuthProvider()
    provider.ca, context = certificate(folder)
    application = web.Application()
    application.router.add_post("/token", provider.token)
    application.router.add_post("/mutual", provider.token)
    application.router.add_get("/.well-known/openid-configuration", provider.discovery)
    application.router.add_get("/.well-known/oauth-authorization-server", provider.oauth)
    server = TestServer(application)
    await server.start_server(ssl=tls or context)
    provider.url = f"https://127.0.0.1:{server.port}"
    try:
        yield provider
    finally:
        await server.close()


def nested() -> str:
    """A JWT in a JWT (RFC 7519 §5.2)."""
    head = b64url(json.dumps({"alg": "RS256", "cty": "JWT"}).encode())
    return f"{head}.{b64url(a_jwt().encode())}.{b64url(b'canary')}"
