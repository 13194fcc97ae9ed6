"""What is read of an engine's answers."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agent.callers.containers.shapes import Listed, Running, Unintelligible, listed, running
from tests.fakes.engine import Contained, an_id

A = an_id("a")

#: As Docker 20.10 writes it, shortened.
DOCKER = {
    "Id": A,
    "Names": ["/web"],
    "State": "running",
    "HostConfig": {"NetworkMode": "default"},
    "NetworkSettings": {
        "Networks": {"bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": "FD00:0::2", "Links": None}}
    },
}


def of(*containers: object) -> bytes:
    return json.dumps(containers).encode()


def test_a_container_has_its_name_and_the_addresses_of_all_its_networks() -> None:
    assert listed(of(DOCKER)) == [Listed(A, "web", frozenset({"172.17.0.2", "fd00::2"}))]


def test_the_name_is_its_own_and_not_what_another_calls_it() -> None:
    assert listed(of(Contained(A, "web", 1).listed()))[0].name == "web"


def test_a_container_with_the_networks_of_the_host_has_no_address() -> None:
    assert listed(of(Contained(A, "web", 1).listed()))[0].addresses == frozenset()


def test_it_is_said_whose_network_a_container_has_joined() -> None:
    mode = {"NetworkMode": f"container:{an_id('b')}"}
    assert listed(of({**DOCKER, "HostConfig": mode}))[0].joined == an_id("b")
    assert listed(of({**DOCKER, "HostConfig": None}))[0].joined == ""


@pytest.mark.parametrize("state", ["exited", "created", "dead", "removing", 7])
def test_what_does_not_run_is_not_listed(state: object) -> None:
    assert listed(of({**DOCKER, "State": state})) == []


def test_what_is_paused_is_still_there() -> None:
    assert len(listed(of({**DOCKER, "State": "paused"}))) == 1


@pytest.mark.parametrize("name", ["", "/", "//", "/a b", "/a\n", "/ä", "/-a", 7, None, "/" + "a" * 300])
def test_a_name_that_no_engine_gives_is_none(name: object) -> None:
    assert listed(of({**DOCKER, "Names": [name]}))[0].name == ""
    assert running(json.dumps({**Contained(A, "web", 1).inspected(), "Name": name}).encode()) == Running(
        A, "", 1, "2026-11-20T12:00:00.665759415Z", ""
    )


@pytest.mark.parametrize("address", ["", "10.0.0.300", "10.0.0.1/16", 7, None, "fe80::1%eth0%"])
def test_what_is_no_address_is_none(address: object) -> None:
    networks = {"bridge": {"IPAddress": address}, "none": None}
    assert listed(of({**DOCKER, "NetworkSettings": {"Networks": networks}}))[0].addresses == frozenset()


def test_a_running_container_has_its_process_and_its_namespace() -> None:
    one = Contained(A, "web", 77, sandbox="/run/netns/x")
    found = running(json.dumps(one.inspected()).encode())
    assert found == Running(A, "web", 77, "2026-11-20T12:00:00.665759415Z", "/run/netns/x")


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"Running": False, "Pid": 0},
        {"Running": True, "Pid": 0},
        {"Running": True, "Pid": -1},
        {"Running": True, "Pid": True},
        {"Running": True, "Pid": 2**31},
        {"Running": True, "Pid": "77"},
        {"Running": "yes", "Pid": 77},
    ],
)
def test_what_has_no_process_does_not_run(state: object) -> None:
    assert running(json.dumps({"Id": A, "State": state}).encode()) is None


@pytest.mark.parametrize("sandbox", ["netns/x", "/run/\0", 7, None])
def test_what_is_no_file_is_no_namespace(sandbox: object) -> None:
    document = {"Id": A, "State": {"Running": True, "Pid": 1}, "NetworkSettings": {"SandboxKey": sandbox}}
    assert running(json.dumps(document).encode()) == Running(A, "", 1, "", "")


@pytest.mark.parametrize("body", [b"", b"{", b"7", b"null", b'{"message": "no"}', b"[" * 100_000, b"\xff"])
def test_what_is_no_list_is_unintelligible(body: bytes) -> None:
    with pytest.raises(Unintelligible):
        listed(body)


@pytest.mark.parametrize("identity", [None, 7, "", "abc", A.upper(), A + "/../x", A + "\n"])
def test_a_container_without_an_id_is_unintelligible(identity: object) -> None:
    with pytest.raises(Unintelligible):
        listed(of({**DOCKER, "Id": identity}))
    with pytest.raises(Unintelligible):
        running(json.dumps({"Id": identity}).encode())


anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=5),
    lambda inside: (
        some.lists(inside, max_size=3)
        | some.dictionaries(
            some.sampled_from(
                ["Id", "Name", "Names", "State", "Pid", "Running", "NetworkSettings", "Networks", "IPAddress"]
            ),
            inside | some.just(A),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(document=anything)
def test_no_json_makes_it_stumble(document: object) -> None:
    content = json.dumps(document).encode()
    for read in (listed, running):
        with suppress(Unintelligible):
            read(content)
