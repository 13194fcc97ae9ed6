"""An origin has the ends of its connection where nothing is known of it out here."""

from agent.callers import End, Origin
from agent.callers.containers.origins import ContainerOrigins

CLIENT, SERVER = ("10.88.0.5", 40000), ("169.254.170.2", 80)


class Knows:
    """A recogniser of those with an odd port."""

    def recognise(self, client: End, server: End) -> Origin:
        facts = frozenset({("unix.uid", "0")}) if client[1] % 2 else frozenset[tuple[str, str]]()
        return Origin(client[0], server[0], facts)


def test_who_is_unknown_out_here_can_be_asked_for_by_the_ends() -> None:
    origin = ContainerOrigins(Knows()).recognise(CLIENT, SERVER)
    assert (origin.address, origin.local, origin.ends) == ("10.88.0.5", "169.254.170.2", (CLIENT, SERVER))
    assert origin.facts == frozenset()


def test_each_connection_has_an_origin_of_its_own() -> None:
    origins = ContainerOrigins(Knows())
    assert origins.recognise(CLIENT, SERVER) is not origins.recognise(CLIENT, SERVER)


def test_who_is_known_out_here_is_no_container_by_its_ends() -> None:
    origin = ContainerOrigins(Knows()).recognise(("169.254.170.2", 40001), SERVER)
    assert origin.ends is None
    assert origin.facts == {("unix.uid", "0")}
