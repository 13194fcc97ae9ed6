import asyncio
import os
import stat
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.jose import compact, signing_input
from agent.keys import Algorithm, Custodian, Kind, PublicKey, SigningKey
from agent.secret import Secret
from tests.fakes.clock import FakeClock, settle
from tests.fakes.swtpm import MISSING, Bus, Swtpm, running

if MISSING and not os.environ.get("SKIP_NOTHING"):
    pytest.skip(f"needs {MISSING}", allow_module_level=True)

from agent.keys.tpm2.custodian import Handle, KeyDirectory, KeyFile, Place, Tpm2, Tpm2Key
from agent.keys.tpm2.shapes import Wrapped, read_wrapped, to_pem

AUTH = "canary-auth-4f1c9d27"
SIGNS = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
RC_RETRY, RC_TESTING = 0x922, 0x90A
SIGN, CREATE, TEST_PARMS = 0x15D, 0x153, 0x18A


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    return keys


class Reader:
    """Reads an auth value that a test can change, or raises `failure`."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.failure: KeyUnavailable | None = None

    def __call__(self) -> Secret:
        if self.failure is not None:
            raise self.failure
        return Secret(self.value)


def custodian(
    tpm: Swtpm | Bus,
    place: Place,
    *,
    auth: Callable[[], Secret] | None = None,
    owner: Callable[[], Secret] | None = None,
    algorithm: Algorithm | None = None,
    clock: FakeClock | None = None,
) -> Tpm2:
    return Tpm2(
        place,
        tcti=tpm.tcti,
        clock=clock or FakeClock(),
        read_auth=auth,
        read_owner_auth=owner,
        algorithm=algorithm,
    )


async def verified(key: SigningKey) -> bool:
    """An independent library takes a token that the key signs."""
    signed = signing_input({"alg": key.public.algorithm}, {"sub": "host:web-1"})
    token = compact(signed, await key.sign(signed))
    return bool(
        jwt.decode(token, jwt.PyJWK(dict(key.public.jwk), key.public.algorithm), [key.public.algorithm])
        == {"sub": "host:web-1"}
    )


async def refused(key: SigningKey) -> KeyUnavailable:
    with pytest.raises(KeyUnavailable) as caught:
        await key.sign(b"message")
    return caught.value


def transients(tpm: Swtpm) -> str:
    return tpm.tool("getcap handles-transient") + tpm.tool("getcap handles-loaded-session")


# Keys that are made


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("rsa-2048", "RS256"), ("rsa-3072", "RS256"), ("ec-p256", "ES256"), ("ec-p384", "ES384")],
)
async def test_a_key_that_is_made_signs(kind: Kind, algorithm: Algorithm, tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory))

    name = await keys.make(kind)
    key = await keys.open(name)

    assert key.public.algorithm == algorithm
    assert name == f"{key.public.kid}.tss"
    assert await keys.names() == [name]
    assert await verified(key)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512"])
async def test_an_rsa_key_signs_with_the_longer_hashes(algorithm: Algorithm, tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory), algorithm=algorithm)

    assert await verified(await keys.open(await keys.make("rsa-2048")))


async def test_an_elliptic_signature_has_its_full_length(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory))
    key = await keys.open(await keys.make("ec-p256"))

    # Once in 128 signatures a number begins with eight zero bits.
    assert {len(await key.sign(b"%d" % n)) for n in range(300)} == {64}


async def test_the_file_is_its_owners_alone_and_no_key_in_the_open(tpm: Swtpm, directory: Path) -> None:
    name = await custodian(tpm, KeyDirectory(directory)).make("ec-p256")

    assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert (directory / name).read_text().startswith("-----BEGIN TSS2 PRIVATE KEY-----\n")
    assert [path.name for path in directory.iterdir()] == [name]


@pytest.mark.parametrize(("kind", "code"), [("rsa-4096", 0x1C4), ("rsa-3072", 0x1D7), ("ec-p521", 0x1E6)])
async def test_a_kind_that_the_tpm_does_not_make_is_refused(kind: Kind, code: int, tpm: Swtpm, directory: Path) -> None:
    async with Bus(tpm).tapped() as bus:
        bus.refusals[TEST_PARMS] = [code]  # of which kinds swtpm knows depends on its age
        with pytest.raises(ConfigurationError) as caught:
            await custodian(bus, KeyDirectory(directory)).make(kind)

    assert caught.value.what == f"this TPM makes no {kind} keys"
    assert not list(directory.iterdir())


async def test_a_kind_that_the_algorithm_excludes_leaves_no_file(tpm: Swtpm, directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot sign with ES256"):
        await custodian(tpm, KeyDirectory(directory), algorithm="ES256").make("rsa-2048")

    assert not list(directory.iterdir())


async def test_a_directory_that_is_missing_has_its_sentence(tpm: Swtpm, tmp_path: Path) -> None:
    keys = custodian(tpm, KeyDirectory(tmp_path / "missing"))

    for asked in (keys.names(), keys.make("ec-p256")):
        with pytest.raises(KeyUnavailable) as caught:
            await asked
        assert "mkdir -p -m 700" in caught.value.hint


@pytest.mark.parametrize("place", [Handle("0x81000042"), KeyFile(Path("/keys/key.tss"))])
async def test_keys_are_made_in_directories_alone(place: Place, tpm: Swtpm) -> None:
    keys: Custodian = custodian(tpm, place)

    with pytest.raises(ConfigurationError) as caught:
        await keys.make("ec-p256")

    assert keys.kind == "tpm2"

    assert "no further key can be made" in caught.value.what
    assert "directory =" in caught.value.hint


async def test_what_is_discarded_is_gone_and_may_be_discarded_again(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory))
    kept, gone = await keys.make("ec-p256"), await keys.make("ec-p256")

    await keys.discard(gone)
    await keys.discard(gone)

    assert await keys.names() == [kept]
    with pytest.raises(KeyUnavailable, match="does not exist"):
        await keys.open(gone)


async def test_only_keys_of_the_directory_are_discarded(tpm: Swtpm, directory: Path, tmp_path: Path) -> None:
    other = tmp_path / "key.tss"
    other.write_text("somebody else's")

    for_each: list[tuple[Place, str]] = [
        (KeyDirectory(directory), str(other)),
        (KeyDirectory(directory), "ring.json"),
        (KeyDirectory(directory), "../key.tss"),
        (KeyFile(other), str(other)),
        (Handle("0x81000042"), "0x81000042"),
    ]
    for place, name in for_each:
        with pytest.raises(ConfigurationError, match="is not removed"):
            await custodian(tpm, place).discard(name)
    assert other.exists()


async def test_a_custodian_that_was_closed_signs_no_more(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory))
    key = await keys.open(await keys.make("ec-p256"))

    await keys.close()

    assert "has been closed" in (await refused(key)).what


# Keys that are found


@pytest.mark.parametrize(("algorithm", "signs_with"), [("rsa2048", "RS256"), ("ecc256", "ES256")])
async def test_a_key_that_an_operator_put_at_a_handle_signs(algorithm: str, signs_with: str, tpm: Swtpm) -> None:
    handle = tpm.persisted(algorithm, SIGNS)
    keys = custodian(tpm, Handle(handle))

    key = await keys.open(handle)

    assert await keys.names() == (handle,)
    assert key.public.algorithm == signs_with
    assert await verified(key)


async def test_a_key_in_one_file_signs(tpm: Swtpm, directory: Path) -> None:
    name = await custodian(tpm, KeyDirectory(directory)).make("ec-p256")
    path = directory / name
    keys = custodian(tpm, KeyFile(path))

    assert await keys.names() == (str(path),)
    assert await verified(await keys.open(str(path)))


async def test_a_key_under_the_shared_root_is_found_again(tpm: Swtpm, directory: Path) -> None:
    tpm.tool("createprimary -C o -G ecc256 -c root.ctx")
    tpm.tool("evictcontrol -C o -c root.ctx 0x81000001")
    tpm.tool("flushcontext -t")
    keys = custodian(tpm, KeyDirectory(directory), auth=Reader(AUTH))

    name = await keys.make("rsa-2048")
    assert await verified(await keys.open(name))

    tpm.tool("evictcontrol -C o -c 0x81000001")
    with pytest.raises(KeyUnavailable, match=r"the parent of the key in .* is not in this TPM"):
        await keys.open(name)


@pytest.mark.parametrize(
    ("algorithm", "attributes", "sentence"),
    [
        ("rsa2048:rsassa-sha256:null", f"{SIGNS}|restricted", "is restricted"),
        ("rsa2048", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt", "decrypts and does not sign"),
        ("ecc256", SIGNS.replace("|userwithauth", ""), "only under a policy"),
        ("rsa2048:rsapss-sha256:null", SIGNS, "bound to a scheme"),
        ("rsa1024", SIGNS, "1024 bits"),
        ("hmac:sha256", SIGNS, "no RSA or EC key"),
    ],
)
async def test_a_key_that_cannot_sign_tokens_is_refused(
    algorithm: str, attributes: str, sentence: str, tpm: Swtpm
) -> None:
    handle = tpm.persisted(algorithm, attributes)

    with pytest.raises(KeyUnavailable, match=sentence):
        await custodian(tpm, Handle(handle)).open(handle)


async def test_a_key_that_is_bound_to_a_hash_decides(tpm: Swtpm) -> None:
    handle = tpm.persisted("rsa2048:rsassa-sha384:null", SIGNS)

    key = await custodian(tpm, Handle(handle)).open(handle)
    with pytest.raises(ConfigurationError, match="is bound to RS384, and cannot sign with RS256"):
        await custodian(tpm, Handle(handle), algorithm="RS256").open(handle)

    assert key.public.algorithm == "RS384"
    assert await verified(key)


async def test_an_empty_handle_has_its_sentence(tpm: Swtpm) -> None:
    with pytest.raises(KeyUnavailable) as caught:
        await custodian(tpm, Handle("0x81000042")).open("0x81000042")

    assert caught.value.what == "there is no key at 0x81000042 in this TPM"


async def test_another_key_at_the_same_handle_is_never_used(tpm: Swtpm) -> None:
    handle = tpm.persisted("ecc256", SIGNS)
    key = await custodian(tpm, Handle(handle)).open(handle)

    tpm.tool(f"evictcontrol -C o -c {handle}")
    tpm.persisted("ecc256", SIGNS, handle)

    assert "does not fit its public half" in (await refused(key)).what


async def test_a_key_whose_halves_do_not_fit_is_found_at_the_start(tpm: Swtpm, directory: Path) -> None:
    """Public and private parts of two files, put together: the TPM itself finds that."""
    keys = custodian(tpm, KeyDirectory(directory))
    one, other = [read_wrapped((directory / await keys.make("ec-p256")).read_bytes(), "one") for _ in range(2)]
    mixed = directory / "mixed.tss"
    mixed.write_bytes(to_pem(Wrapped(one.parent, one.public, other.private, wants_auth=False)))

    with pytest.raises(KeyUnavailable, match="does not belong to this TPM"):
        await keys.open(mixed.name)


@pytest.mark.parametrize("kind", ["rsa-2048", "ec-p256"])
async def test_a_signature_that_does_not_fit_never_leaves(kind: Kind, tpm: Swtpm, directory: Path) -> None:
    async with Bus(tpm).tapped() as bus:
        keys = custodian(bus, KeyDirectory(directory))
        name = await keys.make(kind)
        key = await keys.open(name)

        bus.garbled = SIGN
        assert "does not fit its public half" in (await refused(key)).what
        with pytest.raises(KeyUnavailable, match="does not fit its public half"):
            await keys.open(name)


# Auth values


async def test_a_key_with_an_auth_value_signs(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory), auth=Reader(AUTH))

    assert await verified(await keys.open(await keys.make("rsa-2048")))


async def test_no_auth_value_crosses_the_bus_in_the_open(tpm: Swtpm, directory: Path) -> None:
    tpm.tool("changeauth -c owner canary-owner-73b0")
    async with Bus(tpm).tapped() as bus:
        keys = custodian(bus, KeyDirectory(directory), auth=Reader(AUTH), owner=Reader("canary-owner-73b0"))
        key = await keys.open(await keys.make("ec-p256"))
        assert await verified(key)

    assert {CREATE, SIGN} <= set(bus.commands)
    assert b"canary" not in bytes(bus.heard)


@pytest.mark.parametrize("attributes", [SIGNS, f"{SIGNS}|noda"], ids=["counted by the TPM", "not counted"])
async def test_a_wrong_auth_value_is_tried_once_until_it_changes(attributes: str, tpm: Swtpm) -> None:
    handle = tpm.persisted("ecc256", attributes, auth=AUTH)
    read = Reader(AUTH)
    async with Bus(tpm).tapped() as bus:
        key = await custodian(bus, Handle(handle), auth=read).open(handle)
        bus.commands.clear()

        read.value = "wrong"
        assert "refuses the auth value of the key" in (await refused(key)).what
        for _ in range(40):
            assert "is still the same" in (await refused(key)).what
        assert bus.commands.count(SIGN) == 1

        read.value = AUTH
        assert await verified(key)


async def test_a_wrong_owner_auth_value_is_tried_once_until_it_changes(tpm: Swtpm, directory: Path) -> None:
    tpm.tool("changeauth -c owner right")
    read = Reader("wrong")
    keys = custodian(tpm, KeyDirectory(directory), owner=read)

    for sentence in ("refuses the auth value of its owner", "from owner_auth_file, which is still the same"):
        with pytest.raises(ConfigurationError, match=sentence):
            await keys.make("ec-p256")

    read.value = "right"
    assert await verified(await keys.open(await keys.make("ec-p256")))


async def test_an_owner_with_an_auth_value_that_is_not_configured_has_its_sentence(tpm: Swtpm, directory: Path) -> None:
    tpm.tool("changeauth -c owner right")

    with pytest.raises(ConfigurationError) as caught:
        await custodian(tpm, KeyDirectory(directory)).make("ec-p256")

    assert "owner_auth_file" in caught.value.hint


async def test_an_auth_value_too_few_is_a_mistake(tpm: Swtpm, directory: Path) -> None:
    name = await custodian(tpm, KeyDirectory(directory), auth=Reader(AUTH)).make("ec-p256")
    handle = tpm.persisted("ecc256", SIGNS, auth=AUTH)

    async with Bus(tpm).tapped() as bus:
        for place, asked in ((KeyDirectory(directory), name), (Handle(handle), handle)):
            keys = custodian(bus, place)
            for _ in range(3):
                with pytest.raises(ConfigurationError, match="takes an auth value, and none is configured"):
                    await keys.open(asked)
    assert bus.commands.count(SIGN) == 2


async def test_an_auth_value_too_many_is_refused_by_the_tpm(tpm: Swtpm, directory: Path) -> None:
    name = await custodian(tpm, KeyDirectory(directory)).make("ec-p256")

    with pytest.raises(ConfigurationError) as caught:
        await custodian(tpm, KeyDirectory(directory), auth=Reader(AUTH)).open(name)

    assert "or remove that if the key has none" in caught.value.hint


async def test_an_auth_value_that_is_too_long_is_a_mistake(tpm: Swtpm, directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="longer than 32 bytes"):
        await custodian(tpm, KeyDirectory(directory), auth=Reader("x" * 33)).make("ec-p256")


async def test_an_auth_file_that_cannot_be_read_has_its_own_sentence(tpm: Swtpm, directory: Path) -> None:
    read = Reader(AUTH)
    keys = custodian(tpm, KeyDirectory(directory), auth=read)
    key = await keys.open(await keys.make("ec-p256"))

    read.failure = KeyUnavailable("the file /etc/rolecall/auth does not exist")

    assert await refused(key) is read.failure


async def test_lockout_is_told_from_a_wrong_auth_value(tpm: Swtpm) -> None:
    handle = tpm.persisted("ecc256", SIGNS, auth=AUTH)
    key = await custodian(tpm, Handle(handle), auth=Reader(AUTH)).open(handle)
    tpm.tool("dictionarylockout --setup-parameters --max-tries=1 --recovery-time=1000 --lockout-recovery-time=1000")
    other = custodian(tpm, Handle(handle), auth=Reader("wrong"))
    with pytest.raises(ConfigurationError, match="refuses the auth value"):
        await other.open(handle)

    assert "is locked after too many wrong auth values" in (await refused(key)).what

    tpm.tool("dictionarylockout --clear-lockout")
    assert await verified(key)


async def test_a_lockout_that_others_caused_does_not_stop_keys_that_were_made_here(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory), auth=Reader(AUTH))
    key = await keys.open(await keys.make("ec-p256"))
    handle = tpm.persisted("ecc256", SIGNS, auth=AUTH)
    tpm.tool("dictionarylockout --setup-parameters --max-tries=1 --recovery-time=1000 --lockout-recovery-time=1000")
    with pytest.raises(ConfigurationError):
        await custodian(tpm, Handle(handle), auth=Reader("wrong")).open(handle)

    assert await verified(key)


async def test_no_error_shows_an_auth_value(tpm: Swtpm) -> None:
    handle = tpm.persisted("ecc256", SIGNS, auth="right")
    keys = custodian(tpm, Handle(handle), auth=Reader(AUTH))

    with pytest.raises(ConfigurationError) as caught:
        await keys.open(handle)

    assert "canary" not in f"{caught.value.what} {caught.value.hint} {caught.value.__cause__} {keys!r} {vars(keys)}"


# A TPM that is away, slow, busy, or another


async def test_nothing_is_left_in_the_tpm_by_two_hundred_signatures(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory), auth=Reader(AUTH))
    key = await keys.open(await keys.make("ec-p256"))

    for n in range(200):
        await key.sign(b"%d" % n)

    assert transients(tpm) == ""


async def test_a_hundred_at_once_take_turns(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory))
    key = await keys.open(await keys.make("ec-p256"))

    assert all(await asyncio.gather(*(verified(key) for _ in range(100))))


async def test_a_tpm_that_comes_back_is_found_again(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory), auth=Reader(AUTH))
    key = await keys.open(await keys.make("rsa-2048"))
    handle = tpm.persisted("ecc256", SIGNS)
    held = await custodian(tpm, Handle(handle)).open(handle)

    tpm.kill()
    for gone in (key, held):
        assert "the TPM cannot be reached through swtpm:" in (await refused(gone)).what
    tpm.start()

    assert await verified(key)
    assert await verified(held)


async def test_a_tpm_that_dies_in_the_middle_is_found_again(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory))
    key = await keys.open(await keys.make("ec-p256"))

    tpm.freeze()
    signing = asyncio.ensure_future(key.sign(b"message"))
    await settle()
    tpm.kill()
    with pytest.raises(KeyUnavailable, match="cannot be reached"):
        await signing
    tpm.start()

    assert await verified(key)


async def test_the_loop_is_free_while_the_tpm_is_slow(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory))
    key = await keys.open(await keys.make("ec-p256"))

    tpm.freeze()
    signing = [asyncio.ensure_future(key.sign(b"%d" % n)) for n in range(5)]
    await settle()  # the loop turns fifty times
    assert not any(task.done() for task in signing)
    tpm.thaw()

    assert len(await asyncio.gather(*signing)) == 5


async def test_a_tpm_that_hangs_is_given_up_and_holds_one_thread(tpm: Swtpm, directory: Path) -> None:
    clock = FakeClock()
    keys = custodian(tpm, KeyDirectory(directory), clock=clock)
    key = await keys.open(await keys.make("ec-p256"))
    before = threading.active_count()

    tpm.freeze()
    signing = [asyncio.ensure_future(key.sign(b"%d" % n)) for n in range(10)]
    await clock.advance(timedelta(seconds=30))
    for task in signing:
        with pytest.raises(KeyUnavailable, match="has not answered within 30 s"):
            await task
    assert threading.active_count() <= before + 1

    tpm.thaw()
    assert await verified(key)


async def test_a_tpm_may_take_minutes_to_make_a_key_while_signing_has_its_own_patience(
    tpm: Swtpm, directory: Path
) -> None:
    clock = FakeClock()
    keys = custodian(tpm, KeyDirectory(directory), clock=clock)
    key = await keys.open(await keys.make("ec-p256"))

    tpm.freeze()
    making = asyncio.ensure_future(keys.make("ec-p256"))
    signing = asyncio.ensure_future(key.sign(b"message"))
    await clock.advance(timedelta(seconds=100))
    with pytest.raises(KeyUnavailable, match="has not answered within 30 s"):
        await signing
    assert not making.done()
    tpm.thaw()

    assert await verified(await keys.open(await making))
    assert await verified(key)


@pytest.mark.parametrize("code", [RC_RETRY, RC_TESTING], ids=["retry", "testing"])
async def test_a_busy_tpm_is_asked_again(code: int, tpm: Swtpm, directory: Path) -> None:
    clock = FakeClock()
    async with Bus(tpm).tapped() as bus:
        keys = custodian(bus, KeyDirectory(directory), clock=clock)
        key = await keys.open(await keys.make("ec-p256"))

        bus.refusals[SIGN] = [code] * 12  # the TSS gives up after five
        signing = asyncio.ensure_future(verified(key))
        while not signing.done():
            await asyncio.sleep(0.001)
            await clock.advance(timedelta(seconds=0.1))

        assert await signing


async def test_a_tpm_that_stays_busy_is_given_up(tpm: Swtpm, directory: Path) -> None:
    clock = FakeClock()
    async with Bus(tpm).tapped() as bus:
        keys = custodian(bus, KeyDirectory(directory), clock=clock)
        key = await keys.open(await keys.make("ec-p256"))

        bus.commands.clear()
        bus.refusals[SIGN] = [RC_RETRY] * 1000
        signing = asyncio.ensure_future(key.sign(b"message"))
        while not signing.done():
            await asyncio.sleep(0.001)
            await clock.advance(timedelta(seconds=0.5))

        with pytest.raises(KeyUnavailable, match="the TPM is busy"):
            await signing
        assert bus.commands.count(SIGN) <= 30


async def test_a_key_of_another_tpm_is_named(tpm: Swtpm, directory: Path) -> None:
    name = await custodian(tpm, KeyDirectory(directory)).make("ec-p256")

    with running() as other, pytest.raises(KeyUnavailable) as caught:
        await custodian(other, KeyDirectory(directory)).open(name)

    assert caught.value.what == (
        f"the key in {directory / name} does not belong to this TPM: "
        "it is another's, the TPM was cleared, or it is damaged"
    )
    assert "rolecall keys rotate" in caught.value.hint


async def test_a_tpm_that_was_cleared_is_named(tpm: Swtpm, directory: Path) -> None:
    keys = custodian(tpm, KeyDirectory(directory))
    key = await keys.open(await keys.make("ec-p256"))

    tpm.tool("clear")

    assert "the TPM was cleared" in (await refused(key)).what


async def test_a_disabled_hierarchy_is_named(tpm: Swtpm, directory: Path) -> None:
    handle = tpm.persisted("ecc256", SIGNS)
    keys = custodian(tpm, KeyDirectory(directory))
    key = await keys.open(await keys.make("ec-p256"))
    held = await custodian(tpm, Handle(handle)).open(handle)

    tpm.tool("hierarchycontrol -C p shEnable clear")

    for one in (key, held):
        assert "the owner hierarchy of the TPM is disabled" in (await refused(one)).what


# No TPM at all


@pytest.mark.parametrize(
    ("tcti", "error", "sentence"),
    [
        ("device:/dev/no-such-tpm", KeyUnavailable, "there is no TPM at /dev/no-such-tpm"),
        ("nonsense:what", ConfigurationError, "there is no TCTI 'nonsense' on this machine"),
        ("", ConfigurationError, "there is no TCTI '' on this machine"),
        ("swtpm:path=/nowhere/tpm", KeyUnavailable, "the TPM cannot be reached through swtpm:path=/nowhere/tpm: "),
        ("swtpm:nonsense", KeyUnavailable, "the TPM cannot be reached through swtpm:nonsense: "),
    ],
)
async def test_a_tpm_that_is_not_there_has_its_sentence(
    tcti: str, error: type[AgentError], sentence: str, directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = Tpm2(KeyDirectory(directory), tcti=tcti, clock=FakeClock())

    with pytest.raises(error) as caught:
        await keys.make("ec-p256")

    assert caught.value.what.startswith(sentence)
    assert capfd.readouterr().err == ""


async def test_a_device_that_is_not_ours_to_open_names_the_group(tmp_path: Path) -> None:
    device = tmp_path / "tpmrm0"
    device.touch(mode=0o000)
    keys = Tpm2(Handle("0x81000042"), tcti=f"device:{device}", clock=FakeClock())
    we = os.geteuid()
    if we == 0:  # whom no mode keeps out
        os.seteuid(65534)
    try:
        with pytest.raises(KeyUnavailable) as caught:
            await keys.open("0x81000042")
    finally:
        os.seteuid(we)

    assert caught.value.what == f"the TPM at {device} is not open to this user"
    assert "group tss" in caught.value.hint


def test_a_key_shows_its_name_alone() -> None:
    async def sign(message: bytes) -> bytes:
        return message

    key = Tpm2Key(PublicKey("kid-1", "ES256", {}), sign)

    assert repr(key) == "Tpm2Key(kid-1, ES256)"
