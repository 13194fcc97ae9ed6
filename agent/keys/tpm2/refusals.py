"""What does a TPM mean by the number that it refuses with, and whose turn is it?

The numbers are those of TPM 2.0 part 2, §6.6.3, and of the TSS 2.0 overview, §3.10.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from tpm2_pytss import TSS2_Exception
from tpm2_pytss.constants import TPM2_RC

from agent.errors import AgentError, ConfigurationError, KeyUnavailable

#: What was being done when the TPM refused; the same number means different things.
Doing = Literal["reach", "owner", "parent", "handle", "load", "sign", "make", "fit"]


class Busy(KeyUnavailable):
    """The TPM asks to be asked again in a moment."""


class AuthRefused(KeyUnavailable):
    """An auth value is wrong: of the owner hierarchy, or of the key. Asking again may lock the TPM for everybody."""

    def __init__(self, what: str, *, hint: str = "", of_owner: bool = False) -> None:
        """Say whose auth value, too."""
        super().__init__(what, hint=hint)
        self.of_owner = of_owner


#: Bits 16 to 23 tell who speaks: the TPM itself, or a resource manager that passes on what it said.
_TPM_LAYERS: Final = {0, 11, 12}
#: The TCTI itself, and what finds its library.
_WAY_THERE: Final = {10, 14}

_BUSY: Final = {
    int(code)
    for code in (TPM2_RC.RETRY, TPM2_RC.YIELDED, TPM2_RC.TESTING, TPM2_RC.CANCELED, TPM2_RC.NV_RATE)
}  # fmt: skip
_FULL: Final = {
    int(code)
    for code in (TPM2_RC.OBJECT_MEMORY, TPM2_RC.SESSION_MEMORY, TPM2_RC.OBJECT_HANDLES, TPM2_RC.SESSION_HANDLES)
}  # fmt: skip
_WRONG_AUTH: Final = {int(TPM2_RC.BAD_AUTH), int(TPM2_RC.AUTH_FAIL)}
#: There is nothing at a handle, or nothing that can be seen.
NOT_THERE: Final = {int(TPM2_RC.HANDLE), int(TPM2_RC.HIERARCHY), int(TPM2_RC.REFERENCE_H0), int(TPM2_RC.VALUE)}

#: It has no such hash, or not with this key.
_NOT_SO: Final = {int(TPM2_RC.HASH), int(TPM2_RC.SCHEME), int(TPM2_RC.VALUE)}

_CLEARED: Final = "make a new key, and have it announced and published before it signs: rolecall keys rotate"


@contextmanager
def explained(origin: str, tcti: str, doing: Doing) -> Iterator[None]:
    """Turn what the TSS raises into an error that says whose turn it is; `origin` names the key."""
    try:
        yield
    except TSS2_Exception as error:
        raise explanation(error, origin, tcti, doing) from error


def code_of(error: TSS2_Exception) -> int | None:
    """The number of a TPM's refusal, without which handle or parameter it is about; None if no TPM spoke."""
    if (error.rc >> 16) & 0xFF not in _TPM_LAYERS:
        return None
    number = int(error.rc) & 0xFFFF
    return 0x80 | (number & 0x3F) if number & 0x80 else number


def explanation(error: TSS2_Exception, origin: str, tcti: str, doing: Doing) -> AgentError:
    """The error of ours for one of the TSS."""
    code = code_of(error)
    if code is None:
        return _unreachable(error, tcti) if (error.rc >> 16) & 0xFF in _WAY_THERE else _unknown(error, origin)
    return _of_the_tpm(code) or _of_what_was_asked(code, origin, doing) or _unknown(error, origin)


def _of_the_tpm(code: int) -> KeyUnavailable | None:
    """What is so whatever was asked."""
    if code in _BUSY:
        return Busy(
            "the TPM is busy, and stays so however often it is asked", hint="see what else uses it, and try again"
        )
    if code in _FULL:
        return KeyUnavailable(
            "the TPM has no room for another key or session",
            hint='use the resource manager, tcti = "device:/dev/tpmrm0"; make room with: tpm2_flushcontext -t',
        )
    if code == TPM2_RC.LOCKOUT:
        return KeyUnavailable(
            "the TPM is locked after too many wrong auth values, whoever gave them",
            hint="wait until it recovers (tpm2_getcap properties-variable), or: tpm2_dictionarylockout --clear-lockout",
        )
    if code == TPM2_RC.INITIALIZE:
        return KeyUnavailable(
            "the TPM has not been started up, which is the firmware's work",
            hint="restart the machine; a simulator is started with: tpm2_startup -c",
        )
    if code == TPM2_RC.FAILURE:
        return KeyUnavailable(
            "the TPM has failed its own test and does nothing any more", hint="restart the machine, or replace the TPM"
        )
    return None


def _of_what_was_asked(code: int, origin: str, doing: Doing) -> AgentError | None:
    if code in _WRONG_AUTH:
        return _wrong_auth(origin, doing)
    if doing == "owner" and code == TPM2_RC.HIERARCHY:
        return owner_disabled()
    if doing in ("handle", "parent") and code in NOT_THERE:
        return _not_there(origin, doing)
    if doing == "load":
        # An integrity or size that is wrong, a handle that does not fit: the blob was not wrapped for this parent.
        return KeyUnavailable(
            f"the key in {origin} does not belong to this TPM: it is another's, the TPM was cleared, or it is damaged",
            hint=_CLEARED,
        )
    return _not_done(code, origin, doing)


def _not_there(origin: str, doing: Doing) -> KeyUnavailable:
    if doing == "handle":
        return KeyUnavailable(
            f"there is no key at {origin} in this TPM",
            hint="see what there is with: tpm2_getcap handles-persistent; a TPM that was cleared has lost its keys",
        )
    return KeyUnavailable(
        f"the parent of the key in {origin} is not in this TPM: it is another's, or the TPM was cleared", hint=_CLEARED
    )


def _not_done(code: int, origin: str, doing: Doing) -> AgentError | None:
    if doing == "sign" and code in _NOT_SO:
        return KeyUnavailable(
            f"the TPM does not sign so with the key in {origin}", hint='set algorithm = "RS256", or leave it out'
        )
    if doing == "fit":
        return ConfigurationError(
            f"this TPM makes no {origin} keys", hint="most TPMs make rsa-2048 and ec-p256: choose one of these"
        )
    return None


def _wrong_auth(origin: str, doing: Doing) -> AuthRefused:
    if doing == "owner":
        return AuthRefused(
            "the TPM refuses the auth value of its owner hierarchy",
            hint="put the right one into owner_auth_file, which takes none where the owner has none; it is not tried "
            "again until the file changes",
            of_owner=True,
        )
    return AuthRefused(
        f"the TPM refuses the auth value of the key in {origin}",
        hint="put the right one into auth_file, or remove that if the key has none; it is not tried again until the "
        "file changes",
    )


def owner_disabled() -> KeyUnavailable:
    """What is said where the owner (storage) hierarchy has been switched off."""
    return KeyUnavailable(
        "the owner hierarchy of the TPM is disabled, and all keys under it with it",
        hint="enable the TPM's storage hierarchy in the firmware, and restart the machine",
    )


def _unknown(error: TSS2_Exception, origin: str) -> KeyUnavailable:
    return KeyUnavailable(
        f"the TPM cannot do what was asked with {origin}: {error}", hint="look the number up with: tpm2_rc_decode"
    )


def no_such_tcti(tcti: str) -> ConfigurationError:
    """What is said of a `tcti` whose library is not there."""
    name = tcti.partition(":")[0]
    return ConfigurationError(
        f"there is no TCTI {name!r} on this machine",
        hint=f'write tcti = "device:/dev/tpmrm0", or install the library libtss2-tcti-{name}',
    )


def _unreachable(error: TSS2_Exception, tcti: str) -> KeyUnavailable:
    name, _, where = tcti.partition(":")
    if name == "device":
        problem = _of_the_device(Path(where or "/dev/tpm0"))
        if problem is not None:
            return problem
    return KeyUnavailable(
        f"the TPM cannot be reached through {tcti}: {error}", hint="see whether it is there with: tpm2_getrandom 4"
    )


def _of_the_device(path: Path) -> KeyUnavailable | None:
    """Why a device cannot be opened: the TSS tells only that it cannot."""
    number = 0
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        number = error.errno or errno.EIO
    else:
        with suppress(OSError):
            os.close(descriptor)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR):
        return KeyUnavailable(
            f"there is no TPM at {path}",
            hint="enable it in the firmware; for a service of systemd: PrivateDevices=no, DeviceAllow=/dev/tpmrm0 rw",
        )
    if number in (errno.EACCES, errno.EPERM):
        return KeyUnavailable(
            f"the TPM at {path} is not open to this user",
            hint="make the user a member of the group tss: SupplementaryGroups=tss, DeviceAllow=/dev/tpmrm0 rw",
        )
    if number == errno.EBUSY:
        return KeyUnavailable(f"another program holds {path}", hint='share the TPM: tcti = "device:/dev/tpmrm0"')
    return None
