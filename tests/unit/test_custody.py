"""Which custodian has which key: the right one is opened, made and destroyed, and never another."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.custody import Custody
from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import PublicKey, SigningKey
from agent.ring import Held, Member, State
from tests.fakes.custodian import MemoryCustodian
from tests.fakes.memory_key import MemoryKey

NOW = datetime(2026, 11, 20, tzinfo=UTC)
AWAY = KeyUnavailable("the device is away")


def member(public: PublicKey, custodian: str, name: str, *, ours: bool = True) -> Member:
    return Member(public, Held(custodian, name, ours), "signing", NOW)


def only(custodian: MemoryCustodian) -> tuple[str, MemoryKey]:
    ((name, key),) = custodian.keys.items()
    return name, key


class Picky(MemoryCustodian):
    """Opens nothing, for the reason that it is given."""

    reason: Exception = AWAY

    async def open(self, name: str) -> SigningKey:
        self._note(f"open {name}")
        raise self.reason


# --- the first key


async def test_a_host_without_a_ring_has_the_one_key_that_is_there() -> None:
    pem = MemoryCustodian.with_key("pem")
    name, key = only(pem)
    assert await Custody(pem).first() == (key, Held("pem", name, ours=True))


async def test_a_key_that_is_not_called_by_its_kid_is_not_ours() -> None:
    pem = MemoryCustodian("pem", {"/etc/signing.pem": MemoryKey()}, named=["/etc/signing.pem"])
    assert (await Custody(pem).first())[1] == Held("pem", "/etc/signing.pem", ours=False)


async def test_without_any_key_the_operator_is_told_to_make_one() -> None:
    with pytest.raises(KeyUnavailable, match="names no key that is there") as raised:
        await Custody(MemoryCustodian()).first()
    assert raised.value.hint == "make one: rolecall keys new"


async def test_of_several_keys_none_is_chosen() -> None:
    pem = MemoryCustodian.with_key()
    pem.named.append(pem.put(MemoryKey()))
    with pytest.raises(ConfigurationError, match="names 2 keys, and nothing says which"):
        await Custody(pem).first()


async def test_the_first_key_is_never_looked_for_in_the_place_to_move_to() -> None:
    with pytest.raises(KeyUnavailable):
        await Custody(MemoryCustodian("pem"), MemoryCustodian.with_key("hsm")).first()


# --- opening


async def test_a_key_is_opened_where_it_is() -> None:
    pem, hsm = MemoryCustodian.with_key("pem"), MemoryCustodian.with_key("hsm")
    for custodian in (pem, hsm):
        name, key = only(custodian)
        assert await Custody(pem, hsm).open(member(key.public, custodian.kind, name)) is key


@pytest.mark.parametrize("reason", [KeyUnavailable("none there"), ConfigurationError("an algorithm that does not fit")])
async def test_of_two_custodians_of_one_kind_either_may_have_it(reason: Exception) -> None:
    old, new = Picky("pem"), MemoryCustodian.with_key("pem")
    old.reason = reason
    name, key = only(new)
    assert await Custody(old, new).open(member(key.public, "pem", name)) is key


async def test_another_key_under_its_name_is_not_opened() -> None:
    pem, same = MemoryCustodian.with_key("pem"), MemoryCustodian("pem")
    name, key = only(pem)
    same.keys[name] = key
    pem.keys[name] = MemoryKey()
    assert await Custody(pem, same).open(member(key.public, "pem", name)) is key
    with pytest.raises(KeyUnavailable, match="is not to be had") as raised:
        await Custody(pem).open(member(key.public, "pem", name))
    assert "[key.next]" in raised.value.hint


async def test_a_key_of_a_custodian_that_is_no_longer_named_is_not_to_be_had() -> None:
    with pytest.raises(KeyUnavailable, match=r"by the ring it is a \(hsm\)"):
        await Custody(MemoryCustodian("pem")).open(member(MemoryKey().public, "hsm", "a"))


async def test_what_the_custodian_says_is_what_is_told() -> None:
    with pytest.raises(KeyUnavailable, match="the device is away"):
        await Custody(MemoryCustodian("hsm", failure=AWAY)).open(member(MemoryKey().public, "hsm", "a"))


# --- making


async def test_keys_are_made_in_the_place_to_move_to_if_there_is_one() -> None:
    pem, hsm = MemoryCustodian("pem"), MemoryCustodian("hsm")
    key, held = await Custody(pem).make("ec-p256")
    assert (held.custodian, pem.keys[held.name]) == ("pem", key)
    key, held = await Custody(pem, hsm).make("ec-p384")
    assert (held, hsm.keys[held.name]) == (Held("hsm", f"key-{key.public.kid}", ours=True), key)
    assert "make ec-p384" in hsm.called


async def test_where_no_key_can_be_made_the_one_that_is_named_there_is_taken() -> None:
    hsm = MemoryCustodian.with_key("hsm")
    hsm.makes = False
    name, key = only(hsm)
    assert await Custody(MemoryCustodian("pem"), hsm).make("ec-p256") == (key, Held("hsm", name, ours=False))


@pytest.mark.parametrize("count", [0, 2])
async def test_where_none_or_several_are_named_none_is_taken(count: int) -> None:
    hsm = MemoryCustodian("hsm", makes=False)
    hsm.named += [hsm.put(MemoryKey()) for _ in range(count)]
    with pytest.raises(ConfigurationError, match="not ours to make"):
        await Custody(MemoryCustodian("pem"), hsm).make("ec-p256")


async def test_the_custodian_that_signs_names_no_successor_of_its_own() -> None:
    hsm = MemoryCustodian.with_key("hsm")
    hsm.makes = False
    with pytest.raises(ConfigurationError, match="not ours to make"):
        await Custody(hsm).make("ec-p256")


async def test_a_key_that_was_made_and_cannot_be_opened_is_not_left_behind() -> None:
    pem = Picky("pem")
    for _ in range(3):
        with pytest.raises(KeyUnavailable, match="away"):
            await Custody(pem).make("ec-p256")
    assert pem.keys == {}


# --- moving


async def test_without_a_place_to_move_to_every_key_is_where_it_is_to_be() -> None:
    assert await Custody(MemoryCustodian("pem")).moved(member(MemoryKey().public, "hsm", "a"))


async def test_a_key_has_moved_once_it_is_in_the_place_to_move_to() -> None:
    pem, hsm = MemoryCustodian.with_key("pem"), MemoryCustodian.with_key("hsm")
    custody = Custody(pem, hsm)
    for custodian, is_moved in ((pem, False), (hsm, True)):
        name, key = only(custodian)
        assert await custody.moved(member(key.public, custodian.kind, name)) is is_moved


async def test_within_one_kind_it_is_the_key_that_tells() -> None:
    old, new = MemoryCustodian.with_key("pem"), MemoryCustodian.with_key("pem")
    name, key = only(old)
    assert not await Custody(old, new).moved(member(key.public, "pem", name))
    new.keys[name] = MemoryKey()  # another under the same name
    assert not await Custody(old, new).moved(member(key.public, "pem", name))
    new.keys[name] = key
    assert await Custody(old, new).moved(member(key.public, "pem", name))


async def test_while_the_place_to_move_to_is_away_nobody_says_that_a_key_is_not_there() -> None:
    pem, hsm = MemoryCustodian.with_key("pem"), MemoryCustodian.with_key("hsm")
    name, key = only(hsm)
    hsm.failure = AWAY
    with pytest.raises(KeyUnavailable, match="away"):
        await Custody(pem, hsm).moved(member(key.public, "hsm", name))


# --- destroying


async def test_a_key_is_destroyed_where_it_is_and_nowhere_else() -> None:
    old, new, hsm = MemoryCustodian.with_key("pem"), MemoryCustodian("pem"), MemoryCustodian("hsm")
    name, key = only(old)
    new.keys[name] = hsm.keys[name] = MemoryKey()
    held = Held("pem", name, ours=True)
    await Custody(old, new).destroy(key.public.kid, held)
    await Custody(hsm).destroy(key.public.kid, held)
    assert old.keys == {}
    assert list(new.keys) == list(hsm.keys) == [name]
    assert not any(call.startswith("discard") for call in (*new.called, *hsm.called))


async def test_one_that_is_gone_is_destroyed() -> None:
    pem = MemoryCustodian("pem")
    await Custody(pem).destroy("kid", Held("pem", "gone", ours=True))
    assert not any(call.startswith("discard") for call in pem.called)


async def test_one_whose_custodian_is_away_is_not_taken_for_gone() -> None:
    pem = MemoryCustodian.with_key("pem")
    name, key = only(pem)
    pem.failure = AWAY
    with pytest.raises(KeyUnavailable, match="away"):
        await Custody(pem).destroy(key.public.kid, Held("pem", name, ours=True))
    pem.failure = None
    await Custody(pem).destroy(key.public.kid, Held("pem", name, ours=True))
    assert pem.keys == {}


async def test_closing_closes_both() -> None:
    pem, hsm = MemoryCustodian("pem"), MemoryCustodian("hsm")
    await Custody(pem, hsm).close()
    assert pem.called == hsm.called == ["close"]


async def test_a_key_that_is_published_for_one_algorithm_never_signs_with_another() -> None:
    custodian = MemoryCustodian.with_key()
    name = custodian.named[0]
    public = custodian.keys[name].public
    shown = PublicKey(public.kid, "ES384", public.jwk)
    member = Member(shown, Held("memory", name, ours=True), "signing", datetime(2026, 11, 20, tzinfo=UTC))
    with pytest.raises(ConfigurationError, match="signs with ES384, and is to sign with ES256"):
        await Custody(custodian).open(member)


@pytest.mark.parametrize(("state", "way"), [("announced", "rolecall keys retire"), ("signing", "keys rotate --emer")])
async def test_who_has_lost_a_key_is_told_how_to_do_without_it(state: State, way: str) -> None:
    lost = replace(member(MemoryKey().public, "hsm", "elsewhere"), state=state)
    with pytest.raises(KeyUnavailable, match="not to be had") as raised:
        await Custody(MemoryCustodian.with_key("pem")).open(lost)
    assert way in (raised.value.hint or "")
