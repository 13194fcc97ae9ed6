"""How is AWS STS opened: the right endpoint, and nothing of what lies around?

botocore looks for its settings in the environment, in ~/.aws, in models that users add and in plugins. Whoever
runs this daemon may have all of these, for other purposes; here they are not even looked for, so they can neither
be used nor do harm.
"""

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, ConfigValueStore, ConstantProvider
from botocore.exceptions import BotoCoreError
from botocore.handlers import disable_signing
from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from agent import __version__
from agent.errors import ConfigurationError

#: The longest answer that is read, in bytes: STS's come to a few kB. What answers instead may go on for ever.
_LONGEST_ANSWER = 1 << 20


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
    _check_ca_bundle(endpoint.ca_bundle)
    _check_proxy(endpoint.proxy)
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


def muffle() -> None:
    """Keep the loggers of botocore from printing requests and answers, which they do at debug, whatever their level.

    Loggers come into being with their modules; this reaches those that exist when it is called.
    """
    for name in [*logging.root.manager.loggerDict]:
        if name.split(".")[0] in {"botocore", "aiobotocore"}:
            logging.getLogger(name).addFilter(_above_debug)


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _check_ca_bundle(path: Path | None) -> None:
    if path is None:
        return
    try:
        _tls().load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the CA bundle {path} cannot be used: {getattr(error, 'strerror', None) or 'it holds no certificates'}",
            hint="point sts.ca_bundle at a readable file of PEM certificates",
        ) from error


def _check_proxy(proxy: str | None) -> None:
    if proxy is None:
        return
    try:
        url = urlsplit(proxy)
        sound = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigurationError(
            "the URL of the proxy is none", hint="give sts.proxy a URL such as http://proxy.example.com:3128"
        )


def _config(endpoint: StsEndpoint) -> AioConfig:
    return AioConfig(
        signature_version=UNSIGNED,
        user_agent=f"rolecall/{__version__}",
        # not None: then the environment would be asked
        proxies={"http": endpoint.proxy, "https": endpoint.proxy} if endpoint.proxy else {},
        use_fips_endpoint=endpoint.fips,
        use_dualstack_endpoint=endpoint.dualstack,
        connect_timeout=endpoint.connect_timeout.total_seconds(),
        read_timeout=endpoint.read_timeout.total_seconds(),
        # The daemon has its own idea of when to try again; STS judges parameters itself, without quoting a token.
        retries={"mode": "standard", "total_max_attempts": 1},
        parameter_validation=False,
        max_pool_connections=64,  # the sessions see to it that there are not too many calls at once
        http_session_cls=OneHop,
    )


def _tls() -> ssl.SSLContext:
    """Make a context that verifies, and that does not write its keys to the file that SSLKEYLOGFILE names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # STS takes no less either
    return context


class OneHop(AIOHTTPSession):
    """An HTTP session that follows no redirect, since the token is in the body, and reads no answer without end."""

    def _get_ssl_context(self) -> ssl.SSLContext:
        return _tls()

    async def _get_session(self, proxy_url: str | None) -> "_Straight":
        return _Straight(await super()._get_session(proxy_url))  # type: ignore[misc]  # the stubs leave it out


class _Straight:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **about: Any) -> "_Short":
        return _Short(await self._session.request(method, **about, allow_redirects=False))


class _Short:
    """A response that is read only so far."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def read(self) -> bytes:
        """Read it all. Raises ClientError if it is longer than anything that STS says."""
        try:
            return await self._read()
        except BaseException:
            self._response.close()  # with the connection: there may be more on it
            raise

    async def _read(self) -> bytes:
        body = bytearray()
        async for piece in self._response.content.iter_any():
            body += piece
            if len(body) > _LONGEST_ANSWER:
                raise aiohttp.ClientError(f"more than {_LONGEST_ANSWER} bytes")
        return bytes(body)


class StsLoader(Loader):
    """botocore's own data, and of that STS's: neither ~/.aws/models nor AWS_DATA_PATH."""

    def __init__(self) -> None:
        """Look in botocore's own folder alone."""
        super().__init__(extra_search_paths=[self.BUILTIN_DATA_PATH], include_default_search_paths=False)

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's own signature
        """Name STS, without looking through the folders of 400 services, which takes as long as all the rest."""
        return ["sts"]


class SealedSession(AioSession):
    """A botocore session that knows nothing but botocore's own defaults and data."""

    def __init__(self) -> None:
        """Start without the built-in handlers, which serve other services or read the environment, but for one."""
        super().__init__(include_builtin_handlers=False)
        self.register("choose-signer.sts", disable_signing)
        self.register_component("config_store", ConfigValueStore(mapping=_defaults()))
        self.register_component("data_loader", StsLoader())

    @property
    def full_config(self) -> dict[str, Any]:
        """The contents of the configuration files: none."""
        return {"profiles": {}}

    def get_auth_token(self, **_: object) -> Any:
        """Bearer tokens of the environment and of caches: none."""
        return None

    def _register_endpoint_resolver(self) -> None:
        # Endpoints come from STS's own rule set. The old list of all endpoints of all services, 1.2 MB of JSON, is
        # still consulted first, for what the rule set then decides anew; so it may be empty.
        nowhere = EndpointResolver({"partitions": []}, uses_builtin_data=True)
        self._internal_components.register_component("endpoint_resolver", nowhere)  # type: ignore[attr-defined]  # private

    def _add_configured_endpoint_provider(self, client_name: str, config_store: ConfigValueStore) -> None:
        """Endpoint URLs of the environment and of configuration files: none."""

    def _register_client_plugins(self, client: AioBaseClient) -> None:
        """Plug-ins that the environment names: none."""


def _defaults() -> dict[str, ConstantProvider]:
    """Give every setting that botocore may ask for the value it has where nobody set anything."""
    settings = {name: row[2] for name, row in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()}
    settings |= dict.fromkeys(("s3", "proxies_config", "endpoint_url"))
    return {name: ConstantProvider(value) for name, value in settings.items()}
