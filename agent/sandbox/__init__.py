"""What would AWS say?

A stand-in for AWS, as strict as AWS: STS that truly verifies tokens, and enough of S3 to see a role at work.
"""

from agent.sandbox.cloud import Call
from agent.sandbox.faults import Fault, Faults
from agent.sandbox.practice import PracticeIssuer, practice_world, use_of_bucket
from agent.sandbox.server import Sandbox
from agent.sandbox.thread import in_thread
from agent.sandbox.world import Provider, Role, Site, World
from agent.sandbox.world_json import world_as_json, world_from_json

__all__ = [
    "Call",
    "Fault",
    "Faults",
    "PracticeIssuer",
    "Provider",
    "Role",
    "Sandbox",
    "Site",
    "World",
    "in_thread",
    "practice_world",
    "use_of_bucket",
    "world_as_json",
    "world_from_json",
]
