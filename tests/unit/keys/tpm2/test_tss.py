import asyncio
import os

import pytest

from agent.errors import KeyUnavailable
from agent.secret import Secret
from tests.fakes.swtpm import MISSING, Bus, Swtpm

if MISSING and not os.environ.get("SKIP_NOTHING"):
    pytest.skip(f"needs {MISSING}", allow_module_level=True)

from agent.keys.halves import made_by
from agent.keys.tpm2.shapes import Wrapped
from agent.keys.tpm2.tss import SHARED_ROOT, Auths, Chip

AUTH = Secret("canary-auth-4f1c9d27")
DIGEST = bytes.fromhex("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")  # SHA-256 of b"hello"
OWNER = 0x40000001
CREATE_PRIMARY, GET_CAPABILITY = 0x131, 0x17A


def give_root(tpm: Swtpm, algorithm: str) -> None:
    tpm.tool(f"createprimary -C o -G {algorithm} -c root.ctx")
    tpm.tool(f"evictcontrol -C o -c root.ctx {SHARED_ROOT:#x}")
    tpm.tool("flushcontext -t")


def signs(chip: Chip, key: Wrapped, auths: Auths) -> bool:
    half, _ = chip.half(key, "a test")
    return made_by(half, "ES256", b"hello", chip.sign(key, "ES256", DIGEST, auths, "a test"))


@pytest.mark.parametrize("auths", [Auths(), Auths(key=AUTH)], ids=["no auth", "auth"])
@pytest.mark.parametrize("root", [None, "ecc256", "rsa2048"])
def test_keys_are_made_under_the_shared_root_where_there_is_one(root: str | None, auths: Auths, tpm: Swtpm) -> None:
    if root is not None:
        give_root(tpm, root)
    chip = Chip(tpm.tcti)

    key = chip.make("ec-p256", auths)

    assert key.parent == (OWNER if root is None else SHARED_ROOT)
    assert key.wants_auth == (auths.key is not None)
    assert signs(chip, key, auths)
    assert tpm.tool("getcap handles-transient") == tpm.tool("getcap handles-loaded-session") == ""


def test_what_is_no_storage_key_is_not_taken_for_the_root(tpm: Swtpm) -> None:
    tpm.persisted("ecc256", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign", f"{SHARED_ROOT:#x}")
    chip = Chip(tpm.tcti)

    key = chip.make("ec-p256", Auths(key=AUTH))

    assert key.parent == OWNER
    assert signs(chip, key, Auths(key=AUTH))


def test_a_parent_elsewhere_is_refused_with_a_sentence(tpm: Swtpm) -> None:
    chip = Chip(tpm.tcti)
    key = chip.make("ec-p256", Auths())
    elsewhere = Wrapped(0x4000000B, key.public, key.private, wants_auth=False)  # under the endorsement hierarchy

    with pytest.raises(KeyUnavailable, match="under a parent that the agent does not use"):
        chip.sign(elsewhere, "ES256", DIGEST, Auths(), "key.tss")


def test_nothing_is_left_behind_where_signing_fails(tpm: Swtpm) -> None:
    chip = Chip(tpm.tcti)
    key = chip.make("ec-p256", Auths(key=AUTH))

    for _ in range(10):  # three would fill it
        with pytest.raises(KeyUnavailable, match="refuses the auth value"):
            chip.sign(key, "ES256", DIGEST, Auths(key=Secret("wrong")), "key.tss")

    assert signs(chip, key, Auths(key=AUTH))
    assert tpm.tool("getcap handles-transient") == tpm.tool("getcap handles-loaded-session") == ""


def test_a_tpm_that_others_have_filled_has_its_sentence(tpm: Swtpm) -> None:
    chip = Chip(tpm.tcti)
    key = chip.make("ec-p256", Auths())
    for number in range(3):
        tpm.tool(f"createprimary -C o -G ecc256 -c left-behind-{number}.ctx")

    with pytest.raises(KeyUnavailable, match="has no room for another key"):
        chip.sign(key, "ES256", DIGEST, Auths(), "key.tss")

    tpm.tool("flushcontext -t")
    assert signs(chip, key, Auths())


async def test_where_no_auth_value_is_no_session_is_made(tpm: Swtpm) -> None:

    async with Bus(tpm).tapped() as bus:
        chip = Chip(bus.tcti)
        key = await asyncio.to_thread(chip.make, "ec-p256", Auths())
        bus.commands.clear()
        await asyncio.to_thread(chip.sign, key, "ES256", DIGEST, Auths(), "key.tss")

    # CreatePrimary, Load, FlushContext, Sign, FlushContext
    assert [code for code in bus.commands if code != GET_CAPABILITY] == [0x131, 0x157, 0x165, 0x15D, 0x165]


async def test_two_threads_do_not_speak_to_it_at_once(tpm: Swtpm) -> None:
    async with Bus(tpm).tapped() as bus:
        chip = Chip(bus.tcti)
        tpm.freeze()
        before = bus.contexts
        making = [asyncio.ensure_future(asyncio.to_thread(chip.make, "ec-p256", Auths())) for _ in range(2)]
        while bus.contexts == before:  # noqa: ASYNC110 - a thread, which sets no event of this loop
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert bus.contexts == before + 1
        tpm.thaw()

        assert len(await asyncio.gather(*making)) == 2
        assert bus.contexts == before + 2


def test_the_chatter_of_the_library_stays_off_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSS2_LOG", raising=False)
    Chip("device:/dev/tpmrm0")
    assert os.environ["TSS2_LOG"] == "all+none"

    monkeypatch.setenv("TSS2_LOG", "esys+debug")
    Chip("device:/dev/tpmrm0")
    assert os.environ["TSS2_LOG"] == "esys+debug"
