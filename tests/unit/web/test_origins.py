from agent.callers import NOTHING_KNOWN
from agent.web.origins import ByAddress

SERVER = ("127.0.0.1", 9170)


def test_nothing_is_known_of_a_caller_but_both_addresses() -> None:
    origin = ByAddress().recognise(("127.0.0.2", 50_000), SERVER)
    assert (origin.address, origin.local, origin.facts) == ("127.0.0.2", "127.0.0.1", NOTHING_KNOWN)


def test_who_has_the_same_address_is_the_same_whatever_the_port() -> None:
    by_address = ByAddress()
    first = by_address.recognise(("127.0.0.1", 50_000), SERVER)
    assert by_address.recognise(("127.0.0.1", 50_001), SERVER) is first
    assert by_address.recognise(("127.0.0.2", 50_000), SERVER) is not first
    assert by_address.recognise(("127.0.0.1", 50_000), ("127.0.0.3", 9170)) is not first


def test_however_many_addresses_there_are_only_so_many_are_remembered() -> None:
    by_address = ByAddress()
    first = by_address.recognise(("127.0.0.1", 1), SERVER)
    for number in range(1023):
        by_address.recognise((f"127.1.{number // 256}.{number % 256}", 1), SERVER)
    assert by_address.recognise(("127.0.0.1", 1), SERVER) is first  # there is still room for all
    by_address.recognise(("127.2.0.0", 1), SERVER)
    assert by_address.recognise(("127.0.0.1", 1), SERVER) is not first
