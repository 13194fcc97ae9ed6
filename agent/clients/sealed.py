"""How is a client of an AWS service kept from all that lies around?

botocore looks for its settings in the environment, in ~/.aws, in models that users add and in plugins. Whoever
runs this daemon may have all of these, for other purposes; here they are not even looked for, so they can neither
be used nor do harm.
"""

import logging
import ssl
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, ConfigValueStore, ConstantProvider
from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from agent import __version__
from agent.errors import ConfigurationError

#: How AWS's logs name us.
USER_AGENT: Final = f"rolecall/{__version__}"

#: The longest answer that is read, in bytes: STS's and KMS's come to a few kB. What answers instead may go on for ever.
_LONGEST_ANSWER = 1 << 20


class OwnData(Loader):
    """botocore's own data, and of that what the services named need: neither ~/.aws/models nor AWS_DATA_PATH."""

    def __init__(self, services: Iterable[str]) -> None:
        """Look in botocore's own folder alone."""
        super().__init__(extra_search_paths=[self.BUILTIN_DATA_PATH], include_default_search_paths=False)
        self._services = [*services]

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's own signature
        """Name them, without looking through the folders of 400 services, which takes as long as all the rest."""
        return self._services


class Sealed(AioSession):
    """A botocore session that knows nothing but botocore's own defaults and data, for the services that it names."""

    def __init__(self, *services: str) -> None:
        """Start without the built-in handlers, which serve other services or read the environment."""
        super().__init__(include_builtin_handlers=False)
        self.register_component("config_store", ConfigValueStore(mapping=defaults()))
        self.register_component("data_loader", OwnData(services))

    @property
    def full_config(self) -> dict[str, Any]:
        """The contents of the configuration files: none."""
        return {"profiles": {}}

    def get_auth_token(self, **_: object) -> Any:
        """Bearer tokens of the environment and of caches: none."""
        return None

    def _register_endpoint_resolver(self) -> None:
        # Endpoints come from each service's own rule set. The old list of all endpoints of all services, 1.2 MB of
        # JSON, is still consulted first, for what the rule set then decides anew; so it may be empty.
        nowhere = EndpointResolver({"partitions": []}, uses_builtin_data=True)
        self._internal_components.register_component("endpoint_resolver", nowhere)  # type: ignore[attr-defined]  # private

    def _add_configured_endpoint_provider(self, client_name: str, config_store: ConfigValueStore) -> None:
        """Endpoint URLs of the environment and of configuration files: none."""

    def _register_client_plugins(self, client: AioBaseClient) -> None:
        """Plug-ins that the environment names: none."""


def defaults() -> dict[str, ConstantProvider]:
    """Give every setting that botocore may ask for the value it has where nobody set anything."""
    settings = {name: row[2] for name, row in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()}
    settings |= dict.fromkeys(("s3", "proxies_config", "endpoint_url"))
    return {name: ConstantProvider(value) for name, value in settings.items()}


def _tls() -> ssl.SSLContext:
    """Make a context that verifies, and that does not write its keys to the file that SSLKEYLOGFILE names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # AWS takes no less either
    return context


class OneHop(AIOHTTPSession):
    """An HTTP session that follows no redirect, since what it sends is for one reader, and reads no endless answer."""

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
        """Read it all. Raises ClientError if it is longer than anything that is said to us."""
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


def sealed_config(*, proxy: str | None, connect_timeout: timedelta, read_timeout: timedelta, **about: Any) -> AioConfig:
    """How a client of ours behaves: it says who it is, asks once, and takes no proxy but that which is given to it.

    `about` is what else one service wants, in the words of AioConfig.
    """
    return AioConfig(
        user_agent=USER_AGENT,
        # not None: then the environment would be asked
        proxies={"http": proxy, "https": proxy} if proxy else {},
        connect_timeout=connect_timeout.total_seconds(),
        read_timeout=read_timeout.total_seconds(),
        # Whoever calls has an idea of its own of when to try again; the services judge parameters themselves, without
        # quoting them.
        retries={"mode": "standard", "total_max_attempts": 1},
        parameter_validation=False,
        http_session_cls=OneHop,
        **about,
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


def check_ca_bundle(path: Path | None, section: str) -> None:
    """See that a file of CAs is one; `section` is where the configuration names it. Raises ConfigurationError."""
    if path is None:
        return
    try:
        _tls().load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the CA bundle {path} cannot be used: {getattr(error, 'strerror', None) or 'it holds no certificates'}",
            hint=f"point {section}.ca_bundle at a readable file of PEM certificates",
        ) from error


def check_proxy(proxy: str | None, section: str) -> None:
    """See that the URL of a proxy is one; `section` is where the configuration names it. Raises ConfigurationError."""
    if proxy is None:
        return
    try:
        url = urlsplit(proxy)
        sound = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigurationError(
            "the URL of the proxy is none", hint=f"give {section}.proxy a URL such as http://proxy.example.com:3128"
        )
