"""Where are the issuer's documents put?"""

from agent.publishing import Publisher
from agent.publishing.directory import DirectoryPublisher
from agent.settings.publishing import Directory, Publishing


def publisher(settings: Publishing) -> Publisher:
    """The publisher that the configuration names."""
    match settings:
        case Directory():
            return DirectoryPublisher(settings.directory)
