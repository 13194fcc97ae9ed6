"""A host that walks from one key to the next, on real files, by a clock that others turn; killed wherever it is told.

    python -m tests.live.rotating HOME FIRST STEP

takes the walk from its beginning, killed at its FIRST moment, then at FIRST+STEP and so on, until a walk ends before it
is killed. After each kill another process goes on to the end of the walk. A moment is one at which something is done to
a file: opened, renamed, linked, removed. Prints how many walks were killed; what is wrong is a traceback.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from agent.custody import Custody
from agent.errors import KeyUnavailable
from agent.keys.pem_store import PemStore
from agent.ledger import Ledger
from agent.publishing import Sighting
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.discovery import JWKS_PATH, kid_of, read_key_set
from agent.ring import LEAST_ANNOUNCED, LEAST_KEPT, Order, Rules
from agent.ring_file import NAME, RingFile
from agent.rotation import Rotation, Site

STEP: Final = timedelta(minutes=59)
RULES: Final = Rules(None, LEAST_ANNOUNCED, LEAST_KEPT)
#: More moments than this a walk cannot have: then it turns in circles.
MOST: Final = 5000


class Turned:
    """A clock that reads its time in a file: true, wall and steady are one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def passed(self) -> timedelta:
        return timedelta(seconds=float(self._path.read_text())) if self._path.exists() else timedelta(0)

    def turn(self, by: timedelta) -> None:
        self._path.write_text(str((self.passed() + by).total_seconds()))

    def now(self) -> datetime:
        return datetime(2026, 11, 20, tzinfo=UTC) + self.passed()

    def steady(self) -> float:
        return 1000.0 + self.passed().total_seconds()

    async def sleep(self, _seconds: float) -> None:
        raise AssertionError("no step of a rotation sleeps")


@dataclass(frozen=True, slots=True)
class Host:
    """The files of a host, of its site, and of those who watch it: what is under `watch` is no moment to be killed."""

    home: Path

    @property
    def watch(self) -> Path:
        return self.home / "watch"

    @property
    def clock(self) -> Turned:
        return Turned(self.watch / "clock")

    def note(self, *words: str) -> None:
        with (self.watch / "notes").open("a") as notes:
            notes.write(json.dumps([self.clock.passed().total_seconds(), *words]) + "\n")

    def notes(self) -> Iterator[tuple[timedelta, str, list[str]]]:
        with suppress(FileNotFoundError):
            for line in (self.watch / "notes").read_text().splitlines():
                seconds, what, *words = json.loads(line)
                yield timedelta(seconds=seconds), what, words

    def on_site(self) -> dict[str, dict[str, object]]:
        path = self.home / "site" / JWKS_PATH
        return {kid_of(key): dict(key) for key in read_key_set(path.read_bytes())} if path.exists() else {}

    async def look(self) -> Sighting:
        keys = self.on_site()
        self.note("look", *keys)
        return Sighting(keys, 300)

    def rotation(self) -> Rotation:
        publisher = DirectoryPublisher(self.home / "site", "https://oidc.example.com", max_age=timedelta(minutes=5))
        return Rotation(
            Custody(PemStore(directory=self.home / "keys")),
            Site(publisher, self, timedelta(minutes=30)),
            RULES,
            ledger=Ledger(RingFile(self.home / "state"), clock=self.clock, boot="boot-1", report=lambda _: None),
            clock=self.clock,
            report=lambda _: None,
        )


def founded(home: Path) -> Host:
    host = Host(home)
    for name in ("state", "site", "watch", "keys"):
        (home / name).mkdir(parents=True)
    PemStore(directory=home / "keys").make_now("ec-p256")
    return host


async def walk(host: Host) -> None:
    """Live until an ordered rotation, and then an emergency, are over; from wherever others were when they ended."""
    rotation = host.rotation()
    await rotation.start()
    while True:
        sign(host, rotation)
        await rotation.turn()
        sign(host, rotation)
        check_ring(host)
        ring = rotation.ring
        assert ring is not None
        rests = len(ring.members) == 1 and not ring.forgotten and ring.ordered is None
        if rests and not await order_next(host, rotation, ring.signing.public.kid):
            return
        assert host.clock.passed() < timedelta(days=3), "the walk does not end"
        host.clock.turn(STEP)


async def order_next(host: Host, rotation: Rotation, signing: str) -> bool:
    """Give the next order, or the one again of which nobody knows whether it was heard; False if there is none."""
    given = [(what, words) for _, what, words in host.notes() if what in {"orders", "heard"}]
    orders: list[Order] = ["rotate", "emergency"]
    count = sum(what == "orders" for what, _ in given)
    if given and given[-1][1][1] == signing:
        assert given[-1][0] == "orders", "an order was lost"
        order = orders[count - 1]
    elif count < len(orders):
        order = orders[count]
        host.note("orders", order, signing)
    else:
        return False
    await rotation.order(order)
    host.note("heard", order, signing)
    return True


def sign(host: Host, rotation: Rotation) -> None:
    with suppress(KeyUnavailable):
        host.note("signed", rotation.signer().public.kid)


def check_ring(host: Host) -> None:
    """What is shown has its private key; read without any code that wrote it."""
    ring = json.loads((host.home / "state" / NAME).read_text())
    for key in ring["keys"]:
        assert (host.home / "keys" / key["held"]["name"]).is_file(), "a private key is lost that is shown"


def judge(host: Host) -> None:
    """Was every token signed with a key that was due, and was each shown for long enough afterwards?"""
    since: dict[str, timedelta] = {}
    missing: dict[str, timedelta] = {}
    signed: dict[str, timedelta] = {}
    hurried, signing = False, ""
    for at, what, words in host.notes():
        if what == "look":
            since = {kid: since.get(kid, at) for kid in words}
            missing = {kid: missing.get(kid, at) for kid in signed if kid not in words}
        elif what in {"orders", "heard"}:
            hurried = hurried or words[0] == "emergency"
        elif words[0] != signing:
            assert not signing or hurried or at - since[words[0]] >= LEAST_ANNOUNCED, "a key signed before its time"
            assert words[0] not in signed, "a key signs that was retired"
            signing = words[0]
        if what == "signed":
            signed[signing] = at
    assert len(signed) == 3, signed
    first, stolen, last = signed
    assert missing[first] - signed[first] >= LEAST_KEPT, "a key was taken away before its time"
    assert list(host.on_site()) == [last], "a key is shown that is not to be"
    names = [path.stem for path in (host.home / "keys").glob("*.pem")]
    assert last in names, "the private key that signs is lost"
    assert stolen not in names, "a stolen key was kept"


def armed(moment: int, watch: Path) -> None:
    """Have this process killed at so many moments from now."""
    left = [moment]

    def count(event: str, args: tuple[object, ...]) -> None:
        if event in {"open", "os.rename", "os.link", "os.remove"}:
            if str(args[0]).startswith(str(watch)) or str(args[0]).endswith((".py", ".pyc")):
                return
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def live(host: Host, moment: int | None) -> int:
    """Walk in a process of its own; how that ended."""
    child = os.fork()
    if child == 0:
        try:
            if moment is not None:
                armed(moment, host.watch)
            asyncio.run(walk(host))
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the parent goes on to judge
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(home: Path, first: int, step: int) -> None:
    ec.generate_private_key(ec.SECP256R1())  # once, before there are children
    for killed, moment in enumerate(range(first, MOST, step)):
        host = founded(home / str(moment))
        end = live(host, moment)
        if end == 0:
            judge(host)
            sys.stdout.write(f"{killed}\n")
            return
        assert end == -signal.SIGKILL, f"killed at {moment}: it ended by itself"
        assert live(host, None) == 0, f"killed at {moment}: the next process did not go on"
        judge(host)
    raise AssertionError("a walk has no end")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
