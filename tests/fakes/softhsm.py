"""Real tokens of SoftHSM in a directory of their own, filled with the tools of others; and a module that has moods.

Nothing here logs in within this process: a login holds for all of a process, and would do the work of the tested code.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import pkcs11

from agent.clock import Clock, SystemClock
from agent.keys import Algorithm, Kind, SigningKey
from agent.keys.pkcs11.custodian import Pkcs11, key_uri
from agent.secret import Secret
from tests.fakes.memory_key import pem

PIN: Final = "2460-canary"
SO_PIN: Final = "97531-canary"

_MODULES: Final = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/softhsm/libsofthsm.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
)
MODULE: Final = next((path for path in _MODULES if path.exists()), _MODULES[0])
#: Why there can be no token on this machine, or nothing.
LACKING: Final = ", ".join(
    [tool for tool in ("softhsm2-util", "pkcs11-tool") if shutil.which(tool) is None]
    + ([] if MODULE.exists() else [MODULE.name])
)


class SoftHsm:
    """All tokens under one directory; `where` is it."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.tokens = where / "tokens"

    def token(self, label: str = "hsm", *, pin: str | None = PIN) -> None:
        """Make a token; without a `pin` it has none for its user yet."""
        if pin is None:
            # The free slot is the last one.
            self.tool("--init-token", "--slot-index", str(self.count()), "--label", label, "--so-pin", SO_PIN)
        else:
            _run(
                "softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", SO_PIN
            )  # fmt: skip

    def count(self) -> int:
        """How many tokens there are."""
        return len(list(self.tokens.iterdir()))

    def put(self, private: bytes, label: str, identity: str = "01", *, token: str = "hsm") -> None:
        """Bring in a private key in PKCS#8 PEM, with its public half; `identity` is hexadecimal."""
        path = self.where / "imported.pem"
        path.write_bytes(private)
        command = f"softhsm2-util --import {path} --token {token} --pin {PIN} --id {identity} --force --label"
        _run(*shlex.split(command), label)

    def tool(self, *arguments: str) -> str:
        """Do something with OpenSC's pkcs11-tool, logging in where it is told to by other arguments."""
        return _run("pkcs11-tool", "--module", str(MODULE), *arguments)

    def as_user(self, command: str, *, token: str = "hsm", pin: str = PIN) -> str:
        """Do something with pkcs11-tool as the token's user."""
        return self.tool("--token-label", token, "--login", "--pin", pin, *shlex.split(command))

    def change(self, label: str, attribute: str, value: str, *, token: str = "hsm") -> None:
        """Change an attribute of a private key, in a process of its own; names and value as in Python."""
        program = (
            "import pkcs11; from pkcs11 import *;"
            f"session = pkcs11.lib({str(MODULE)!r}).get_token(token_label={token!r}).open(rw=True, user_pin={PIN!r});"
            "wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: " + repr(label) + "};"
            f"[key] = session.get_objects(wanted); key[Attribute.{attribute}] = {value}"
        )
        _run(sys.executable, "-c", program)

    def take_away(self) -> None:
        """Let the tokens be gone, as if the device had been pulled out."""
        self.tokens.rename(self.where / "away")
        self.tokens.mkdir()

    def bring_back(self) -> None:
        """Let the tokens be there again."""
        self.tokens.rmdir()
        (self.where / "away").rename(self.tokens)


@contextmanager
def softhsm(where: Path) -> Iterator[SoftHsm]:
    """A place for tokens, which all modules of this process and all tools see meanwhile."""
    before = os.environ.get("SOFTHSM2_CONF")
    (where / "tokens").mkdir()
    configuration = where / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {where / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    forget([MODULE])
    try:
        yield SoftHsm(where)
    finally:
        forget([MODULE])
        os.environ.pop("SOFTHSM2_CONF")
        if before is not None:
            os.environ["SOFTHSM2_CONF"] = before


def forget(modules: Iterable[Path]) -> None:
    """End what modules have going on in this process, so that they read their configuration anew."""
    for module in modules:
        with suppress(pkcs11.PKCS11Error):
            pkcs11.lib(os.path.realpath(module)).finalize()


def opened(
    uri: str | None = None,
    *,
    module: Path = MODULE,
    clock: Clock | None = None,
    algorithm: Algorithm | None = None,
    read_pin: Callable[[], Secret] = lambda: Secret(PIN),
    make_keys: bool = True,
) -> Pkcs11:
    """A custodian as assembly puts it together, of the key "rolecall" in the token "hsm" unless told otherwise."""
    return Pkcs11(
        module,
        uri or key_uri(token="hsm", label="rolecall"),
        read_pin,
        clock=clock or SystemClock(),
        random_bytes=os.urandom,
        algorithm=algorithm,
        make_keys=make_keys,
    )


@asynccontextmanager
async def softhsm_keys(where: Path, kinds: Iterable[Kind]) -> AsyncIterator[dict[Kind, SigningKey]]:
    """An opened key of each kind, each in a token of its own place; they sign while this is open."""
    with softhsm(where) as hsm:
        hsm.token()
        keys: dict[Kind, SigningKey] = {}
        custodian = opened()
        for kind in kinds:
            hsm.put(pem(kind), kind, kind.encode().hex())
            keys[kind] = await custodian.open(key_uri(token=None, label=kind))
        try:
            yield keys
        finally:
            await custodian.close()


class Moods:
    """How the module of `moody` behaves, and what it was asked."""

    def __init__(self, where: Path) -> None:
        self._moods = where / "moods"
        self._calls = where / "calls"
        self._lines: dict[str, str] = {}

    def set(self, function: str, *, seconds: float = 0, answer: int = 0, number: int = 0) -> None:
        """Let a function take its time, answer with an error, or tell its `number`: see moody_hsm.c."""
        self._lines[function] = f"{function} {seconds * 1000:.0f} {answer:x} {number:x}\n"
        self._write()

    def clear(self) -> None:
        """Work as usual, from now on and for whoever waits."""
        self._lines.clear()
        self._write()

    def calls(self, function: str) -> int:
        """How often it was called."""
        return self._calls.read_text().splitlines().count(function) if self._calls.exists() else 0

    def _write(self) -> None:
        draft = self._moods.with_suffix(".new")
        draft.write_text("".join(self._lines.values()))
        draft.rename(self._moods)


def compiled(where: Path) -> Path:
    """The module with moods, in front of SoftHSM's."""
    module = where / "moody_hsm.so"
    source = Path(__file__).with_name("moody_hsm.c")
    _run("cc", "-shared", "-fPIC", "-O1", f'-DBEHIND="{MODULE}"', "-o", str(module), str(source), "-ldl")
    return module


@contextmanager
def moody(module: Path, where: Path) -> Iterator[Moods]:
    """Let `module`, as `compiled` made it, follow moods that are set here."""
    names = {"HSM_MOODS": str(where / "moods"), "HSM_CALLS": str(where / "calls")}
    forget([module])
    os.environ.update(names)
    moods = Moods(where)
    try:
        yield moods
    finally:
        moods.clear()
        forget([module])
        for name in names:
            os.environ.pop(name)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout} {done.stderr}"
    return done.stdout
