import socket

import pytest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointProviderError,
    EndpointResolutionError,
    HTTPClientError,
    ProxyConnectionError,
)

from agent.credentials.sts.silence import silence
from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable


@pytest.mark.parametrize(
    ("problem", "kind", "what", "hint"),
    [
        (ConnectTimeoutError(endpoint_url="x"), CredentialsUnavailable, "in time", "firewall"),
        (TimeoutError(), CredentialsUnavailable, "in time", "firewall"),
        (HTTPClientError(error=socket.gaierror(-3, "Try again")), CredentialsUnavailable, "Try again", "resolution"),
        (HTTPClientError(error=PermissionError(13, "Permission denied")), CredentialsUnavailable, "Perm", "network"),
        (ProxyConnectionError(proxy_url="http://u:canary@p"), CredentialsUnavailable, "proxy", "sts.proxy"),
        (EndpointProviderError(msg="canary"), CredentialsRefused, "no STS endpoint", "sts.fips"),
        (EndpointResolutionError(msg="canary"), CredentialsRefused, "no STS endpoint", "sts.region"),
        (RuntimeError("canary"), CredentialsUnavailable, "(RuntimeError)", "sts.endpoint_url"),
    ],
)
def test_silence_is_explained_in_the_systems_words_alone(
    problem: Exception, kind: type[AgentError], what: str, hint: str
) -> None:
    error = silence(problem)
    assert type(error) is kind
    assert what in error.what
    assert hint in error.hint
    assert "canary" not in error.what + error.hint


def test_an_error_that_is_its_own_cause_is_explained_too() -> None:
    problem = HTTPClientError(error="x")
    problem.kwargs["error"] = problem
    assert silence(problem).retryable
