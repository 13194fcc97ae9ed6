import traceback
from pathlib import Path

import pytest

from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import SigningKey
from agent.secret import Secret
from tests.fakes.memory_key import pem
from tests.fakes.softhsm import LACKING, MODULE, PIN, Moods, SoftHsm, opened, softhsm

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"needs {LACKING}")

NAME = "pkcs11:object=rolecall;id=%01"
#: Of CK_TOKEN_INFO, by PKCS#11 v2.40 §3.2.
FINAL_TRY, LOCKED, TO_BE_CHANGED = 0x20000, 0x40000, 0x80000


@pytest.fixture
def hsm(hsm: SoftHsm) -> SoftHsm:
    """One token with one key."""
    hsm.put(pem("ec-p256"), "rolecall")
    return hsm


class PinFile:
    """What the PIN file says now, and how often that was asked."""

    def __init__(self, pin: str) -> None:
        self.pin = pin
        self.reads = 0

    def __call__(self) -> Secret:
        self.reads += 1
        return Secret(self.pin)


# The PIN


async def test_a_wrong_pin_is_shown_to_the_token_once(hsm: SoftHsm, moods: Moods, module: Path) -> None:
    file = PinFile("0000-canary")
    custodian = opened(module=module, read_pin=file)

    with pytest.raises(ConfigurationError, match=r"^the token hsm refused the PIN; it was tried once"):
        await custodian.open(NAME)
    for _ in range(5):
        with pytest.raises(ConfigurationError, match=r"refused the PIN, which is not tried again while the PIN file"):
            await custodian.names()
    with pytest.raises(ConfigurationError, match="not tried again"):
        await opened(module=module, read_pin=file).make("ec-p256")

    assert moods.calls("C_Login") == 1
    assert "user PIN count low" in hsm.tool("--list-token-slots")

    file.pin = PIN
    assert await (await custodian.open(NAME)).sign(b"message")
    assert moods.calls("C_Login") == 2
    assert "user PIN count low" not in hsm.tool("--list-token-slots")


async def test_a_pin_that_became_wrong_while_the_token_was_away_is_tried_once(
    hsm: SoftHsm, moods: Moods, module: Path
) -> None:
    file = PinFile(PIN)
    key = await opened(module=module, read_pin=file).open(NAME)
    hsm.as_user("--change-pin --new-pin 86420")
    moods.set("C_SignInit", answer=0x32)
    with pytest.raises(KeyUnavailable, match="refused the PIN"):
        await key.sign(b"message")
    moods.clear()

    for _ in range(5):
        with pytest.raises(KeyUnavailable, match="refused the PIN"):
            await key.sign(b"message")
    assert moods.calls("C_Login") == 2  # the first, and the one that failed

    file.pin = "86420"
    assert await key.sign(b"message")


@pytest.mark.parametrize(
    ("flag", "said", "todo"),
    [
        (LOCKED, "the PIN of the token hsm is locked after too many wrong tries", "--login-type so --init-pin"),
        (FINAL_TRY, "the token hsm locks its PIN if it is wrong once more, so it is not tried", "log in by hand"),
        (
            TO_BE_CHANGED,
            "the PIN of the token hsm has expired, or must be changed before it is used",
            "--login --change-pin",
        ),
    ],
    ids=["locked", "final try", "to be changed"],
)
async def test_what_the_token_says_of_its_pin_is_heeded_before_any_try(
    flag: int, said: str, todo: str, moods: Moods, module: Path
) -> None:
    moods.set("C_GetTokenInfo", number=flag)

    with pytest.raises(ConfigurationError) as caught:
        await opened(module=module).open(NAME)

    assert caught.value.what == said
    assert todo in caught.value.hint
    assert moods.calls("C_Login") == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (0xA4, "the PIN of the token hsm is locked after too many wrong tries"),
        (0xA3, "the PIN of the token hsm has expired, or must be changed before it is used"),
        (0x102, "the token hsm has no user PIN yet"),
        (0xA1, "the token hsm refused the PIN; it was tried once, and is not tried again"),
        (0xA2, "the token hsm refused the PIN; it was tried once, and is not tried again"),
    ],
    ids=["locked", "expired", "not initialised", "invalid", "length"],
)
async def test_what_the_token_answers_to_a_login_has_its_sentence(
    answer: int, said: str, moods: Moods, module: Path
) -> None:
    moods.set("C_Login", answer=answer)

    with pytest.raises(ConfigurationError) as caught:
        await opened(module=module).open(NAME)

    assert caught.value.what == said
    assert moods.calls("C_Login") == 1


async def test_a_token_without_a_user_pin_says_so(tmp_path: Path) -> None:
    with softhsm(tmp_path) as hsm:
        hsm.token(pin=None)

        with pytest.raises(ConfigurationError) as caught:
            await opened().names()

    assert caught.value.what == "the token hsm has no user PIN yet"
    assert caught.value.hint == f"set one: pkcs11-tool --module {MODULE} --login --login-type so --init-pin"


# python-pkcs11 ends a search that never began, and shows what came of that on stderr.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_token_that_is_not_searched_by_who_may_see_is_logged_in_to(
    hsm: SoftHsm, moods: Moods, module: Path
) -> None:
    await opened(module=module).names()  # which logs in
    moods.set("C_FindObjectsInit", answer=0x12)
    custodian = opened(module=module)
    with pytest.raises(KeyUnavailable, match="does not do its work: AttributeTypeInvalid"):
        await custodian.names()
    assert moods.calls("C_Login") > 1
    moods.clear()

    assert await custodian.names() == [NAME]
    assert "user PIN count low" not in hsm.tool("--list-token-slots")


async def test_a_pin_file_that_cannot_be_read_costs_no_try(moods: Moods, module: Path) -> None:
    def read_pin() -> Secret:
        raise KeyUnavailable("the PIN file is not there", hint="put it there")

    with pytest.raises(KeyUnavailable, match="the PIN file is not there"):
        await opened(module=module, read_pin=read_pin).open(NAME)

    assert moods.calls("C_Login") == 0


async def test_a_key_that_wants_the_pin_for_each_use_gets_it(hsm: SoftHsm) -> None:
    hsm.as_user("--keypairgen --key-type EC:prime256v1 --label strict --id 55 --usage-sign --always-auth")
    file = PinFile(PIN)
    key = await opened("pkcs11:object=strict", read_pin=file).open("pkcs11:object=strict")

    reads = file.reads
    assert await key.sign(b"message")
    assert file.reads == reads + 1

    file.pin = "0000-canary"
    with pytest.raises(KeyUnavailable, match="refused the PIN; it was tried once"):
        await key.sign(b"message")
    with pytest.raises(KeyUnavailable, match="not tried again"):
        await key.sign(b"message")
    file.pin = PIN
    assert await key.sign(b"message")


@pytest.mark.parametrize("label", ["rolecall", "strict"])
async def test_no_error_or_traceback_shows_a_pin(label: str, hsm: SoftHsm) -> None:
    hsm.as_user("--keypairgen --key-type EC:prime256v1 --label strict --id 55 --usage-sign --always-auth")
    file = PinFile(PIN if label == "strict" else "0000-canary")
    custodian = opened(f"pkcs11:object={label}", read_pin=file)
    names = await custodian.names() if label == "strict" else [NAME]
    file.pin = "0000-canary"

    with pytest.raises((ConfigurationError, KeyUnavailable), match="refused the PIN") as caught:
        await custodian.open(names[0])

    error = caught.value
    assert error.__traceback__ is not None
    shown = "".join(
        traceback.TracebackException(type(error), error, error.__traceback__.tb_next, capture_locals=True).format()
    )
    assert "pkcs11/session.py" in shown
    assert "canary" not in shown


# The module and the token


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "does not exist"), (b"", "cannot be loaded: "), (b"no library", "cannot be loaded: ")],
    ids=["missing", "empty", "text"],
)
async def test_a_module_that_is_none_says_so(content: bytes | None, said: str, hsm: SoftHsm) -> None:
    path = hsm.where / "module.so"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        await opened(module=path).names()

    assert caught.value.what.startswith(f"the PKCS#11 module {path} {said}")
    if content is None:
        assert str(MODULE) in caught.value.hint


async def test_no_such_token_lists_what_there_is(hsm: SoftHsm) -> None:
    hsm.token("other")

    with pytest.raises(KeyUnavailable) as caught:
        await opened("pkcs11:token=hms;object=rolecall").names()

    assert caught.value.what.startswith(f"the token hms is not there: {MODULE} shows ")
    assert "hsm (serial " in caught.value.what
    assert "other (serial " in caught.value.what


async def test_two_tokens_with_one_label_are_told_by_their_serial_number(hsm: SoftHsm) -> None:
    hsm.token("hsm")

    with pytest.raises(ConfigurationError) as caught:
        await opened().names()

    assert caught.value.what.startswith("2 tokens fit what is configured: hsm (serial ")
    serials = [part.split(")")[0] for part in caught.value.what.split("(serial ")[1:]]
    names: list[str] = []
    for serial in serials:
        try:
            names += await opened(f"pkcs11:token=hsm;serial={serial};object=rolecall").names()
        except KeyUnavailable:  # the second token is empty
            continue
    assert names == [NAME]


@pytest.mark.usefixtures("hsm")
async def test_the_only_token_needs_no_name() -> None:
    assert await opened("pkcs11:object=rolecall").names() == [NAME]


async def test_several_tokens_are_not_chosen_from(hsm: SoftHsm) -> None:
    hsm.token("other")
    with pytest.raises(ConfigurationError, match=r"^2 tokens fit what is configured: "):
        await opened("pkcs11:object=rolecall").names()


# Going away and coming back


async def test_a_token_that_comes_back_signs_again_without_a_restart(hsm: SoftHsm) -> None:
    key = await opened().open(NAME)
    for _ in range(2):
        hsm.take_away()
        for _ in range(2):
            with pytest.raises(KeyUnavailable) as caught:
                await key.sign(b"message")
            assert caught.value.what == f"the token hsm is not there: {MODULE} shows none"
            assert caught.value.hint.startswith("plug it in, start what it is reached by, or correct ")
        hsm.bring_back()

        assert await key.sign(b"message")


async def test_a_token_that_is_away_at_first_is_used_when_it_comes(hsm: SoftHsm) -> None:
    custodian = opened()
    hsm.take_away()
    with pytest.raises(KeyUnavailable, match="is not there"):
        await custodian.open(NAME)
    with pytest.raises(KeyUnavailable, match="is not there"):
        await custodian.make("ec-p256")
    hsm.bring_back()

    assert await (await custodian.open(NAME)).sign(b"message")


LOSSES = {
    "CKR_GENERAL_ERROR": 0x5,
    "CKR_FUNCTION_FAILED": 0x6,
    "CKR_DEVICE_ERROR": 0x30,
    "CKR_DEVICE_REMOVED": 0x32,
    "CKR_KEY_HANDLE_INVALID": 0x60,
    "CKR_OBJECT_HANDLE_INVALID": 0x82,
    "CKR_SESSION_CLOSED": 0xB0,
    "CKR_SESSION_HANDLE_INVALID": 0xB3,
    "CKR_TOKEN_NOT_PRESENT": 0xE0,
    "CKR_USER_NOT_LOGGED_IN": 0x101,
    "CKR_CRYPTOKI_NOT_INITIALIZED": 0x190,
    "CKR_VENDOR_DEFINED": 0x80000123,
}


@pytest.fixture
async def key(moods: Moods, module: Path) -> SigningKey:
    moods.clear()
    return await opened(module=module).open(NAME)


@pytest.mark.parametrize("function", ["C_SignInit", "C_Sign"])
@pytest.mark.parametrize("answer", LOSSES.values(), ids=LOSSES.keys())
async def test_whatever_the_token_answers_the_next_signature_may_be_good(
    answer: int, function: str, key: SigningKey, moods: Moods
) -> None:
    moods.set(function, answer=answer)
    with pytest.raises(KeyUnavailable) as caught:
        await key.sign(b"message")
    assert caught.value.what.startswith("the token hsm does not do its work: ")
    assert caught.value.hint.startswith("see whether it is plugged in and reachable: pkcs11-tool --module ")
    moods.clear()

    assert await key.sign(b"message")


async def test_a_module_that_cannot_start_is_tried_again(key: SigningKey, moods: Moods) -> None:
    moods.set("C_Initialize", answer=0x5)
    moods.set("C_SignInit", answer=0x30)
    for _ in range(2):
        with pytest.raises(KeyUnavailable):
            await key.sign(b"message")
    moods.clear()

    assert await key.sign(b"message")


async def test_two_custodians_of_one_token_leave_each_other_in_peace(moods: Moods, module: Path) -> None:
    first, second = opened(module=module), opened(module=module)
    keys = [await custodian.open(NAME) for custodian in (first, second)]

    for _ in range(10):
        for key in keys:
            assert await key.sign(b"message")

    assert moods.calls("C_Initialize") == 1
    assert moods.calls("C_Login") == 1

    await first.close()
    for _ in range(10):
        assert await keys[1].sign(b"message")
    assert moods.calls("C_Initialize") == 1
    assert moods.calls("C_Login") == 2


@pytest.mark.usefixtures("hsm")
async def test_the_keys_of_a_closed_custodian_sign_no_more() -> None:
    custodian = opened()
    key = await custodian.open(NAME)
    await custodian.close()
    await custodian.close()

    with pytest.raises(KeyUnavailable, match="is not used any more"):
        await key.sign(b"message")
