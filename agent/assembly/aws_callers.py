"""How do workloads inside AWS get tokens of ours?"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from agent.callers.aws import SENTENCES
from agent.callers.aws.ask import Sts, Way
from agent.callers.aws.canonical import TOLD
from agent.callers.aws.hosts import origins
from agent.callers.aws.proofs import Proofs
from agent.callers.aws.web_identity import ALGORITHMS, LEEWAY, LONGEST_LIFE, WebIdentity
from agent.clock import Clock
from agent.errors import ConfigurationError
from agent.events import Report
from agent.outputs.token import TokenOutput
from agent.outputs.token_exchange import Exchange, serving_tokens
from agent.settings import AwsCallers, Settings
from agent.vending import TokenVendor
from agent.verification import Rule
from agent.verification.published import PublishedKeys
from agent.verification.verifier import RuleVerifier
from agent.verification.web import IssuerWeb
from agent.web.sockets import Address
from agent.web.stats import RequestStats
from agent.web.tls import Files, ShownCertificate
from agent.wording import Claim, TokenGrant

#: Whom the tokens of AWS callers speak of unless the grant says otherwise.
SUBJECT: Final = "${AWS_PRINCIPAL}"

#: What is in each of their tokens: the claim, and what it says.
_CLAIMS: Final[tuple[tuple[str, Claim], ...]] = (("aws_account", "${AWS_ACCOUNT}"), ("aws_principal", SUBJECT))
_ORGANIZATION: Final[tuple[str, Claim]] = ("aws_organization", "${AWS_ORGANIZATION}")

_OURS: Final = frozenset(name for name, _ in (*_CLAIMS, _ORGANIZATION))

#: How the facts begin that are known of AWS callers alone.
_AWS: Final = "aws."


class Common(Protocol):
    """What all listeners need."""

    @property
    def clock(self) -> Clock:
        """By which proofs end, and answers are dated."""
        ...

    @property
    def stats(self) -> RequestStats:
        """Where requests are counted."""
        ...

    @property
    def report(self) -> Report:
        """Whom to tell of what."""
        ...

    def on_bug(self, name: str) -> Callable[[BaseException], None]:
        """Tells of an exception that nobody expected, in the listener of that name."""
        ...


@dataclass(frozen=True, slots=True)
class AwsDoor:
    """The listener for AWS callers.

    Attributes:
        open: what has to be open while it listens: the way to STS.
        listening: opens it; gives where.
        jobs: what runs beside it.
    """

    open: Callable[[], AbstractAsyncContextManager[None]]
    listening: Callable[[], AbstractAsyncContextManager[Address]]
    jobs: Sequence[Callable[[], Coroutine[Any, Any, None]]] = field(repr=False)


def aws_grants(granted: Iterable[TokenGrant]) -> list[TokenGrant]:
    """Those of the grants that are to callers inside AWS, each with the claims that say who that is.

    A grant counts twice: for those of whom the organization is known, and for all others.
    """
    found = []
    for grant in granted:
        if any(name.startswith(_AWS) for name, _ in grant.when):
            own = tuple((name, claim) for name, claim in grant.extent.claims if name not in _OURS)
            plain = replace(grant.extent, claims=(*own, *_CLAIMS))
            whole = replace(plain, claims=(*plain.claims, _ORGANIZATION))
            found += [replace(grant, when=grant.when | {TOLD}, extent=whole), replace(grant, extent=plain)]
    return found


def aws_door(
    settings: Settings,
    granted: Sequence[TokenGrant],
    vendor: TokenVendor,
    common: Common,
    *,
    credentials_directory: Path | None,
) -> AwsDoor:
    """Put it together; nothing is opened. `granted` is what `aws_grants` gives, and `vendor` gives by that alone.

    Raises ConfigurationError where the regions, or the endpoint of [sts], are none that can be asked.
    """
    words = settings.aws_callers
    assert words is not None  # it is asked for where there is a table
    sts = Sts(Way(words.server_id, settings.sts.ca_bundle, settings.sts.proxy), common.clock)
    keys = {issuer: _keys(words, issuer, common) for issuer in words.issuers}
    verifiers = {
        issuer: RuleVerifier(
            Rule(issuer, (words.server_id,), algorithms=ALGORITHMS, leeway=LEEWAY, longest=LONGEST_LIFE),
            published,
            common.clock,
        )
        for issuer, published in keys.items()
    }
    proofs = Proofs(
        sts, _origins(settings, words), WebIdentity(verifiers), [grant.when for grant in granted], clock=common.clock
    )
    exchange = Exchange(
        proofs=proofs,
        give=TokenOutput(vendor).give,
        sentences=lambda reason: SENTENCES.get(reason, SENTENCES["refused"]),
        clock=common.clock,
        stats=common.stats,
        on_bug=common.on_bug("aws_callers"),
        report=common.report,
    )
    files = Files(words.certificate, words.private_key, credentials_directory)

    @asynccontextmanager
    async def listening() -> AsyncIterator[Address]:
        shown = ShownCertificate(files, common.clock, common.report)
        async with serving_tokens(exchange, words.listen, shown) as address:
            yield address

    return AwsDoor(sts.open, listening, [one.keep_fresh for one in keys.values()])


def _keys(words: AwsCallers, issuer: str, common: Common) -> PublishedKeys:
    web = IssuerWeb(common.clock, ca_bundle=words.ca_bundle, proxy=words.proxy)
    return PublishedKeys(issuer, web, clock=common.clock, report=common.report)


def _origins(settings: Settings, words: AwsCallers) -> dict[str, frozenset[str]]:
    regions = words.regions or (settings.sts.region,)
    try:
        return dict(origins(regions, settings.sts.endpoint_url))
    except ValueError as error:
        raise ConfigurationError(
            "aws_callers.regions, or sts.endpoint_url, is nothing of which the STS endpoints are known",
            hint="name regions such as eu-central-1, and an endpoint without a path",
        ) from error
