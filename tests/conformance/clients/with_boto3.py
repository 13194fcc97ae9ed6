"""What does boto3 do?"""

from typing import Any

import boto3

from tests.conformance.clients.spoken import speak


def made() -> Any:
    """A client of a session of its own: the default session would keep its credentials for good."""
    return boto3.Session().client("sts")


speak(made, lambda sts: str(sts.get_caller_identity()["Arn"]))
