"""Through which doors are we reached: for credentials, and for a look at how we are?"""

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.assembly.publishing import OwnSite
from agent.assembly.verifying import Verification
from agent.callers import Recogniser
from agent.clock import Clock
from agent.errors import ListenerUnavailable
from agent.events import ListenerOpened, ListenerWaiting, Report
from agent.outputs import token, who
from agent.outputs.ecs import EcsOutput
from agent.outputs.local import LocalOutput
from agent.outputs.token import TokenOutput
from agent.outputs.who import WhoOutput
from agent.service import Address, Listener
from agent.sessions import Keeper
from agent.settings import Containers
from agent.settings.outputs import Address as Written
from agent.settings.outputs import Listen, numbered
from agent.status.routes import admin_application
from agent.status.snapshot import ListenerStatus, Overview
from agent.telemetry.metrics import Metrics
from agent.vending import RoleVendor, TokenVendor
from agent.web import Output
from agent.web.connections import Limits
from agent.web.listener import answering, serving
from agent.web.stats import RequestStats

if TYPE_CHECKING:
    from agent.assembly.aws_callers import AwsDoor
    from agent.callers.unit_tokens.attestor import UnitTokens

#: A listener, by its name.
Named = tuple[str, Listener]

_USUAL = Limits()

#: The listeners that others reach from elsewhere.
_OVER_TLS = ("issuer", "aws_callers")


@dataclass(frozen=True, slots=True)
class Common:
    """What all our listeners need: the clock that dates answers, the counts, and whom to tell of what."""

    clock: Clock
    stats: RequestStats
    logger: logging.Logger
    report: Report

    def on_bug(self, name: str) -> Callable[[BaseException], None]:
        """Tells of an exception that nobody expected, in the listener of that name."""

        def told(error: BaseException) -> None:
            self.logger.error("bug", exc_info=error, extra={"fields": {"where": f"{name} listener"}})

        return told


class Doors:
    """The listeners that the configuration asks for, and which of them are open now."""

    def __init__(self, settings: Listen, common: Common) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._common = common
        self._open: dict[str, str] = {}

    def open_now(self) -> Sequence[ListenerStatus]:
        """The listeners that are open, and where."""
        return [ListenerStatus(name, address) for name, address in self._open.items()]

    def credentials(
        self, vendor: RoleVendor, tokens: TokenVendor, roles: Collection[str], recogniser: Recogniser
    ) -> Iterator[Named]:
        """The listeners that callers fetch credentials and tokens from, and that for the metadata of an instance."""
        output = _local(vendor, tokens, roles)
        for name, address in numbered("credentials", self._settings.credentials_addresses):
            yield self._answering(name, output, address, recogniser)
        if self._settings.imds is not None:
            from agent.outputs.imds import ImdsOutput, SessionTokens

            metadata = ImdsOutput(vendor, frozenset(roles), SessionTokens(secrets.token_bytes(32), self._common.clock))
            yield self._answering("imds", metadata, self._settings.imds, recogniser, Limits(hops=1))

    def containers(
        self,
        settings: Containers,
        vendor: RoleVendor,
        tokens: TokenVendor,
        roles: Collection[str],
        recogniser: Recogniser,
    ) -> Iterator[Named]:
        """The listeners that containers fetch credentials from; their addresses may come later, or never."""
        from agent.outputs.containers import open_when_possible

        output = _local(vendor, tokens, roles)
        for name, address in numbered("containers", settings.listen):
            _, opening = self._answering(name, output, address, recogniser)

            def tell(error: ListenerUnavailable | None, address: Written = address) -> None:
                told = ListenerOpened(str(address)) if error is None else ListenerWaiting(str(address), error)
                self._common.report(told)

            yield name, partial(open_when_possible, address, opening, clock=self._common.clock, tell=tell)

    def verifying(self, checking: Verification, recogniser: Recogniser) -> Named:
        """The listener that proxies ask whether a request may pass: what they pass on may be a browser's."""
        return self._answering("verify", checking.output, checking.address, recogniser, Limits(proxied=True))

    def aws_callers(self, door: "AwsDoor") -> Named:
        """The HTTPS listener at which callers inside AWS show who they are."""
        return "aws_callers", lambda: self._noted("aws_callers", door.listening())

    @asynccontextmanager
    async def unit_tokens(self, issuer: "UnitTokens", path: Path) -> AsyncIterator[None]:
        """Let systemd fetch the tokens of units there. Raises ListenerUnavailable."""
        from agent.outputs.unit_tokens import giving

        async with giving(issuer, path, clock=self._common.clock, report=self._common.report):
            self._open["unit_tokens"] = f"unix:{path}"
            try:
                yield
            finally:
                del self._open["unit_tokens"]

    def _answering(
        self, name: str, output: Output, address: Written, recogniser: Recogniser, limits: Limits = _USUAL
    ) -> Named:
        common, bug = self._common, self._common.on_bug(name)

        def listener() -> AbstractAsyncContextManager[Address]:
            opening = answering(
                output,
                address,
                clock=common.clock,
                stats=common.stats,
                on_bug=bug,
                report=common.report,
                recogniser=recogniser,
                limits=limits,
            )
            return self._noted(name, opening)

        return name, listener

    def admin(self, overview: Overview, metrics: Metrics, keeper: Keeper) -> Named:
        """The listener for people, probes and Prometheus."""
        where = self._settings.admin

        def listener() -> AbstractAsyncContextManager[Address]:
            application = admin_application(overview, metrics.exposition, keeper.silent_for)
            return self._noted("admin", serving(application, where))

        return "admin", listener

    def issuer(self, site: OwnSite, credentials_directory: Path | None) -> Named:
        """The HTTPS listener on which the world reads the issuer's documents, where we serve them ourselves."""
        from agent.outputs.issuer import serving_issuer
        from agent.web.tls import Files, ShownCertificate

        words, common = site.settings, self._common
        files = Files(words.certificate, words.private_key, credentials_directory)
        bug = common.on_bug("issuer")

        def listener() -> AbstractAsyncContextManager[Address]:
            opening = serving_issuer(
                site.shelf,
                site.issuer,
                words.listen,
                ShownCertificate(files, common.clock, common.report),
                clock=common.clock,
                stats=common.stats,
                on_bug=bug,
            )
            return self._noted("issuer", opening)

        return "issuer", listener

    @asynccontextmanager
    async def _noted(self, name: str, opening: AbstractAsyncContextManager[Address]) -> AsyncIterator[Address]:
        async with opening as address:
            self._open[name] = f"{'https' if name in _OVER_TLS else 'http'}://{Written(*address)}"
            try:
                yield address
            finally:
                del self._open[name]


def _local(roles: RoleVendor, tokens: TokenVendor, names: Collection[str]) -> LocalOutput:
    """All that the programs of this machine are told."""
    further: dict[str, Output] = {token.PATH: TokenOutput(tokens), who.PATH: WhoOutput(roles, tokens)}
    return LocalOutput(EcsOutput(roles, names), further)
