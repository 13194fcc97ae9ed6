"""How is IAM Identity Center asked: sso-oidc and the access portal, and nothing of what lies around?

botocore's exceptions end here and are not chained to ours: they quote whole answers, with tokens and credentials.
"""

import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

from botocore import UNSIGNED
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointProviderError,
    EndpointResolutionError,
    ProxyConnectionError,
    ReadTimeoutError,
)
from botocore.handlers import disable_signing

from agent.causes import causes
from agent.clients.sealed import Sealed, check_ca_bundle, check_proxy, muffle, sealed_config
from agent.errors import AgentError, ConfigurationError, CredentialsRefused, CredentialsUnavailable
from agent.sign_in import SUCCESS, Answer

#: Which of the two services does what.
_OIDC: Final = frozenset({"register_client", "start_device_authorization", "create_token"})
_PORTAL: Final = frozenset({"list_accounts", "list_account_roles", "get_role_credentials", "logout"})

#: A Date before or after these is not the time.
_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

_MESSAGE_LENGTH: Final = 300
_CODE: Final = re.compile(r"[A-Za-z0-9.:_]{1,64}")
#: Nothing that anybody says in words is so long.
_TOKEN_LIKE: Final = re.compile(r"[\w+/=.:-]{41,}", re.ASCII)
_SECTION: Final = "identity_center"


@dataclass(frozen=True, slots=True)
class CenterEndpoint:
    """Where Identity Center is, and how it is reached.

    Attributes:
        region: whose sso-oidc and portal are asked.
        endpoint_url: one address for both, instead of the region's own.
        ca_bundle: a PEM file of CAs to trust instead of the public ones.
        proxy: the URL of an HTTP proxy, without a password. Those of the environment are not used.
    """

    region: str
    endpoint_url: str | None = None
    ca_bundle: Path | None = None
    proxy: str | None = None
    connect_timeout: timedelta = timedelta(seconds=5)
    read_timeout: timedelta = timedelta(seconds=10)


class IdentityCenterClient:
    """Both services, through aiobotocore clients that neither sign nor retry."""

    def __init__(self, oidc: Any, portal: Any) -> None:
        """Ask through these, whose opening and closing is somebody else's."""
        self._oidc = oidc
        self._portal = portal

    @property
    def issuer(self) -> str:
        """The address of sso-oidc."""
        return str(self._oidc.meta.endpoint_url).rstrip("/")

    async def ask(self, operation: str, **parameters: object) -> Answer:
        """Send one request, and read its answer. Raises CredentialsUnavailable and CredentialsRefused."""
        assert operation in _OIDC | _PORTAL
        client = self._oidc if operation in _OIDC else self._portal
        problem: AgentError
        try:
            return _success(await getattr(client, operation)(**parameters))
        except ClientError as error:
            return _error(error.response)
        except Exception as error:  # noqa: BLE001 - the edge of a library whose parsers raise whatever they stumble on
            problem = silence(error)
        raise problem  # out here, where no exception that quotes an answer is its context


@asynccontextmanager
async def identity_center_client(endpoint: CenterEndpoint) -> AsyncIterator[IdentityCenterClient]:
    """Open both; connections are made when they are needed.

    Raises ConfigurationError if the region, the URL, the proxy or the CA bundle cannot be what they claim.
    """
    check_ca_bundle(endpoint.ca_bundle, _SECTION)
    check_proxy(endpoint.proxy, _SECTION)
    muffle()
    async with AsyncExitStack() as stack:
        yield await _opened(endpoint, stack)


async def _opened(endpoint: CenterEndpoint, stack: AsyncExitStack) -> IdentityCenterClient:
    session = _Session()
    config = sealed_config(
        proxy=endpoint.proxy,
        connect_timeout=endpoint.connect_timeout,
        read_timeout=endpoint.read_timeout,
        signature_version=UNSIGNED,
    )
    try:
        clients = [
            await stack.enter_async_context(
                session.create_client(
                    service,
                    region_name=endpoint.region,
                    endpoint_url=endpoint.endpoint_url,
                    verify=str(endpoint.ca_bundle) if endpoint.ca_bundle else True,
                    config=config,
                )
            )
            for service in _Session.SERVICES
        ]
        return IdentityCenterClient(*clients)
    except (BotoCoreError, ValueError) as error:
        problem = type(error).__name__
    # raised out here: botocore's words are for programmers
    raise ConfigurationError(
        f"no client for IAM Identity Center can be made of [{_SECTION}] ({problem})",
        hint=f"correct {_SECTION}.region, {_SECTION}.endpoint_url and {_SECTION}.proxy",
    )


class _Session(Sealed):
    """A botocore session for the two, which signs nothing."""

    SERVICES: Final = ("sso-oidc", "sso")

    def __init__(self) -> None:
        super().__init__(*self.SERVICES)
        for service in self.SERVICES:
            self.register(f"choose-signer.{service}", disable_signing)


def _success(response: Mapping[str, Any]) -> Answer:
    members = {name: value for name, value in response.items() if name != "ResponseMetadata"}
    return Answer(SUCCESS, told=_told(response), members=members)


def _error(response: Mapping[str, Any]) -> Answer:
    about, error = response.get("ResponseMetadata", {}), response.get("Error", {})
    code = str(error.get("Code") or about.get("HTTPStatusCode"))
    said = str(response.get("error_description") or error.get("Message") or "")
    return Answer(
        code if _CODE.fullmatch(code) else "Unreadable",
        message=_cleared(said),
        status=about.get("HTTPStatusCode", 0),
        told=_told(response) if "x-amzn-requestid" in about.get("HTTPHeaders", {}) else None,
    )


def _told(response: Mapping[str, Any]) -> datetime | None:
    try:
        told = parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if told.tzinfo is None or not _EARLIEST < told < _LATEST:
        return None
    return told.astimezone(UTC)


def _cleared(message: str) -> str:
    readable = "".join(character if character.isprintable() else " " for character in message)
    return " ".join(_TOKEN_LIKE.sub("…", readable).split())[:_MESSAGE_LENGTH]


#: Why there was no answer: the exceptions it shows in, how to put it, what to do. What comes later is more general.
_SILENCES: Final[tuple[tuple[tuple[type[BaseException], ...], str, str], ...]] = (
    (
        (ssl.SSLCertVerificationError,),
        "IAM Identity Center's certificate is not trusted: {said}",
        "if a private CA or an inspecting proxy signs it, name that CA's certificate in identity_center.ca_bundle",
    ),
    (
        (ProxyConnectionError,),
        "the proxy before IAM Identity Center did not let us through",
        "correct identity_center.proxy, or the proxy",
    ),
    (
        (socket.gaierror,),
        "IAM Identity Center's name does not resolve: {said}",
        "check name resolution, identity_center.region and identity_center.endpoint_url",
    ),
    (
        (ConnectTimeoutError, ReadTimeoutError, TimeoutError),
        "IAM Identity Center did not answer in time",
        "check the way to it: firewall, identity_center.proxy and identity_center.endpoint_url",
    ),
    (
        (OSError,),
        "IAM Identity Center cannot be reached: {said}",
        "check the network, identity_center.proxy and identity_center.endpoint_url",
    ),
)


def silence(error: Exception) -> CredentialsRefused | CredentialsUnavailable:
    """Make our error of whatever kept the answer from us, quoting nothing of it but what the system said."""
    if isinstance(error, EndpointProviderError | EndpointResolutionError):
        return CredentialsRefused(
            "there is no IAM Identity Center endpoint for what is configured", hint="correct identity_center.region"
        )
    chain = list(causes(error))
    for kinds, what, hint in _SILENCES:
        fitting = [cause for cause in chain if isinstance(cause, kinds)]
        if fitting:
            return CredentialsUnavailable(what.format(said=_said(fitting[-1])), hint=hint)
    return CredentialsUnavailable(
        f"what came is no answer that IAM Identity Center would give ({type(error).__name__})",
        hint="see that identity_center.endpoint_url, if set, is really it, and that nothing answers in its place",
    )


def _said(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(getattr(error, "verify_message", "")) or "it does not verify"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
