"""By which rules are tokens of others verified, and with whose keys?"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from agent.clock import Clock
from agent.errors import ConfigurationError, IssuerUnreadable
from agent.events import Report
from agent.outputs.verify import Gate, VerifyOutput
from agent.ring import Ring
from agent.settings import Settings, Verify
from agent.settings.outputs import Address
from agent.settings.verifying import OWN
from agent.status.rules import RuleStatus
from agent.verification import KeySource, Rule, Standing, Verified, Verifier


@dataclass(frozen=True, slots=True)
class Verification:
    """The listener that proxies ask, what keeps the keys of issuers fresh, and what has it tried again at once."""

    output: VerifyOutput
    address: Address
    jobs: Sequence[Callable[[], Awaitable[NoReturn]]]
    retry_now: Callable[[], None]
    tried: Callable[[], Awaitable[None]]
    statuses: Callable[[], Sequence[RuleStatus]]


def verification(
    settings: Settings, ring: Callable[[], Ring | None], *, clock: Clock, report: Report
) -> Verification | None:
    """All that [verify.NAME] asks for; None without. `ring` gives our own keys as they stand. Opens nothing."""
    if not settings.verify:
        return None
    sources = _Sources(settings, ring, clock, report)
    gates = {
        name: Gate(_verifier(settings, words, sources, clock), words.told, words.scopes)
        for name, words in settings.verify.items()
    }
    output = VerifyOutput(gates, clock=clock, report=report)
    where = settings.listen.verify_address
    statuses = partial(_statuses, settings, sources)
    return Verification(output, where, sources.jobs, sources.retry_now, sources.tried, statuses)


def _statuses(settings: Settings, sources: "_Sources") -> Sequence[RuleStatus]:
    """How each rule stands now."""
    return [
        RuleStatus(name, rule_of(settings, words).issuer, now.keys, now.problem, now.hint)
        for name, words in settings.verify.items()
        for now in (sources.of(words).standing(),)
    ]


async def keys_now(settings: Settings, *, clock: Clock) -> Mapping[str, Standing]:
    """Read the keys of every issuer but ourselves once: how they stand, by the rule. Raises nothing."""
    sources = _Sources(settings, lambda: None, clock, lambda _: None)
    others = {name: sources.of(words) for name, words in settings.verify.items() if words.issuer != OWN}

    async def read(source: KeySource) -> None:
        with suppress(IssuerUnreadable):  # its standing tells
            await source.look_up("")

    await asyncio.gather(*map(read, dict.fromkeys(others.values())))
    return {name: source.standing() for name, source in others.items()}


async def verify_once(
    settings: Settings, name: str, token: bytes, *, credentials_directory: Path | None, clock: Clock
) -> Verified:
    """Verify one token by a rule, for a command; our own keys are read where the ring is kept.

    Raises TokenRejected, IssuerUnreadable, KeyUnavailable, and ConfigurationError for a rule that is not there.
    """
    words = settings.verify.get(name)
    if words is None:
        known = f"it has: {', '.join(sorted(settings.verify))}" if settings.verify else "add [verify.NAME] to it"
        raise ConfigurationError(f"the configuration has no rule {name!r}", hint=known)
    ring = await _own_ring(settings, credentials_directory, clock) if words.issuer == OWN else None
    sources = _Sources(settings, lambda: ring, clock, lambda _: None)
    return await _verifier(settings, words, sources, clock).verify(token)


async def verify_published(
    rule: Rule,
    jwks_url: str | None,
    token: bytes,
    *,
    ca_bundle: Path | None = None,
    proxy: str | None = None,
    clock: Clock,
) -> Verified:
    """Verify one token by a rule that no configuration has. Raises as `verify_once` does."""
    from agent.verification.published import PublishedKeys
    from agent.verification.verifier import RuleVerifier
    from agent.verification.web import IssuerWeb

    web = IssuerWeb(clock, ca_bundle=ca_bundle, proxy=proxy)
    keys = PublishedKeys(rule.issuer, web, clock=clock, report=lambda _: None, jwks_url=jwks_url)
    return await RuleVerifier(rule, keys, clock).verify(token)


async def _own_ring(settings: Settings, credentials_directory: Path | None, clock: Clock) -> Ring | None:
    from agent.assembly.rotation import rotation

    walk = rotation(settings, credentials_directory, publisher=None, clock=clock, report=lambda _: None)
    try:
        await walk.load()
        return walk.ring
    finally:
        await walk.close()


def rule_of(settings: Settings, words: Verify) -> Rule:
    """A rule as it is written."""
    issuer = words.issuer
    if issuer == OWN:
        assert settings.issuer is not None  # settings see to that
        issuer = settings.issuer.url
    return Rule(
        issuer=issuer,
        audiences=words.audiences,
        client_ids=words.client_ids,
        algorithms=words.taken,
        scopes=words.scopes,
        claims=words.claims,
        leeway=words.leeway,
        longest=words.longest,
    )


class _Sources:
    """The keys of each issuer, once for all rules that read them in the same way."""

    def __init__(self, settings: Settings, ring: Callable[[], Ring | None], clock: Clock, report: Report) -> None:
        self._settings = settings
        self._ring = ring
        self._clock = clock
        self._report = report
        self._made: dict[object, KeySource] = {}
        self.jobs: list[Callable[[], Awaitable[NoReturn]]] = []
        self._retries: list[Callable[[], None]] = []
        self._tries: list[Callable[[], Awaitable[None]]] = []

    def retry_now(self) -> None:
        """Read again at once the keys of issuers that could not be read."""
        for retry in self._retries:
            retry()

    async def tried(self) -> None:
        """Return when the keys of every issuer have been read for the first time, or could not be."""
        await asyncio.gather(*(tried() for tried in self._tries))

    def of(self, words: Verify) -> KeySource:
        how = (words.issuer, words.jwks_url, words.ca_bundle, words.proxy)
        if how not in self._made:
            self._made[how] = self._own() if words.issuer == OWN else self._published(words)
        return self._made[how]

    def _own(self) -> KeySource:
        from agent.verification.own import OwnKeys

        return OwnKeys(self._ring, self._clock)

    def _published(self, words: Verify) -> KeySource:
        from agent.verification.published import PublishedKeys
        from agent.verification.web import IssuerWeb

        web = IssuerWeb(self._clock, ca_bundle=words.ca_bundle, proxy=words.proxy)
        made = PublishedKeys(words.issuer, web, clock=self._clock, report=self._report, jwks_url=words.jwks_url)
        self.jobs.append(made.keep_fresh)
        self._retries.append(made.retry_now)
        self._tries.append(made.tried)
        return made


def _verifier(settings: Settings, words: Verify, sources: _Sources, clock: Clock) -> Verifier:
    from agent.verification.verifier import RuleVerifier

    return RuleVerifier(rule_of(settings, words), sources.of(words), clock)
