"""How is Amazon Cognito opened: user pools and identity pools, which sign nothing, and nothing of what lies around?"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError
from botocore.handlers import disable_signing

from agent.clients.sealed import Sealed, check_ca_bundle, check_proxy, muffle, sealed_config
from agent.errors import ConfigurationError

#: User pools, where users sign in, and identity pools, where tokens become credentials.
Service = Literal["cognito-idp", "cognito-identity"]


@dataclass(frozen=True, slots=True)
class CognitoEndpoint:
    """Where Cognito is, and how it is reached.

    Attributes:
        region: the region of the pools.
        endpoint_url: another address instead of the region's own.
        ca_bundle: a PEM file of CAs to trust instead of the public ones.
        proxy: the URL of an HTTP proxy, without a password. Those of the environment are not used.
        section: where the configuration says all that, for hints.
        connect_timeout: how long connecting may take.
        read_timeout: how long Cognito may be silent.
    """

    region: str
    endpoint_url: str | None = None
    ca_bundle: Path | None = None
    proxy: str | None = None
    section: str = "identity"
    connect_timeout: timedelta = timedelta(seconds=5)
    read_timeout: timedelta = timedelta(seconds=10)


@asynccontextmanager
async def cognito_client(service: Service, endpoint: CognitoEndpoint) -> AsyncIterator[Any]:
    """Open a client for one of the two services; connections are made when they are needed.

    Yields an aiobotocore client: its methods are made at run time, so whoever uses it says which they are.
    Raises ConfigurationError if the region, the URL, the proxy or the CA bundle cannot be what they claim.
    """
    check_ca_bundle(endpoint.ca_bundle, endpoint.section)
    check_proxy(endpoint.proxy, endpoint.section)
    muffle()
    async with AsyncExitStack() as stack:
        client = await _opened(service, endpoint, stack)
        muffle()  # now that the loggers of all that was loaded are there
        yield client


async def _opened(service: Service, endpoint: CognitoEndpoint, stack: AsyncExitStack) -> Any:
    try:
        opening = _Unsigned(service).create_client(
            service,
            region_name=endpoint.region,
            endpoint_url=endpoint.endpoint_url,
            verify=str(endpoint.ca_bundle) if endpoint.ca_bundle else True,
            config=sealed_config(
                proxy=endpoint.proxy,
                connect_timeout=endpoint.connect_timeout,
                read_timeout=endpoint.read_timeout,
                signature_version=UNSIGNED,
            ),
        )
        return await stack.enter_async_context(opening)
    except (BotoCoreError, ValueError) as error:
        problem = type(error).__name__
    # raised out here: botocore's words are for programmers
    raise ConfigurationError(
        f"no client for Cognito can be made of [{endpoint.section}] ({problem})",
        hint=f"correct {endpoint.section}.region and {endpoint.section}.endpoint_url",
    )


class _Unsigned(Sealed):
    """A botocore session for one service, which signs nothing."""

    def __init__(self, service: Service) -> None:
        """Know the service, and take nobody's credentials for it."""
        super().__init__(service)
        self.register(f"choose-signer.{service}", disable_signing)
