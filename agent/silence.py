"""Why was there no answer of an AWS service, and what can be done about it?

For services that are asked through botocore. Whoever asks makes an error of its own of it.
"""

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


@dataclass(frozen=True, slots=True)
class Silence:
    """Why there was no answer: one sentence, what to do, and whether it stays so until somebody does it."""

    what: str
    hint: str
    final: bool = False


#: In this order, what comes later being more general: exceptions, how to put it, what to do. `{said}` is the system's.
_KINDS: Final[tuple[tuple[tuple[type[BaseException], ...], str, str], ...]] = (
    (
        (ssl.SSLCertVerificationError,),
        "{service}'s certificate is not trusted: {said}",
        "if a private CA or an inspecting proxy signs it, name that CA's certificate in {section}.ca_bundle",
    ),
    (
        (ProxyConnectionError,),
        "the proxy before {service} did not let us through ({said})",
        "correct {section}.proxy, or the proxy",
    ),
    (
        (ssl.SSLError,),
        "TLS with {service} failed: {said}",
        "correct {section}.endpoint_url, {section}.proxy and {section}.ca_bundle",
    ),
    (
        (socket.gaierror,),
        "{service}'s name does not resolve: {said}",
        "check name resolution, {section}.region and {section}.endpoint_url",
    ),
    (
        (ConnectTimeoutError, ReadTimeoutError, TimeoutError),
        "{service} did not answer in time",
        "check the way to {service}: firewall, {section}.proxy and {section}.endpoint_url",
    ),
    (
        (OSError,),
        "{service} cannot be reached: {said}",
        "check the network, {section}.proxy and {section}.endpoint_url",
    ),
    (
        (ConnectionClosedError,),
        "{service} broke off before its answer was complete",
        "this should pass; if it does not, see to what stands between here and {service}",
    ),
)


def silence_of(error: Exception, *, service: str, section: str) -> Silence:
    """What kept the answer of `service` from us, quoting nothing of it but what the system said.

    `section` is where the service is configured, for hints.
    """
    if isinstance(error, EndpointProviderError | EndpointResolutionError):
        return Silence(
            f"there is no {service} endpoint for what is configured", f"correct {section}.region", final=True
        )
    chain = list(causes(error))
    for errors, what, hint in _KINDS:
        fitting = [cause for cause in chain if isinstance(cause, errors)]
        if fitting:
            about = {"service": service, "section": section, "said": _said(fitting[-1])}
            return Silence(what.format(**about), hint.format(**about))
    return Silence(
        f"what came is no answer that {service} would give ({type(error).__name__})",
        f"see that {section}.endpoint_url, if set, is really {service}, and that no proxy or sign-in page answers "
        "instead",
    )


def _said(error: BaseException) -> str:
    """Give the system's own words for an error; libraries' words may quote what must not be quoted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(getattr(error, "verify_message", "")) or "it does not verify"
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "reason", "")) or "SSLError"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
