"""What does the AWS CLI do? It lives for one command, so each line of the conversation runs it anew."""

import json
import os
import subprocess
import sys

from tests.conformance.clients.spoken import speak


def asked(command: list[str]) -> str:
    """Who we are. Raises RuntimeError with the last line that it wrote to stderr."""
    where = ["--endpoint-url", os.environ["AWS_ENDPOINT_URL"]]  # releases before 2.13 read no AWS_ENDPOINT_URL
    words = [*command, "sts", "get-caller-identity", "--output", "json", *where]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}")
    return str(json.loads(done.stdout)["Arn"])


speak(lambda: sys.argv[1:], asked)
