from collections.abc import Callable
from pathlib import Path

import pytest

from agent.settings import Containers, Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]


def containers(read: Read, words: str) -> Containers:
    found = read(("", f"\n[containers]\n{words}\n")).containers
    assert found is not None
    return found


@pytest.mark.parametrize(("engine", "socket"), [("docker", "/run/docker.sock"), ("podman", "/run/podman/podman.sock")])
def test_an_engine_has_its_usual_socket(engine: str, socket: str, read: Read) -> None:
    found = containers(read, f'engine = "{engine}"')
    assert (found.engine, found.engine_socket, found.recognise) == (engine, Path(socket), "namespace")


def test_the_socket_may_be_another(read: Read) -> None:
    assert containers(read, 'engine = "podman"\nsocket = "/run/x.sock"').engine_socket == Path("/run/x.sock")


def test_containers_find_us_where_sdks_look(read: Read) -> None:
    addresses = [str(address) for address in containers(read, 'engine = "docker"').listen]
    assert addresses == ["169.254.170.2:80", "169.254.170.23:80", "[fd00:ec2::23]:80"]
    assert [str(one) for one in containers(read, 'engine = "docker"\nlisten = "169.254.170.2:80"').listen] == addresses[
        :1
    ]


def test_no_listener_of_ours_is_another_s(mistakes: Mistakes) -> None:
    told = mistakes(("", '\n[containers]\nengine = "docker"\nlisten = ["169.254.170.2:80", "127.0.0.1:9171"]\n'))
    assert told == ["containers.listen#2: is the address of listen.admin, too; give it another port"]
