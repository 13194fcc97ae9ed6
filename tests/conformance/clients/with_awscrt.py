"""What does the CRT do? It has no clients of services: its signer signs a request, and its HTTP client sends it."""

import os
import re
from io import BytesIO
from urllib.parse import urlsplit

from awscrt import auth, http, io

from tests.conformance.clients.spoken import speak

BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
PLACE = urlsplit(os.environ["AWS_ENDPOINT_URL"])


def made() -> auth.AwsCredentialsProvider:
    """The default chain, which caches what it has."""
    return auth.AwsCredentialsProvider.new_default_chain()


def asked(provider: auth.AwsCredentialsProvider) -> str:
    """Who we are."""
    request = http.HttpRequest("POST", "/")
    for name, value in (
        ("Host", PLACE.netloc),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Length", str(len(BODY))),
    ):
        request.headers.add(name, value)
    request.body_stream = io.InputStream(BytesIO(BODY))
    signed = auth.aws_sign_request(
        request,
        auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=provider,
            region=os.environ["AWS_REGION"],
            service="sts",
        ),
    ).result()
    return _sent(signed)


def _sent(request: http.HttpRequest) -> str:
    """The ARN in the answer. Raises ConnectionError for any other."""
    body = bytearray()
    statuses: list[int] = []
    connection = http.HttpClientConnection.new(host_name=PLACE.hostname, port=PLACE.port).result()
    stream = connection.request(
        request,
        on_response=lambda status_code, **_: statuses.append(status_code),
        on_body=lambda chunk, **_: body.extend(chunk),
    )
    stream.activate()
    stream.completion_future.result()
    connection.close()
    found = re.search(r"<Arn>(.*)</Arn>", body.decode())
    if statuses != [200] or found is None:
        raise ConnectionError(f"{statuses} {body.decode()}")
    return found[1]


speak(made, asked)
