"""By which rules are tokens of others verified, and with whose keys?"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from agent.clock import Clock
from agent.errors import ConfigurationError
from agent.events import Report
from agent.outputs.verify import Gate, VerifyOutput
from agent.ring import Ring
from agent.settings import Settings, Verify
from agent.settings.outputs import Address
from agent.settings.verifying import OWN
from agent.verification import KeySource, Rule, Verified, Verifier


@dataclass(frozen=True, slots=True)
class Verification:
    """The listener that proxies ask, what keeps the keys of issuers fresh, and what has it tried again at once."""

    output: VerifyOutput
    address: Address
    jobs: Sequence[Callable[[], Awaitable[NoReturn]]]
    retry_now: Callable[[], None]


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
    return Verification(output, settings.listen.verify_address, sources.jobs, sources.retry_now)


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

    def retry_now(self) -> None:
        """Read again at once the keys of issuers that could not be read."""
        for retry in self._retries:
            retry()

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
        return made


def _verifier(settings: Settings, words: Verify, sources: _Sources, clock: Clock) -> Verifier:
    from agent.verification.verifier import RuleVerifier

    return RuleVerifier(rule_of(settings, words), sources.of(words), clock)
