import socket
import ssl
from collections.abc import Iterator

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    EndpointProviderError,
    ProxyConnectionError,
    ReadTimeoutError,
)

from agent.silence import Silence, silence_of


def told(error: Exception) -> Silence:
    return silence_of(error, service="Cognito", section="identity")


def verification() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "canary")
    error.verify_message = "self-signed certificate"
    return error


def cases() -> Iterator[tuple[Exception, str, str]]:
    url = "http://canary.example.com"
    yield verification(), "is not trusted: self-signed certificate", "identity.ca_bundle"
    yield ProxyConnectionError(proxy_url="http://canary"), "proxy before Cognito", "identity.proxy"
    yield ssl.SSLError(1, "canary"), "TLS with Cognito failed", "identity.ca_bundle"
    yield socket.gaierror(-2, "Name or service not known"), "does not resolve: Name or service", "identity.region"
    yield ConnectTimeoutError(endpoint_url=url), "did not answer in time", "firewall"
    yield ReadTimeoutError(endpoint_url=url), "did not answer in time", "firewall"
    yield TimeoutError(), "did not answer in time", "firewall"
    refused = ConnectionRefusedError(111, "Connection refused")
    yield EndpointConnectionError(endpoint_url=url, error=refused), "cannot be reached: Connection refused", "network"
    yield ConnectionClosedError(endpoint_url=url), "broke off", "should pass"
    yield ValueError("canary"), "no answer that Cognito would give", "identity.endpoint_url"


@pytest.mark.parametrize(("error", "what", "hint"), [*cases()], ids=lambda one: type(one).__name__)
def test_each_silence_has_its_reason_and_what_to_do_and_quotes_nothing(error: Exception, what: str, hint: str) -> None:
    found = told(error)

    assert what in found.what
    assert hint in found.hint
    assert not found.final
    assert "canary" not in found.what + found.hint


def test_what_has_no_address_stays_so() -> None:
    assert told(EndpointProviderError(msg="canary")).final


def test_the_reason_is_found_behind_other_errors() -> None:
    outer = ValueError("canary")
    outer.__cause__ = socket.gaierror(-2, "Name or service not known")
    assert "does not resolve" in told(outer).what
