"""Through which doors are we reached: for credentials, and for a look at how we are?"""

import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from agent.assembly.publishing import OwnSite
from agent.clock import Clock
from agent.events import Report
from agent.outputs.ecs import EcsOutput
from agent.service import Address, Listener
from agent.sessions import Keeper
from agent.settings.outputs import Address as Written
from agent.settings.outputs import Listen
from agent.status.routes import admin_application
from agent.status.snapshot import ListenerStatus, Overview
from agent.telemetry.metrics import Metrics
from agent.vending import Vendor
from agent.web.listener import answering, serving
from agent.web.stats import RequestStats


class Doors:
    """The listeners that the configuration asks for, and which of them are open now."""

    def __init__(self, settings: Listen) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._open: dict[str, Address] = {}

    def open_now(self) -> Sequence[ListenerStatus]:
        """The listeners that are open, and where."""
        return [
            ListenerStatus(name, f"{'https' if name == 'issuer' else 'http'}://{Written(*address)}")
            for name, address in self._open.items()
        ]

    def credentials(
        self,
        vendor: Vendor,
        roles: Collection[str],
        clock: Clock,
        stats: RequestStats,
        logger: logging.Logger,
        report: Report,
    ) -> tuple[str, Listener]:
        """The listener that SDKs fetch credentials from."""

        def on_bug(error: BaseException) -> None:
            logger.error("bug", exc_info=error, extra={"fields": {"where": "credentials listener"}})

        where = (self._settings.credentials.host, self._settings.credentials.port)

        def listener() -> AbstractAsyncContextManager[Address]:
            output = EcsOutput(vendor, roles)
            opening = answering(output, where, clock=clock, stats=stats, on_bug=on_bug, report=report)
            return self._noted("credentials", opening)

        return "credentials", listener

    def admin(self, overview: Overview, metrics: Metrics, keeper: Keeper) -> tuple[str, Listener]:
        """The listener for people, probes and Prometheus."""
        where = (self._settings.admin.host, self._settings.admin.port)

        def listener() -> AbstractAsyncContextManager[Address]:
            application = admin_application(overview, metrics.exposition, keeper.silent_for)
            return self._noted("admin", serving(application, where))

        return "admin", listener

    def issuer(
        self,
        site: OwnSite,
        clock: Clock,
        stats: RequestStats,
        logger: logging.Logger,
        report: Report,
        credentials_directory: Path | None,
    ) -> tuple[str, Listener]:
        """The HTTPS listener on which the world reads the issuer's documents, where we serve them ourselves."""
        from agent.outputs.issuer import serving_issuer
        from agent.web.tls import Files, ShownCertificate

        def on_bug(error: BaseException) -> None:
            logger.error("bug", exc_info=error, extra={"fields": {"where": "issuer's listener"}})

        words = site.settings
        where = (words.listen.host, words.listen.port)
        files = Files(words.certificate, words.private_key, credentials_directory)

        def listener() -> AbstractAsyncContextManager[Address]:
            certificate = ShownCertificate(files, clock, report)
            return self._noted(
                "issuer",
                serving_issuer(site.shelf, site.issuer, where, certificate, clock=clock, stats=stats, on_bug=on_bug),
            )

        return "issuer", listener

    @asynccontextmanager
    async def _noted(self, name: str, opening: AbstractAsyncContextManager[Address]) -> AsyncIterator[Address]:
        async with opening as address:
            self._open[name] = address
            try:
                yield address
            finally:
                del self._open[name]
