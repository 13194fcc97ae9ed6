"""How is AWS STS opened: the right endpoint, and nothing of what lies around?"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError
from botocore.handlers import disable_signing

from agent.clients.sealed import Sealed, check_ca_bundle, check_proxy, muffle, sealed_config
from agent.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class StsEndpoint:
    """Where STS is, and how it is reached.

    Attributes:
        region: the region whose STS is asked.
        endpoint_url: another address instead of the region's own.
        fips: whether to use the FIPS 140 endpoint.
        dualstack: whether to use the endpoint that has IPv6.
        ca_bundle: a PEM file of CAs to trust instead of the public ones.
        proxy: the URL of an HTTP proxy, without a password. Those of the environment are not used.
        connect_timeout: how long connecting may take.
        read_timeout: how long STS may be silent.
    """

    region: str
    endpoint_url: str | None = None
    fips: bool = False
    dualstack: bool = False
    ca_bundle: Path | None = None
    proxy: str | None = None
    connect_timeout: timedelta = timedelta(seconds=5)
    read_timeout: timedelta = timedelta(seconds=10)


@asynccontextmanager
async def sts_client(endpoint: StsEndpoint) -> AsyncIterator[Any]:
    """Open the one client that all roles share; connections are made when they are needed.

    Yields an aiobotocore client: its methods are made at run time, so whoever uses it says which they are.
    Raises ConfigurationError if the region, the URL, the proxy or the CA bundle cannot be what they claim.
    """
    check_ca_bundle(endpoint.ca_bundle, "sts")
    check_proxy(endpoint.proxy, "sts")
    muffle()
    async with AsyncExitStack() as stack:
        yield await _opened(endpoint, stack)


async def _opened(endpoint: StsEndpoint, stack: AsyncExitStack) -> Any:
    try:
        opening = SealedSession().create_client(
            "sts",
            region_name=endpoint.region,
            endpoint_url=endpoint.endpoint_url,
            verify=str(endpoint.ca_bundle) if endpoint.ca_bundle else True,
            config=_config(endpoint),
        )
        return await stack.enter_async_context(opening)
    except (BotoCoreError, ValueError) as error:
        problem = type(error).__name__
    # raised out here: botocore's words are for programmers
    raise ConfigurationError(
        f"no client for STS can be made of [sts] ({problem})",
        hint="correct sts.region, sts.endpoint_url and sts.proxy",
    )


def _config(endpoint: StsEndpoint) -> AioConfig:
    return sealed_config(
        proxy=endpoint.proxy,
        connect_timeout=endpoint.connect_timeout,
        read_timeout=endpoint.read_timeout,
        signature_version=UNSIGNED,
        use_fips_endpoint=endpoint.fips,
        use_dualstack_endpoint=endpoint.dualstack,
        max_pool_connections=64,  # the sessions see to it that there are not too many calls at once
    )


class SealedSession(Sealed):
    """A botocore session for STS alone, which signs nothing."""

    def __init__(self) -> None:
        """Know STS, and take nobody's credentials for it."""
        super().__init__("sts")
        self.register("choose-signer.sts", disable_signing)
