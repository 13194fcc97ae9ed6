"""How are AWS KMS and S3 opened: the right endpoint, signed for as the configuration says, and nothing else?"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError
from botocore.handlers import (
    customize_endpoint_resolver_builtins,
    remove_bucket_from_url_paths_from_model,
)

from agent.clients.named import METADATA_URL, Held, OfRole, OfSource, Surroundings
from agent.clients.sealed import Sealed, check_ca_bundle, check_proxy, muffle, sealed_config
from agent.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SignedEndpoint:
    """Where a service is, how it is reached, and whose credentials sign for it.

    Attributes:
        region: the region whose endpoint is asked.
        credentials: "profile:NAME", "environment", "container" or "instance"; or what gives those of one of our
            roles whenever it is asked, such as `Session.current`.
        endpoint_url: another address instead of the region's own. For S3, buckets are then part of the path.
        ca_bundle: a PEM file of CAs to trust instead of the public ones.
        proxy: the URL of an HTTP proxy, without a password. Those of the environment are not used.
        connect_timeout: how long connecting may take.
        read_timeout: how long the service may be silent.
        metadata_url: where the instance metadata service is.
    """

    region: str
    credentials: str | Held = field(repr=False)
    endpoint_url: str | None = None
    ca_bundle: Path | None = None
    proxy: str | None = None
    connect_timeout: timedelta = timedelta(seconds=5)
    read_timeout: timedelta = timedelta(seconds=10)
    metadata_url: str = METADATA_URL


@asynccontextmanager
async def kms_client(endpoint: SignedEndpoint) -> AsyncIterator[Any]:
    """Open a client for KMS; connections are made, and credentials looked for, when they are needed.

    Yields an aiobotocore client: its methods are made at run time, so whoever uses it says which they are. Beside
    botocore's exceptions they raise ConfigurationError, CredentialsRefused and CredentialsUnavailable where there are
    no credentials to sign with, and whatever `endpoint.credentials` raises.
    Raises ConfigurationError if the region, the URL, the proxy or the CA bundle cannot be what they claim.
    """
    async with _client("kms", "key", endpoint, _config(endpoint)) as client:
        yield client


@asynccontextmanager
async def s3_client(endpoint: SignedEndpoint) -> AsyncIterator[Any]:
    """Open a client for S3, which stays in its region; all else is as for `kms_client`."""
    addressing = "path" if endpoint.endpoint_url else "auto"
    config = _config(endpoint).merge(
        AioConfig(
            signature_version="s3v4",  # what botocore's list of endpoints, which is not read, would say
            s3={"addressing_style": addressing, "payload_signing_enabled": True},
            # What is sent is covered by the signature; other stores that speak S3 do not know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
    )
    async with _client("s3", "publishing", endpoint, config) as client:
        yield client


@asynccontextmanager
async def _client(
    service: Literal["kms", "s3"], section: str, endpoint: SignedEndpoint, config: AioConfig
) -> AsyncIterator[Any]:
    check_ca_bundle(endpoint.ca_bundle, section)
    check_proxy(endpoint.proxy, section)
    async with AsyncExitStack() as stack:
        client = await _opened(service, section, endpoint, config, stack)
        muffle()  # now that the loggers of all that was loaded are there
        yield client


async def _opened(
    service: Literal["kms", "s3"], section: str, endpoint: SignedEndpoint, config: AioConfig, stack: AsyncExitStack
) -> Any:
    bundle = str(endpoint.ca_bundle) if endpoint.ca_bundle else None
    if isinstance(endpoint.credentials, str):
        around = Surroundings(endpoint.region, config, bundle, endpoint.metadata_url)
        credentials: OfSource | OfRole = OfSource(endpoint.credentials, around)
    else:
        credentials = OfRole(endpoint.credentials)
    try:
        opening = Signing(service, credentials).create_client(
            service,
            region_name=endpoint.region,
            endpoint_url=endpoint.endpoint_url,
            verify=bundle or True,
            config=config,
        )
        return await stack.enter_async_context(opening)
    except (BotoCoreError, ValueError) as error:
        problem = type(error).__name__
    # raised out here: botocore's words are for programmers
    raise ConfigurationError(
        f"no client for {service.upper()} can be made of [{section}] ({problem})",
        hint=f"correct {section}.region and {section}.endpoint_url",
    )


def _config(endpoint: SignedEndpoint) -> AioConfig:
    return sealed_config(
        proxy=endpoint.proxy, connect_timeout=endpoint.connect_timeout, read_timeout=endpoint.read_timeout
    )


class Signing(Sealed):
    """A session for one service, which signs with the credentials that it is given."""

    def __init__(self, service: str, credentials: OfSource | OfRole) -> None:
        """Take the credentials; the few handlers are those without which S3 cannot be spoken to."""
        super().__init__(service)
        self._given = credentials
        if service == "s3":
            self.register("before-parameter-build.s3", remove_bucket_from_url_paths_from_model)
            self.register("before-endpoint-resolution.s3", customize_endpoint_resolver_builtins)
            self.register("before-call.s3", _stay_here)

    async def get_credentials(self) -> Any:  # type: ignore[override]  # it is so in aiobotocore; the stubs leave it out
        """Those that were given."""
        return self._given


def _stay_here(params: dict[str, Any], **_: object) -> None:
    """Let botocore not follow a bucket to another region, which would hide that the configuration names a wrong one."""
    params.get("context", {}).setdefault("s3_redirect", {})["redirected"] = True
