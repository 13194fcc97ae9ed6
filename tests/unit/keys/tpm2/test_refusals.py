import os
from pathlib import Path

import pytest

from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from tests.fakes.swtpm import MISSING

if MISSING and not os.environ.get("SKIP_NOTHING"):
    pytest.skip(f"needs {MISSING}", allow_module_level=True)

from tpm2_pytss import TSS2_Exception

from agent.keys.tpm2.refusals import AuthRefused, Busy, Doing, code_of, explained

DEVICE = "device:/dev/no-such-tpm"


def told(number: int, doing: Doing = "sign", tcti: str = DEVICE) -> AgentError:
    with pytest.raises(AgentError) as caught, explained("key.tss", tcti, doing):
        raise TSS2_Exception(number)
    assert isinstance(caught.value.__cause__, TSS2_Exception)
    return caught.value


# Numbers as TPMs give them: with the handle (0x100), parameter (0x1C0) or session (0x900) that they are about.
@pytest.mark.parametrize(
    ("number", "doing", "error", "sentence"),
    [
        (0x922, "sign", Busy, "the TPM is busy"),
        (0x908, "sign", Busy, "the TPM is busy"),
        (0x90A, "owner", Busy, "the TPM is busy"),
        (0x920, "make", Busy, "the TPM is busy"),
        (0x902, "load", KeyUnavailable, "has no room"),
        (0x903, "sign", KeyUnavailable, "has no room"),
        (0x921, "sign", KeyUnavailable, "is locked after too many wrong auth values"),
        (0x100, "owner", KeyUnavailable, "has not been started up"),
        (0x101, "sign", KeyUnavailable, "has failed its own test"),
        (0x98E, "sign", AuthRefused, "refuses the auth value of the key in key.tss"),
        (0x9A2, "sign", AuthRefused, "refuses the auth value of the key in key.tss"),
        (0x9A2, "owner", AuthRefused, "refuses the auth value of its owner hierarchy"),
        (0x185, "owner", KeyUnavailable, "the owner hierarchy of the TPM is disabled"),
        (0x18B, "handle", KeyUnavailable, "there is no key at key.tss"),
        (0x910, "handle", KeyUnavailable, "there is no key at key.tss"),
        (0x18B, "parent", KeyUnavailable, "the parent of the key in key.tss is not in this TPM"),
        (0x1DF, "load", KeyUnavailable, "does not belong to this TPM"),
        (0x2C3, "sign", KeyUnavailable, "does not sign so"),
        (0x1D7, "fit", ConfigurationError, "this TPM makes no key.tss keys"),
        (0x1E6, "fit", ConfigurationError, "this TPM makes no key.tss keys"),
        (0x143, "sign", KeyUnavailable, "the TPM cannot do what was asked with key.tss"),
        (0x7001E, "sign", KeyUnavailable, "the TPM cannot do what was asked with key.tss"),
        (0xA000A, "reach", KeyUnavailable, "there is no TPM at /dev/no-such-tpm"),
    ],
)
def test_every_refusal_has_its_sentence(number: int, doing: Doing, error: type[AgentError], sentence: str) -> None:
    found = told(number, doing)

    assert type(found) is error
    assert sentence in found.what
    assert found.hint


def test_a_resource_manager_that_passes_a_refusal_on_is_no_other_refusal() -> None:
    assert code_of(TSS2_Exception(0x921)) == code_of(TSS2_Exception(0xB0921)) == code_of(TSS2_Exception(0xC0921))
    assert "is locked" in told(0xC0921).what


def test_what_is_no_word_of_a_tpm_is_not_taken_for_one() -> None:
    assert code_of(TSS2_Exception(0xA0921 & 0xFFFFFF)) is None


def test_whose_auth_value_it_was_is_told() -> None:
    owner, key = told(0x9A2, "owner"), told(0x9A2, "sign")

    assert isinstance(owner, AuthRefused)
    assert isinstance(key, AuthRefused)
    assert (owner.of_owner, key.of_owner) == (True, False)


def test_a_device_that_opens_all_the_same_is_not_blamed(tmp_path: Path) -> None:
    device = tmp_path / "tpm0"
    device.touch()

    assert f"cannot be reached through device:{device}" in told(0xA000A, "reach", f"device:{device}").what


def test_an_error_of_ours_goes_through_as_it_is() -> None:
    error = KeyUnavailable("as it is")

    with pytest.raises(KeyUnavailable) as caught, explained("key.tss", DEVICE, "sign"):
        raise error

    assert caught.value is error
