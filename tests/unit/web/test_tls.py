import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from agent.errors import ListenerUnavailable
from agent.events import CertificateRefused, CertificateReloaded, Event
from agent.web.tls import LOOK_EVERY, Files, ShownCertificate, read_pair
from tests.fakes.certificates import DAY, Issued, authority, pem, put, root
from tests.fakes.clock import START, FakeClock, settle
from tests.fakes.report import Reported

EVERY = timedelta(seconds=LOOK_EVERY)


def leaf(*, until: timedelta = 90 * DAY, since: timedelta = -DAY) -> Issued:
    return authority().issue("oidc.example.com", since=START + since, until=START + until)


def seen_through(context: ssl.SSLContext) -> tuple[x509.Certificate, str]:
    """What a client is shown, and the version of TLS: hands are shaken in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    ends = [ssl.MemoryBIO() for _ in range(4)]
    near = client.wrap_bio(ends[0], ends[1])
    far = context.wrap_bio(ends[2], ends[3], server_side=True)
    for _ in range(6):
        for side in (near, far):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        ends[2].write(ends[1].read())
        ends[0].write(ends[3].read())
    shown = near.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown), str(near.version())


class Scene:
    """A certificate on the disk, and whoever shows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.told = Reported()
        self.path, self.secret = put(folder, leaf())
        self.shown = ShownCertificate(Files(self.path, self.secret), self.clock, self.told)

    @property
    def certificate(self) -> x509.Certificate:
        return seen_through(self.shown.context)[0]

    def refused(self) -> list[str]:
        return [event.error.what for event in self.told.of(CertificateRefused)]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_what_is_shown_is_what_lies_there_with_all_that_is_above_it(scene: Scene) -> None:
    issued = leaf()
    put(scene.folder, issued)
    await scene.shown.load()
    assert scene.certificate == issued.certificate
    assert scene.told == [CertificateReloaded(str(scene.path), START + 90 * DAY)]


async def test_old_versions_of_tls_are_not_spoken(scene: Scene) -> None:
    await scene.shown.load()
    assert seen_through(scene.shown.context)[1] == "TLSv1.2"
    assert scene.shown.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert scene.shown.context.keylog_filename is None


async def test_a_renewed_certificate_is_shown_from_the_next_look_on(scene: Scene) -> None:
    await scene.shown.load()
    renewed = leaf(until=180 * DAY)
    put(scene.folder, renewed)
    await scene.shown.look()
    assert scene.certificate == renewed.certificate
    assert scene.told[1:] == [CertificateReloaded(str(scene.path), START + 180 * DAY)]


async def test_it_is_looked_for_every_half_minute(scene: Scene) -> None:
    seen = asyncio.Queue[Event]()
    shown = ShownCertificate(Files(scene.path, scene.secret), scene.clock, seen.put_nowait)
    await shown.load()
    await seen.get()
    looking = asyncio.ensure_future(shown.keep_fresh())
    for days in (180, 270):
        put(scene.folder, leaf(until=days * DAY))
        await scene.clock.advance(EVERY - timedelta(seconds=1))
        assert seen.empty()
        await scene.clock.advance(timedelta(seconds=1))
        async with asyncio.timeout(10):  # a real thread reads
            assert await seen.get() == CertificateReloaded(str(scene.path), START + days * DAY)
        await settle()
    looking.cancel()


async def test_files_that_have_not_changed_are_not_told_of_again(scene: Scene) -> None:
    await scene.shown.load()
    for _ in range(3):
        await scene.shown.look()
    assert len(scene.told) == 1


async def test_a_link_that_comes_to_lead_elsewhere_is_a_change(scene: Scene, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        put(tmp_path / name, leaf(until=(10 if name == "old" else 20) * DAY))
    for file in ("fullchain.pem", "privkey.pem"):
        (tmp_path / file).unlink()
        (tmp_path / file).symlink_to(f"old/{file}")
    await scene.shown.load()
    for file in ("fullchain.pem", "privkey.pem"):
        (tmp_path / file).unlink()
        (tmp_path / file).symlink_to(f"new/{file}")
    await scene.shown.look()
    assert [event.not_after for event in scene.told.of(CertificateReloaded)] == [START + 10 * DAY, START + 20 * DAY]


# --- what is not taken


async def test_a_half_replaced_pair_is_not_shown_and_not_worth_a_word_if_the_rest_follows(scene: Scene) -> None:
    await scene.shown.load()
    before, renewed = scene.certificate, leaf(until=180 * DAY)
    scene.path.write_bytes(renewed.chain)
    await scene.shown.look()
    assert scene.certificate == before
    put(scene.folder, renewed)
    await scene.shown.look()
    assert scene.certificate == renewed.certificate
    assert scene.refused() == []


async def test_a_pair_that_stays_half_replaced_is_told_of_once(scene: Scene) -> None:
    await scene.shown.load()
    before = scene.certificate
    scene.path.write_bytes(leaf(until=180 * DAY).chain)
    for _ in range(5):
        await scene.shown.look()
    assert scene.certificate == before
    assert scene.refused() == [f"the private key in {scene.secret} does not belong to the certificate in {scene.path}"]


async def test_trouble_that_comes_back_is_told_of_again(scene: Scene) -> None:
    await scene.shown.load()
    for _ in range(2):
        kept = scene.path.read_bytes()
        scene.path.write_bytes(b"")
        for _ in range(3):
            await scene.shown.look()
        scene.path.write_bytes(kept)
        await scene.shown.look()
    assert len(scene.refused()) == 2


async def test_a_certificate_that_has_ended_does_not_replace_one_that_has_not(scene: Scene) -> None:
    await scene.shown.load()
    before = scene.certificate
    put(scene.folder, leaf(since=-9 * DAY, until=-DAY))
    for _ in range(2):
        await scene.shown.look()
    assert scene.certificate == before
    assert scene.refused() == [f"the certificate in {scene.path} has ended, on 2026-11-19T12:00:00Z"]


async def test_a_certificate_of_tomorrow_is_taken_tomorrow(scene: Scene) -> None:
    await scene.shown.load()
    tomorrow = leaf(since=DAY)
    put(scene.folder, tomorrow)
    await scene.shown.look()
    assert scene.certificate != tomorrow.certificate
    scene.clock.step(DAY + timedelta(seconds=1))
    await scene.shown.look()
    assert scene.certificate == tomorrow.certificate


async def test_at_the_start_dates_do_not_matter_since_the_clock_may_be_wrong(scene: Scene) -> None:
    scene.clock.step(timedelta(days=-20_000))
    await scene.shown.load()
    assert [event.not_after for event in scene.told.of(CertificateReloaded)] == [START + 90 * DAY]


async def test_files_that_vanish_take_nothing_away(scene: Scene) -> None:
    await scene.shown.load()
    before = scene.certificate
    scene.secret.unlink()
    for _ in range(2):
        await scene.shown.look()
    assert scene.certificate == before
    assert scene.refused() == [f"{scene.secret} cannot be read: No such file or directory"]


def encrypted(issued: Issued) -> bytes:
    return issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary"))


BAD: dict[str, tuple[Callable[[Issued], tuple[bytes, bytes]], str]] = {
    "no certificate": (lambda one: (one.secret, one.secret), "fullchain.pem holds no certificate in PEM"),
    "no key": (lambda one: (one.chain, one.chain), "privkey.pem holds no private key in PEM"),
    "encrypted": (lambda one: (one.chain, encrypted(one)), "can be used without a passphrase"),
    "another key": (lambda one: (one.chain, leaf().secret), "does not belong to the certificate"),
    "authority first": (
        lambda one: (pem(authority().certificate) + pem(one.certificate), one.secret),
        "are not each issued by the next",
    ),
    "a link missing": (
        lambda one: (pem(one.certificate) + pem(root().certificate), one.secret),
        "are not each issued by the next",
    ),
    "cut off": (lambda one: (one.chain[:-30], one.secret), "or a damaged one"),
    "half a key": (lambda one: (one.chain, one.secret[:-60]), "privkey.pem holds no private key"),
    "empty": (lambda _: (b"", b""), "fullchain.pem holds no certificate"),
}


@pytest.mark.parametrize("name", BAD)
async def test_at_the_start_a_pair_that_is_none_is_refused_with_its_file_and_nothing_of_the_key(
    scene: Scene, name: str
) -> None:
    content, said = BAD[name]
    one = leaf()
    for place, written in zip((scene.path, scene.secret), content(one), strict=True):
        place.write_bytes(written)
    with pytest.raises(ListenerUnavailable, match=said) as refused:
        await scene.shown.load()
    assert refused.value.hint
    assert scene.told == []
    assert one.secret.decode().splitlines()[1] not in f"{refused.value} {refused.value.__cause__!r}"


def test_a_key_file_may_hold_the_chain_as_well(tmp_path: Path) -> None:
    issued = leaf()
    path, secret = put(tmp_path, issued)
    secret.write_bytes(issued.secret + issued.chain)
    assert seen_through(read_pair(Files(path, secret)).context)[0] == issued.certificate


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_private_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path, secret = put(tmp_path, leaf())
    secret.chmod(mode)
    with pytest.raises(ListenerUnavailable, match=rf"open to others than its owner \(mode {mode:04o}\)"):
        read_pair(Files(path, secret))


def test_systemd_may_hand_over_a_key_by_an_access_list_which_shows_as_group_bits(tmp_path: Path) -> None:
    path, secret = put(tmp_path, leaf())
    secret.chmod(0o440)
    read_pair(Files(path, secret, credentials_directory=tmp_path))
    secret.chmod(0o444)
    with pytest.raises(ListenerUnavailable, match="open to others"):
        read_pair(Files(path, secret, credentials_directory=tmp_path))


@pytest.mark.parametrize("which", ["fullchain.pem", "privkey.pem"])
@pytest.mark.parametrize("trap", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_without_waiting_for_it(
    tmp_path: Path, which: str, trap: Callable[[Path], None]
) -> None:
    path, secret = put(tmp_path, leaf())
    (tmp_path / which).unlink()
    trap(tmp_path / which)
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(ListenerUnavailable, match=which) as refused:
        read_pair(Files(path, secret))
    assert len([*Path("/proc/self/fd").iterdir()]) == before  # for it is looked at twice a minute
    assert "[publishing]" not in refused.value.hint  # it may as well be [aws_callers]


def test_the_key_is_left_in_no_file_and_no_descriptor(tmp_path: Path) -> None:
    path, secret = put(tmp_path, leaf())
    before = sorted(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        read_pair(Files(path, secret))
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["fullchain.pem", "privkey.pem"]


class Hanging(type(Path())):  # type: ignore[misc]  # the class for this system, which is chosen at run time
    """A path on a file server that is gone, until `back` is set."""

    back = threading.Event()
    reached = threading.Event()
    asked = 0

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        if Path(self).exists():
            type(self).asked += 1
            self.reached.set()
            assert self.back.wait(30)
        found = Path(self).stat(follow_symlinks=follow_symlinks)
        assert isinstance(found, os.stat_result)
        return found


async def test_a_file_server_that_is_gone_holds_one_thread_and_takes_nothing_away(scene: Scene) -> None:
    Hanging.back.set()
    shown = ShownCertificate(Files(Hanging(scene.path), scene.secret), scene.clock, scene.told)
    await shown.load()
    Hanging.back.clear()
    Hanging.reached.clear()
    Hanging.asked = 0
    for _ in range(3):
        looking = asyncio.ensure_future(shown.look())
        await scene.clock.advance(timedelta(seconds=10))
        await looking
    assert await asyncio.to_thread(Hanging.reached.wait, 30)  # however late the thread begins
    assert scene.refused() == [f"the certificate {scene.path} cannot be read: no answer for 10 s"]
    assert Hanging.asked == 1
    Hanging.back.set()
    renewed = leaf(until=180 * DAY)
    put(scene.folder, renewed)
    await shown.look()
    assert seen_through(shown.context)[0] == renewed.certificate
