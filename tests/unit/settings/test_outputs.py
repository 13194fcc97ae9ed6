from collections.abc import Callable

import pytest
from hypothesis import given, strategies

from agent.settings import Address, Settings
from agent.settings.mistakes import Wrong
from agent.settings.outputs import parse_address

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
LISTEN = 'credentials = "127.0.0.1:9170"'


@given(strategies.ip_addresses().filter(lambda ip: not getattr(ip, "ipv4_mapped", None)), strategies.integers(0, 65535))
def test_every_address_is_read_back_as_it_is_written(ip: object, port: int) -> None:
    address = parse_address(f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}")
    assert address == (str(ip), port)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "written",
    ["", ":9170", "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:65536", "127.1:80", "0127.0.0.1:80", "[127.0.0.1]:80", "::1",
     "[::1]", "[fe80::1%eth0]:80", "http://127.0.0.1:80", "127.0.0.1:80/", " 127.0.0.1:80", "*:80",
     "127.0.0.1:\uff18\uff10"],
)  # fmt: skip
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(Wrong):
        parse_address(written)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:0", "127.1.2.3:80", "[::1]:9170", "169.254.170.2:80", "169.254.170.23:80", "[fd00:ec2::23]:80"],
)
def test_credentials_are_served_where_sdks_ask_for_them(address: str, read: Read) -> None:
    assert str(read((LISTEN, f'credentials = "{address}"')).listen.credentials) == address


@pytest.mark.parametrize(
    "address", ["192.168.1.1:80", "169.254.169.254:80", "[::]:80", "[fd00:ec2::254]:80", "8.8.8.8:1"]
)
def test_credentials_are_served_nowhere_else(address: str, mistakes: Mistakes) -> None:
    told = mistakes((LISTEN, f'credentials = "{address}"'))
    assert len(told) == 1
    assert told[0].startswith(f'listen.credentials: "{address}" can be reached by other machines')


def test_credentials_may_be_served_at_several_addresses_and_callers_are_told_the_first(read: Read) -> None:
    listen = read((LISTEN, 'credentials = ["127.0.0.1:9170", "[::1]:9170"]')).listen
    assert listen.credentials == Address("127.0.0.1", 9170)
    assert listen.credentials_addresses == (Address("127.0.0.1", 9170), Address("::1", 9170))
    assert [word for word, _ in listen.addresses()] == ["credentials#1", "credentials#2", "admin"]


def test_the_environment_names_one_address_instead_of_all(read: Read) -> None:
    several = (LISTEN, 'credentials = ["127.0.0.1:9170", "[::1]:9170"]')
    assert read(several, ROLECALL_LISTEN_CREDENTIALS="127.0.0.1:1").listen.credentials_addresses == (
        Address("127.0.0.1", 1),
    )


@pytest.mark.parametrize("address", ["127.0.0.1:9172", "[::1]:9172", "169.254.169.254:80", "[fd00:ec2::254]:80"])
def test_metadata_is_served_where_sdks_ask_for_it(address: str, read: Read) -> None:
    listen = read((LISTEN, f'imds = "{address}"')).listen
    assert str(listen.imds) == address
    assert [word for word, _ in listen.addresses()] == ["credentials", "admin", "imds"]


@pytest.mark.parametrize("address", ["0.0.0.0:80", "10.0.0.1:80", "169.254.170.2:80"])
def test_metadata_is_served_nowhere_else(address: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((LISTEN, f'imds = "{address}"'))
    assert told.startswith(f'listen.imds: "{address}" can be reached by other machines')


def test_the_admin_listener_may_be_reached_from_afar(read: Read) -> None:
    admin = read((LISTEN, 'admin = "10.0.0.1:9171"')).listen.admin
    assert admin == Address("10.0.0.1", 9171)
    assert not admin.is_loopback


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True), ("0.0.0.0:80", "127.0.0.1:80", True), ("[::]:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.2:80", False), ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)  # fmt: skip
def test_two_listeners_need_two_addresses(one: str, other: str, collide: bool) -> None:  # noqa: FBT001 - a row
    assert parse_address(one).collides(parse_address(other)) is collide
    assert parse_address(other).collides(parse_address(one)) is collide


def test_both_listeners_may_leave_their_ports_to_the_system(read: Read) -> None:
    listen = read((LISTEN, 'credentials = "127.0.0.1:0"\nadmin = "127.0.0.1:0"')).listen
    assert (listen.credentials.port, listen.admin.port) == (0, 0)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize("style", ["auto", "text", "json"])
def test_how_much_is_logged_and_how_is_a_choice(level: str, style: str, read: Read) -> None:
    log = read(('level = "info"', f'level = "{level}"\nformat = "{style}"')).log
    assert (log.level, log.format) == (level, style)
