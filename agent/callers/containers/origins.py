"""Where does a connection come from, if it may come out of a container?"""

from agent.callers import End, Origin, Recogniser


class ContainerOrigins:
    """A Recogniser for listeners that containers reach.

    Who uses this machine's own network, as containers with the host's do, is recognised as everywhere. Of others the
    kernel knows nothing out here, so their origin has the ends of the connection, for `Containers` to ask about.
    """

    def __init__(self, host: Recogniser) -> None:
        """`host` recognises those who use this machine's own network."""
        self._host = host

    def recognise(self, client: End, server: End) -> Origin:
        """An origin of its own for each connection of which `host` knows nothing."""
        origin = self._host.recognise(client, server)
        return origin if origin.facts else Origin(origin.address, origin.local, ends=(client, server))
