"""How is a PKCS#11 token reached, and reached again after it was away?

Everything here blocks. The standard's library state is that of a process: a module is initialised once, a login holds
for all sessions with a token, and a module that was not told otherwise may be used by one thread at a time. So there
is one lock for each module, and one memory of the PINs that were refused.
"""

import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final, Protocol, TypeVar

import pkcs11
from pkcs11 import Attribute, ObjectClass, PKCS11Error, TokenFlag

from agent.errors import ConfigurationError, KeyUnavailable
from agent.secret import Secret

T = TypeVar("T")

#: Where packages put modules, to say what there is.
_USUAL: Final = ("/usr/lib*/softhsm", "/usr/lib/*/softhsm", "/usr/lib*/pkcs11", "/usr/lib/*/pkcs11", "/opt/*/lib")
_REFUSALS: Final = (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange)
_MOST_SHOWN: Final = 8
#: The PIN that each token refused last, of (module, serial, label): no custodian of this process shows it again.
_REFUSED: Final[dict[tuple[str, bytes, str], Secret]] = {}


class Library(Protocol):
    """What is used of python-pkcs11's `lib`, whose class cannot be named without loading a module."""

    def get_slots(self) -> list[pkcs11.Slot]:
        """Every place where a token can be."""
        ...

    def reinitialize(self) -> None:
        """End everything that the module has going on in this process, and start again."""
        ...


@cache
def _lock(module: str) -> Lock:  # noqa: ARG001 - it is what the cache goes by
    """The lock of a module, by its real path."""
    return Lock()


class TokenSession:
    """A session with one token, opened when it is needed and again whenever it is lost."""

    def __init__(self, module: Path, label: str | None, serial: str | None, read_pin: Callable[[], Secret]) -> None:
        """Take what tells the token, None being any; `read_pin` is called for each login and raises KeyUnavailable."""
        self._module = module
        self._label = label
        self._serial = serial
        self._read_pin = read_pin
        self._session: pkcs11.Session | None = None
        self._login: pkcs11.Session | None = None
        self._closed = False

    @property
    def origin(self) -> str:
        """The token, as errors name it."""
        if self._label is not None:
            return f"the token {self._label}"
        return f"the token {self._serial}" if self._serial is not None else f"the token behind {self._module}"

    def work(self, job: Callable[[pkcs11.Session], T]) -> T:
        """Do what may be done twice, with a session that works; three times in all, the last with the module restarted.

        Raises KeyUnavailable, and ConfigurationError, after which nothing is tried again: it may have cost a PIN try.
        """
        with _lock(os.path.realpath(self._module)):
            return self._worked(job)

    def look(self, job: Callable[[pkcs11.Session], T]) -> T:
        """Do what `work` does, in a new session from the start: python-pkcs11 is loud about searches in a lost one."""
        with _lock(os.path.realpath(self._module)):
            self._leave()
            return self._worked(job)

    def write(self, job: Callable[[pkcs11.Session], T]) -> T:
        """Do once what changes the token, when it is seen to be there. Raises as `work` does, and PKCS11Error."""
        with _lock(os.path.realpath(self._module)):
            # Asked first, and as often as need be, so that a token that was away is back for the one try there is.
            token = self._worked(lambda session: session.token.slot.get_token())
            session = token.open(rw=True)
            try:
                return job(session)
            finally:
                with suppress(PKCS11Error):
                    session.close()

    def reaffirm(self, session: pkcs11.Session, use: Callable[[Secret], T]) -> T:
        """Show the PIN once more, to a key that wants it for each use. Raises as `work` does."""
        token = session.token
        pin = self._pin_to_show(token)
        try:
            return use(pin)
        except PKCS11Error as error:
            bare = error.with_traceback(None)  # the library's frames hold the PIN as it is
            self._heed(token, pin, bare)
            raise bare from None

    def close(self) -> None:
        """End the sessions. Another custodian with the same token has to log in again, and does so by itself."""
        self._closed = True
        with _lock(os.path.realpath(self._module)):
            for session in filter(None, (self._session, self._login)):
                with suppress(PKCS11Error):
                    session.close()
            self._session = self._login = None

    def _worked(self, job: Callable[[pkcs11.Session], T]) -> T:
        if self._closed:
            raise KeyUnavailable(f"{self.origin} is not used any more", hint="the agent is ending; start it again")
        if self._session is not None:
            with suppress(PKCS11Error, KeyUnavailable):
                return job(self._session)
        # Opened anew first without a restart, which ends the sessions of all others that use this module.
        with suppress(PKCS11Error, KeyUnavailable):
            return job(self._opened())
        self._restart()
        try:
            return job(self._opened())
        except PKCS11Error as error:
            raise self._away(error) from error

    def _opened(self) -> pkcs11.Session:
        self._leave()
        token = self._found()
        session = token.open()
        try:
            if not _sees_private_keys(session):
                self._log_in(token)
        except BaseException:
            with suppress(PKCS11Error):
                session.close()
            raise
        self._session = session
        return session

    def _leave(self) -> None:
        """End the session, but not the login, which others in this process may live on."""
        if self._session is not None:
            with suppress(PKCS11Error):
                self._session.close()
            self._session = None

    def _restart(self) -> None:
        self._session = self._login = None
        with suppress(PKCS11Error, ConfigurationError):
            loaded(self._module).reinitialize()

    def _found(self) -> pkcs11.Token:
        """The one token that is meant. Raises KeyUnavailable if it is not there, ConfigurationError if several are."""
        there = _tokens(loaded(self._module))
        fitting = [
            token
            for token in there
            if self._label in (None, token.label) and self._serial in (None, token.serial.decode("ascii", "replace"))
        ]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            named = self.origin if self._label or self._serial else "a token"
            raise KeyUnavailable(
                f"{named} is not there: {self._module} shows {_listed(there)}",
                hint="plug it in, start what it is reached by, or correct key.token or key.uri",
            )
        raise ConfigurationError(
            f"{len(fitting)} tokens fit what is configured: {_listed(fitting)}",
            hint='name one by its label or serial number, as in key.uri = "pkcs11:token=…;serial=…;object=…"',
        )

    def _log_in(self, token: pkcs11.Token) -> None:
        if not token.flags & TokenFlag.LOGIN_REQUIRED:
            return
        self._check_flags(token.flags)
        pin = self._pin_to_show(token)
        try:
            self._login = token.open(user_pin=pin.reveal())
        except pkcs11.UserAlreadyLoggedIn:
            return
        except PKCS11Error as error:
            self._heed(token, pin, error)
            raise

    def _pin_to_show(self, token: pkcs11.Token) -> Secret:
        """The PIN, unless this token has refused it already: a token that locks has only so many tries."""
        pin = self._read_pin()
        if _REFUSED.get(self._who(token)) == pin:
            raise ConfigurationError(
                f"{self.origin} refused the PIN, which is not tried again while the PIN file says the same",
                hint="write the right PIN to key.pin_file; if it is right now, start the agent again",
            )
        return pin

    def _heed(self, token: pkcs11.Token, pin: Secret, error: PKCS11Error) -> None:
        """Remember a PIN that was wrong. Raises ConfigurationError, or nothing where the PIN is not to blame."""
        if isinstance(error, _REFUSALS):
            _REFUSED[self._who(token)] = pin
            raise ConfigurationError(
                f"{self.origin} refused the PIN; it was tried once, and is not tried again",
                hint="write the right PIN to key.pin_file",
            ) from error
        if isinstance(error, pkcs11.PinLocked):
            raise self._locked() from error
        if isinstance(error, pkcs11.PinExpired):
            raise self._expired() from error
        if isinstance(error, pkcs11.UserPinNotInitialized):
            raise self._without_pin() from error

    def _check_flags(self, flags: TokenFlag) -> None:
        if flags & TokenFlag.USER_PIN_LOCKED:
            raise self._locked()
        if not flags & TokenFlag.USER_PIN_INITIALIZED:
            raise self._without_pin()
        if flags & TokenFlag.USER_PIN_TO_BE_CHANGED:
            raise self._expired()
        if flags & TokenFlag.USER_PIN_FINAL_TRY:
            raise ConfigurationError(
                f"{self.origin} locks its PIN if it is wrong once more, so it is not tried",
                hint=f"log in by hand, which starts the count again: {self._tool} --login --list-objects",
            )

    def _locked(self) -> ConfigurationError:
        return ConfigurationError(
            f"the PIN of {self.origin} is locked after too many wrong tries",
            hint=f"unlock it with the security officer's PIN: {self._tool} --login --login-type so --init-pin",
        )

    def _expired(self) -> ConfigurationError:
        return ConfigurationError(
            f"the PIN of {self.origin} has expired, or must be changed before it is used",
            hint=f"change it: {self._tool} --login --change-pin; then write it to key.pin_file",
        )

    def _without_pin(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self.origin} has no user PIN yet",
            hint=f"set one: {self._tool} --login --login-type so --init-pin",
        )

    def _away(self, error: PKCS11Error) -> KeyUnavailable:
        said = f"{type(error).__name__} {error}".strip()
        return KeyUnavailable(
            f"{self.origin} does not do its work: {said}",
            hint=f"see whether it is plugged in and reachable: {self._tool} --list-slots",
        )

    @property
    def _tool(self) -> str:
        return f"pkcs11-tool --module {shlex.quote(str(self._module))}"

    def _who(self, token: pkcs11.Token) -> tuple[str, bytes, str]:
        return os.path.realpath(self._module), token.serial, token.label


def loaded(module: Path) -> Library:
    """The module, initialised. Raises ConfigurationError for one that cannot be loaded, PKCS11Error."""
    path = os.path.realpath(module)
    if not Path(path).is_file():
        there = sorted(str(file) for place in _USUAL for file in Path("/").glob(f"{place[1:]}/*.so"))
        raise ConfigurationError(
            f"the PKCS#11 module {module} does not exist",
            hint=f"correct key.module; this machine has {_cut(there)}"
            if there
            else "install it, or correct key.module",
        )
    try:
        library: Library = pkcs11.lib(path)
    except PKCS11Error as error:
        if type(error) is PKCS11Error and "loading" in str(error):  # what the library says where dlopen(3) failed
            raise ConfigurationError(
                f"the PKCS#11 module {module} cannot be loaded: {str(error).partition(': ')[2] or 'it is none'}",
                hint="correct key.module, or install what it needs: ldd shows that",
            ) from error
        raise
    return library


def _tokens(library: Library) -> list[pkcs11.Token]:
    """The tokens that are there and initialised; a slot that is broken or empty is none."""
    tokens = []
    for slot in library.get_slots():
        with suppress(PKCS11Error, UnicodeDecodeError):
            token = slot.get_token()
            if token.flags & TokenFlag.TOKEN_INITIALIZED:
                tokens.append(token)
    return tokens


def _sees_private_keys(session: pkcs11.Session) -> bool:
    """Whether this process is logged in already: the library has no way to ask, but what only a user may see tells."""
    try:
        return any(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.PRIVATE: True}))
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeValueInvalid):  # from a token that is not searched in this way
        return False


def _listed(tokens: list[pkcs11.Token]) -> str:
    return _cut([f"{token.label} (serial {token.serial.decode('ascii', 'replace')})" for token in tokens]) or "none"


def _cut(names: list[str]) -> str:
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
