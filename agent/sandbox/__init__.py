"""What would AWS say?

A stand-in for AWS, as strict as AWS: STS that truly verifies tokens, and enough of S3 to see a role at work.
"""

from agent.sandbox.cloud import Call
from agent.sandbox.faults import Fault, Faults
from agent.sandbox.server import Sandbox
from agent.sandbox.world import Provider, Role, Site, World

__all__ = ["Call", "Fault", "Faults", "Provider", "Role", "Sandbox", "Site", "World"]
