import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, Kind, PublicKey
from agent.keys.halves import fit, made_by
from agent.keys.pkcs11.custodian import Pkcs11Key
from tests.fakes.clock import FakeClock, settle
from tests.fakes.key_files import private
from tests.fakes.memory_key import KINDS, pem
from tests.fakes.softhsm import LACKING, PIN, Moods, SoftHsm, opened, softhsm_keys

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"needs {LACKING}")

NAME = "pkcs11:object=rolecall;id=%01"
RSA: tuple[Algorithm, ...] = ("RS256", "RS384", "RS512")
CKM_SHA256_RSA_PKCS, CKM_SHA384_RSA_PKCS, CKM_SHA512_RSA_PKCS = 0x40, 0x41, 0x42


def good(kind: Kind, public: PublicKey, signature: bytes) -> bool:
    return made_by(fit(private(kind).public_key(), "a test"), public.algorithm, b"message", signature)


# Signing


async def test_every_kind_signs(tmp_path: Path) -> None:
    async with softhsm_keys(tmp_path, KINDS) as keys:
        for kind, key in keys.items():
            assert good(kind, key.public, await key.sign(b"message"))


@pytest.mark.parametrize("algorithm", RSA)
async def test_the_token_hashes_where_it_can(algorithm: Algorithm, hsm: SoftHsm) -> None:
    hsm.put(pem("rsa-2048"), "rolecall")

    key = await opened(algorithm=algorithm).open(NAME)

    assert key.public.algorithm == algorithm
    assert good("rsa-2048", key.public, await key.sign(b"message"))


@pytest.mark.parametrize(
    ("algorithm", "mechanism"),
    [("RS256", CKM_SHA256_RSA_PKCS), ("RS384", CKM_SHA384_RSA_PKCS), ("RS512", CKM_SHA512_RSA_PKCS)],
)
async def test_we_hash_where_the_token_cannot(
    algorithm: Algorithm, mechanism: int, hsm: SoftHsm, moods: Moods, module: Path
) -> None:
    hsm.put(pem("rsa-2048"), "rolecall")
    moods.set("C_GetMechanismList", number=mechanism)

    key = await opened(module=module, algorithm=algorithm).open(NAME)

    assert isinstance(key, Pkcs11Key)
    assert key._held is not None
    assert key._held.mechanism.name == "RSA_PKCS"
    assert good("rsa-2048", key.public, await key.sign(b"message"))


async def test_an_algorithm_that_does_not_fit_the_key_is_the_operators_turn(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall")

    with pytest.raises(ConfigurationError, match=f"the private key in {NAME} in the token hsm cannot sign with RS256"):
        await opened(algorithm="RS256").open(NAME)


@pytest.mark.parametrize("kind", ["rsa-2048", "ec-p256"])
async def test_a_wrong_signature_never_comes_out(kind: Kind, hsm: SoftHsm, moods: Moods, module: Path) -> None:
    hsm.put(pem(kind), "rolecall")
    key = await opened(module=module).open(NAME)
    moods.set("C_Sign", number=0x01)

    with pytest.raises(KeyUnavailable, match="signs does not fit its public half"):
        await key.sign(b"message")
    with pytest.raises(KeyUnavailable, match="does not fit its public half"):
        await opened(module=module).open(NAME)


async def test_another_key_under_the_same_name_does_not_sign_for_it(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall")
    key = await opened().open(NAME)
    hsm.as_user("--delete-object --type privkey --label rolecall")
    hsm.as_user("--delete-object --type pubkey --label rolecall")
    hsm.as_user("--keypairgen --key-type EC:prime256v1 --label rolecall --id 01 --usage-sign")

    with pytest.raises(KeyUnavailable, match="another key lies under pkcs11:object=rolecall;id=%01 "):
        await key.sign(b"message")


async def test_a_second_key_under_the_same_name_is_told_when_the_session_is_lost(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall")
    key = await opened().open(NAME)
    hsm.as_user("--delete-object --type privkey --label rolecall")
    for _ in range(2):
        hsm.as_user("--keypairgen --key-type EC:prime256v1 --label rolecall --id 01 --usage-sign")

    with pytest.raises(KeyUnavailable, match="2 private keys in the token hsm fit"):
        await key.sign(b"message")


# Slow and hanging devices


async def test_a_slow_device_leaves_the_loop_free(hsm: SoftHsm, moods: Moods, module: Path) -> None:
    hsm.put(pem("ec-p256"), "rolecall")
    key = await opened(module=module).open(NAME)
    moods.set("C_Sign", seconds=60)
    signing = asyncio.ensure_future(key.sign(b"message"))
    longest = 0.0
    for _ in range(40):
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - before)
    assert not signing.done()
    assert longest < 0.1  # of 60 s, which it would be if the module held the interpreter's lock

    moods.clear()

    assert good("ec-p256", key.public, await signing)


async def test_a_device_that_hangs_is_given_up_and_used_again_when_it_answers(
    hsm: SoftHsm, moods: Moods, module: Path
) -> None:
    hsm.put(pem("ec-p256"), "rolecall")
    clock = FakeClock()
    custodian = opened(module=module, clock=clock)
    key = await custodian.open(NAME)
    moods.set("C_Sign", seconds=3600)

    signing = [asyncio.ensure_future(key.sign(b"message")) for _ in range(20)]
    await settle()
    await clock.advance(timedelta(seconds=31))
    for task in signing:
        with pytest.raises(KeyUnavailable, match=r"^the token hsm did not answer within 30 s$"):
            await task
    closing = asyncio.ensure_future(opened(module=module, clock=clock).close())
    await settle()
    await clock.advance(timedelta(seconds=3))
    await closing  # does not wait for what hangs

    moods.clear()
    assert good("ec-p256", key.public, await key.sign(b"message"))
    await custodian.close()


# Names


async def test_the_label_is_taken_exactly(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p384"), "rolecall-old", "02")
    hsm.put(pem("ec-p521"), "Rolecall", "03")
    hsm.put(pem("ec-p256"), "rolecall", "01")

    assert await opened().names() == [NAME]


async def test_a_name_can_be_opened_by_another_custodian_of_that_token(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall")
    (name,) = await opened().names()
    made = await opened().make("ec-p256")

    for one in (name, made):
        assert await (await opened("pkcs11:token=hsm;object=something%20else").open(one)).sign(b"message")


async def test_a_token_with_made_keys_alone_names_those(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall")
    hsm.put(pem("ec-p256"), "rolecall-00000000", "02")  # made by somebody else
    custodian = opened()
    made = [await custodian.make("ec-p256") for _ in range(2)]
    assert await custodian.names() == [NAME]

    hsm.as_user("--delete-object --type privkey --id 01")

    assert await custodian.names() == sorted(made)


@pytest.mark.usefixtures("hsm")
async def test_the_first_key_of_an_empty_token_is_found_again() -> None:
    custodian = opened()
    with pytest.raises(KeyUnavailable, match="holds no private key"):
        await custodian.names()

    name = await custodian.make("ec-p256")

    assert await opened().names() == [name]


async def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no PKCS#11 URI"):
        await opened().open("key.pem")


# Making and discarding


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("rsa-3072", "rsa-4096")])
async def test_a_key_that_is_made_stays_in_the_token_and_only_signs(kind: Kind, hsm: SoftHsm) -> None:
    custodian = opened()

    name = await custodian.make(kind)
    key = await custodian.open(name)

    label = name.removeprefix("pkcs11:object=").partition(";")[0]
    shown = hsm.as_user(f"--list-objects --type privkey --label {label}").splitlines()
    assert "  Usage:      sign" in shown
    assert "  Access:     sensitive, always sensitive, never extractable, local" in shown
    assert label.startswith("rolecall-")
    assert len(label) == len("rolecall-") + 8
    assert f"  label:      {label}" in shown
    assert await key.sign(b"message")


@pytest.mark.usefixtures("hsm")
async def test_each_key_has_a_name_of_its_own() -> None:
    custodian = opened("pkcs11:id=%01")

    names = {await custodian.make("ec-p256") for _ in range(5)}

    assert len(names) == 5
    assert len({(await custodian.open(name)).public.kid for name in names}) == 5
    assert all(name.startswith("pkcs11:object=rolecall-") for name in names)


async def test_keys_are_made_while_others_sign_and_look(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall")
    custodian = opened()
    key = await custodian.open(NAME)

    made, signed, names = await asyncio.gather(
        asyncio.gather(*(custodian.make("ec-p256") for _ in range(10))),
        asyncio.gather(*(key.sign(b"message") for _ in range(50))),
        asyncio.gather(*(custodian.names() for _ in range(50))),
    )

    assert len(set(made)) == 10
    assert all(good("ec-p256", key.public, signature) for signature in signed)
    assert all(name == [NAME] for name in names)


async def test_keys_are_not_made_or_destroyed_where_that_is_off(hsm: SoftHsm) -> None:
    name = await opened().make("ec-p256")
    custodian = opened(make_keys=False)

    with pytest.raises(ConfigurationError, match=r"^keys are not made in the token hsm"):
        await custodian.make("ec-p256")
    with pytest.raises(ConfigurationError, match="destroys only its own"):
        await custodian.discard(name)

    assert await (await custodian.open(name)).sign(b"message")
    assert hsm.as_user("--list-objects --type privkey").count("Private Key Object") == 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (0x70, ConfigurationError, "the token hsm cannot make a key of the kind ec-p256: MechanismInvalid"),
        (0x62, ConfigurationError, "the token hsm cannot make a key of the kind ec-p256: KeySizeRange"),
        (0xE2, KeyUnavailable, "the token hsm did not make a key: TokenWriteProtected"),
        (0x31, KeyUnavailable, "the token hsm did not make a key: DeviceMemory"),
    ],
)
async def test_a_key_that_cannot_be_made_is_not_tried_again(
    answer: int, error: type[Exception], said: str, moods: Moods, module: Path
) -> None:
    moods.set("C_GenerateKeyPair", answer=answer)

    with pytest.raises(error, match=f"^{said}$"):
        await opened(module=module).make("ec-p256")

    assert moods.calls("C_GenerateKeyPair") == 1  # or a lost answer would leave a pair behind each time


async def test_a_discarded_key_is_gone_with_both_halves(hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall")
    custodian = opened()
    kept, gone = await custodian.make("ec-p256"), await custodian.make("rsa-2048")
    key = await custodian.open(gone)

    await custodian.discard(gone)
    await custodian.discard(gone)  # nothing if it is gone

    assert gone.partition(";")[0].removeprefix("pkcs11:object=") not in hsm.as_user("--list-objects")
    with pytest.raises(KeyUnavailable, match=r"^there is no key "):
        await key.sign(b"message")
    for name in (kept, NAME):
        assert await (await custodian.open(name)).sign(b"message")


async def test_a_public_half_that_was_left_behind_goes_the_next_time(hsm: SoftHsm) -> None:
    custodian = opened()
    name = await custodian.make("ec-p256")
    label = name.removeprefix("pkcs11:object=").partition(";")[0]
    hsm.as_user(f"--delete-object --type privkey --label {label}")
    assert label in hsm.as_user("--list-objects")

    await custodian.discard(name)

    assert label not in hsm.as_user("--list-objects")


@pytest.mark.parametrize(
    "name",
    [NAME, "pkcs11:object=rolecall", "pkcs11:object=rolecall-00000000;id=%01", "pkcs11:id=%00%01%02%03"],
)
async def test_only_keys_that_were_made_are_destroyed(name: str, hsm: SoftHsm) -> None:
    hsm.put(pem("ec-p256"), "rolecall")

    with pytest.raises(ConfigurationError, match="was not made by the agent, which destroys only its own"):
        await opened().discard(name)

    assert await (await opened().open(NAME)).sign(b"message")


MAKING = f"""
import asyncio, os, sys
from pathlib import Path
from agent.clock import SystemClock
from agent.keys.pkcs11.custodian import Pkcs11
from agent.secret import Secret
custodian = Pkcs11(
    Path(sys.argv[1]), "pkcs11:token=hsm;object=rolecall", lambda: Secret("{PIN}"),
    clock=SystemClock(), random_bytes=os.urandom,
)
print(asyncio.run(custodian.make("ec-p256")))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_while_a_key_is_made_does_no_harm(moment: str, hsm: SoftHsm, moods: Moods, module: Path) -> None:
    hsm.put(pem("ec-p256"), "rolecall")
    if moment == "before":
        moods.set("C_GenerateKeyPair", seconds=60)
    with subprocess.Popen([sys.executable, "-c", MAKING, str(module)], stdout=subprocess.PIPE) as making:
        while moment == "before" and not moods.calls("C_GenerateKeyPair"):
            time.sleep(0.01)
        assert making.stdout is not None
        if moment == "after":
            making.stdout.readline()  # it is made, and nobody has written its name down
        making.send_signal(signal.SIGKILL)
    moods.clear()

    orphans = {"before": 0, "after": 1}[moment]
    assert hsm.as_user("--list-objects --type privkey").count("Private Key Object") == 1 + orphans
    assert asyncio.run(made_and_signed()) == [NAME]


async def made_and_signed() -> Sequence[str]:
    custodian = opened()
    assert await (await custodian.open(await custodian.make("ec-p256"))).sign(b"message")
    return await custodian.names()


def test_a_custodian_shows_no_more_than_names() -> None:
    assert repr(opened()) == "Pkcs11(pkcs11:object=rolecall in the token hsm)"
