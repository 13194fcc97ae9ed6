"""What does the C++ SDK do, as pyarrow brings it along?"""

import os
import sys
from urllib.parse import urlsplit

from pyarrow import fs

from tests.conformance.clients.spoken import speak

BUCKET, KEY = sys.argv[1:]


def made() -> fs.S3FileSystem:
    """A file system with the default chain; its endpoint is told, older releases read no AWS_ENDPOINT_URL."""
    place = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    return fs.S3FileSystem(endpoint_override=place.netloc, scheme=place.scheme, region=os.environ["AWS_REGION"])


def asked(system: fs.S3FileSystem) -> str:
    """What the object holds."""
    with system.open_input_stream(f"{BUCKET}/{KEY}") as stream:
        return str(stream.read().decode())


speak(made, asked)
