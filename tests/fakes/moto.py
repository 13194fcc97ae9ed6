"""Moto's server, which plays KMS, S3 and other services of AWS on a port of this machine.

It takes any credentials. Where it is wrong, tests use a fake of their own: its MessageType=DIGEST hashes what is hashed
already, its GetPublicKey gives the id of a key instead of the ARN, and it hands out the public half of symmetric keys.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from agent.clients.signed import SignedEndpoint
from agent.credentials import Credentials
from agent.secret import Secret
from tests.fakes.clock import START

REGION = "eu-central-1"
ACCOUNT = "123456789012"


@contextmanager
def moto() -> Iterator[str]:
    """Serve until the end of the context; the URL.

    What one server of this process is told, all know, so one at a time is enough. Each begins with nothing.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # or it writes a line for each request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto_api_backend.reset()
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


async def held() -> Credentials:
    """Credentials as a role of ours would have them; moto takes any."""
    return Credentials(
        "ASIAEXAMPLEEXAMPLE12",
        Secret("canary-secret-key"),
        Secret("canary-session-token"),
        START,
        START,
        f"arn:aws:iam::{ACCOUNT}:role/publisher",
        ACCOUNT,
    )


def endpoint(url: str) -> SignedEndpoint:
    """Where a moto server is."""
    return SignedEndpoint(REGION, held, endpoint_url=url)
