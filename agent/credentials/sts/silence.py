"""Why was there no answer of STS, and what can be done about it?"""

import socket
import ssl
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointProviderError,
    EndpointResolutionError,
    ProxyConnectionError,
    ReadTimeoutError,
)

from agent.causes import causes
from agent.errors import CredentialsRefused, CredentialsUnavailable


@dataclass(frozen=True, slots=True)
class Silence:
    """Why there was no answer: the exceptions it shows in, how to put it (`{said}` by the system), what to do."""

    errors: tuple[type[BaseException], ...]
    what: str
    hint: str


#: In this order: what comes later is more general.
SILENCES: Final = (
    Silence(
        (ssl.SSLCertVerificationError,),
        "STS's certificate is not trusted: {said}",
        "if a private CA or an inspecting proxy signs it, name that CA's certificate in sts.ca_bundle",
    ),
    Silence(
        (ProxyConnectionError,),
        "the proxy before STS did not let us through ({said})",
        "correct sts.proxy, or the proxy",
    ),
    Silence((ssl.SSLError,), "TLS with STS failed: {said}", "correct sts.endpoint_url, sts.proxy and sts.ca_bundle"),
    Silence(
        (socket.gaierror,),
        "STS's name does not resolve: {said}",
        "check name resolution, sts.region and sts.endpoint_url",
    ),
    Silence(
        (ConnectTimeoutError, ReadTimeoutError, TimeoutError),
        "STS did not answer in time",
        "check the way to STS: firewall, sts.proxy and sts.endpoint_url",
    ),
    Silence((OSError,), "STS cannot be reached: {said}", "check the network, sts.proxy and sts.endpoint_url"),
    Silence(
        (ConnectionClosedError,),
        "STS broke off before its answer was complete",
        "this should pass; if it does not, see to what stands between here and STS",
    ),
)


def silence(error: Exception) -> CredentialsRefused | CredentialsUnavailable:
    """Make our error of whatever kept STS's answer from us, quoting nothing of it but what the system said."""
    if isinstance(error, EndpointProviderError | EndpointResolutionError):
        return CredentialsRefused(
            "there is no STS endpoint for what is configured",
            hint="correct sts.region, and whether the region has sts.fips and sts.dualstack endpoints",
        )
    chain = list(causes(error))
    for kind in SILENCES:
        fitting = [cause for cause in chain if isinstance(cause, kind.errors)]
        if fitting:
            return CredentialsUnavailable(kind.what.format(said=_said(fitting[-1])), hint=kind.hint)
    return CredentialsUnavailable(
        f"what came is no answer that STS would give ({type(error).__name__})",
        hint="see that sts.endpoint_url, if set, is really STS, and that no proxy or sign-in page answers instead",
    )


def _said(error: BaseException) -> str:
    """Give the system's own words for an error; libraries' words may quote what must not be quoted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(getattr(error, "verify_message", "")) or "it does not verify"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
