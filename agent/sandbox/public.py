"""What does the world see of an issuer that exists on this machine alone?

Every issuer's directory under its right name and path, with a certificate for that name; or something wrong, if the
sandbox is told to. How the world gets here is for the proxy to say.
"""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from agent.clock import Clock
from agent.sandbox.faults import Faults, SiteFault
from agent.sandbox.misprints import Shown, document_at, misprinted
from agent.sandbox.site import DirectorySite
from agent.sandbox.tls import Authority, context_of, new_authority, new_leaf

_LONG_AGO: Final = datetime(2001, 1, 1, tzinfo=UTC)


class PublicSites:
    """The issuers' sites as they are seen from outside.

    Args:
        sites: issuer URL to the directory that is its site.
        faults: those of kind "site" strike here.
        clock: by which slow answers are slow.
    """

    def __init__(self, sites: Mapping[str, DirectorySite], faults: Faults, clock: Clock) -> None:
        self._sites = {_address(issuer): site for issuer, site in sites.items()}
        self._faults = faults
        self._clock = clock
        self._copies: dict[tuple[str, str], Shown] | None = None
        faults.watch(self._told)
        self._told()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer for the issuer that the request's host and path belong to, well or as the faults will have it."""
        struck = self._faults.strike_site(document_at(request.path))
        shown = self._shown(request, is_stale=any(fault.site == "stale" for fault in struck))
        for fault in struck:
            shown = misprinted(shown, fault, request.path)
        if shown.wait:
            await self._clock.sleep(shown.wait)
        if shown.hang_up == "never":
            return web.Response(status=shown.status, headers=shown.headers, body=shown.body)
        if shown.hang_up == "midway":
            half = web.StreamResponse(status=shown.status, headers=shown.headers)
            half.content_length = len(shown.body)
            await half.prepare(request)
            await half.write(shown.body[: len(shown.body) // 2])
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _shown(self, request: web.Request, *, is_stale: bool) -> Shown:
        """What is in the directory, or what was when somebody wanted the site to be stale."""
        url = f"https://{request.host.removesuffix(':443')}{request.path}"
        for issuer in sorted(self._sites, key=len, reverse=True):
            rest = url.removeprefix(issuer)
            if rest == url or not rest.startswith("/"):
                continue
            if is_stale:
                return (self._copies or {}).get((issuer, rest), _said(web.Response(status=404)))
            return _said(self._sites[issuer].answer(request.method, rest))
        return _said(web.Response(status=404))

    def _told(self) -> None:
        """Make copies at the moment at which the site is said to be stale, and keep them until somebody ends that."""
        if not any(one.kind == "site" and one.site == "stale" for one in self._faults.current()):
            self._copies = None
        elif self._copies is None:  # other faults may come and go meanwhile
            self._copies = {
                (issuer, path): _said(site.answer("GET", path))
                for issuer, site in self._sites.items()
                for path in site.paths()
            }


def _address(issuer: str) -> str:
    """The URL as clients ask for it: hosts have no case, and the documents are below it, slash or no slash."""
    parts = urlsplit(issuer)
    return f"https://{parts.netloc.lower()}{parts.path}".rstrip("/")


def _said(answer: web.Response) -> Shown:
    body = answer.body if isinstance(answer.body, bytes) else b""
    return Shown(answer.status, {**answer.headers, "Content-Type": answer.headers.get("Content-Type", "")}, body)


class PublicCertificates:
    """The certificates of the public sites: root, intermediate and one for each host.

    Args:
        root: whom clients trust.
        hosts: the names of the sites, one or more.
        directory: where keys may pass through on their way into a TLS context.
    """

    def __init__(self, root: Authority, hosts: list[str], directory: Path, faults: Faults) -> None:
        self._root = root
        self._between = new_authority("rolecall sandbox intermediate", root)
        self._directory = directory
        self._faults = faults
        self._contexts: dict[tuple[str, SiteFault | None], ssl.SSLContext] = {}
        self._names = hosts
        self.context = self._of(hosts[0], None)
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        """Show what is right for the host that the client names, or what is to be wrong at present."""
        host = name if name in self._names else self._names[0]
        wrong = "unknown_authority" if self._faults.wrong_certificate else self._faults.site_tls
        connection.context = self._of(host or self._names[0], wrong)

    def _of(self, host: str, wrong: SiteFault | None) -> ssl.SSLContext:
        if (host, wrong) not in self._contexts:
            self._contexts[host, wrong] = self._made(host, wrong)
        return self._contexts[host, wrong]

    def _made(self, host: str, wrong: SiteFault | None) -> ssl.SSLContext:
        between, names, until = self._between, [host], None
        match wrong:
            case "expired":
                until = _LONG_AGO
            case "other_name":
                names = ["elsewhere.example.com"]
            case "self_signed":
                leaf = new_leaf(None, names)
                return context_of(leaf, [leaf.certificate], self._directory)
            case "unknown_authority":
                between = new_authority("a nobody's intermediate", new_authority("an authority nobody trusts"))
        leaf = new_leaf(between, names, until) if until else new_leaf(between, names)
        shown = {
            "no_intermediate": [leaf.certificate],
            "wrong_order": [leaf.certificate, self._root.certificate, between.certificate],
        }.get(wrong or "", [leaf.certificate, between.certificate])
        return context_of(leaf, shown, self._directory)
