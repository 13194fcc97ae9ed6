"""What does object_store do, the Rust library, as obstore brings it along?"""

import os
import sys

import obstore
from obstore.store import S3Store

from tests.conformance.clients.spoken import speak

BUCKET, KEY = sys.argv[1:]


def made() -> S3Store:
    """A store for one bucket, addressed by path."""
    return S3Store(
        BUCKET,
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        region=os.environ["AWS_REGION"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def asked(store: S3Store) -> str:
    """What the object holds."""
    return bytes(obstore.get(store, KEY).bytes()).decode()


speak(made, asked)
