"""What does S3 answer?"""

from agent.sandbox.cloud import Cloud
from agent.sandbox.documents import as_xml
from agent.sandbox.wire import Reply, Wire


class S3:
    """One bucket."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def answer(self, wire: Wire, request_id: str) -> Reply:
        """Answer."""
        members = {"Code": "AccessDenied", "Message": "Access Denied", "RequestId": request_id}
        return Reply(403, as_xml("Error", members), "application/xml")
