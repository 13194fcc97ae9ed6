import base64
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from agent.errors import ConfigurationError, PublishingFailed
from agent.keys.halves import described, fit
from agent.publishing import Jwk
from agent.publishing.certificates import LARGEST, WithCertificates, read_chains
from agent.publishing.discovery import JWKS_PATH, published
from agent.publishing.shelf import Shelf
from tests.fakes.certificates import DAY, Issued, Private, authority, pem, root
from tests.fakes.clock import START, FakeClock
from tests.fakes.key_files import private


def jwk_of(key: Private) -> Jwk:
    return published(described(fit(key.public_key(), "it"), None, "it"))


def kid_of(key: Private) -> str:
    return str(jwk_of(key)["kid"])


RSA, EC = private("rsa-2048"), private("ec-p256")


def issued(key: Private, *, until: timedelta = 90 * DAY) -> Issued:
    return authority().issue("signer", key, until=START + until)


# --- what is found


def test_a_chain_is_found_for_its_key_in_der_and_in_order(tmp_path: Path) -> None:
    for key, name in ((RSA, "rsa.pem"), (EC, "ec.crt")):
        (tmp_path / name).write_bytes(issued(key).chain)
    chains = read_chains(tmp_path, START)
    assert set(chains.by_kid) == {kid_of(RSA), kid_of(EC)}
    for key in (RSA, EC):
        leaf, above = (x509.load_der_x509_certificate(one) for one in chains.by_kid[kid_of(key)])
        assert leaf.public_key() == key.public_key()
        assert above == authority().certificate
    assert chains.doubts == []


def test_of_several_for_one_key_the_one_valid_longest_is_taken(tmp_path: Path) -> None:
    for days in (30, 200, 90):
        (tmp_path / f"{days}.pem").write_bytes(issued(EC, until=days * DAY).chain)
    (chain,) = read_chains(tmp_path, START).by_kid.values()
    assert x509.load_der_x509_certificate(chain[0]).not_valid_after_utc == START + 200 * DAY


def test_a_certificate_alone_and_one_that_signed_itself_are_chains(tmp_path: Path) -> None:
    (tmp_path / "alone.pem").write_bytes(pem(issued(EC).certificate))
    (tmp_path / "self.pem").write_bytes(pem(root().certificate))
    assert {len(chain) for chain in read_chains(tmp_path, START).by_kid.values()} == {1}


def test_a_private_key_beside_a_chain_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "both.pem").write_bytes(issued(EC).secret + issued(EC).chain)
    (chain,) = read_chains(tmp_path, START).by_kid.values()
    assert len(chain) == 2


def test_other_files_and_keys_that_are_never_ours_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("put certificates here")
    (tmp_path / ".new.pem").write_text("half")
    stranger = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder(
        issuer_name=authority().certificate.subject,
        subject_name=authority().certificate.subject,
        public_key=stranger.public_key(),
        serial_number=7,
        not_valid_before=START,
        not_valid_after=START + DAY,
    )
    (tmp_path / "ed25519.pem").write_bytes(pem(builder.sign(stranger, None)))
    assert read_chains(tmp_path, START).by_kid == {}


def test_dates_that_are_over_or_yet_to_come_are_told_and_no_more_than_told(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(issued(EC).chain)
    late = read_chains(tmp_path, START + 91 * DAY)
    assert late.doubts == [f"a certificate in {tmp_path / 'a.pem'} ended on 2027-02-18T12:00:00Z"]
    early = read_chains(tmp_path, START - 2 * DAY)
    assert f"a certificate in {tmp_path / 'a.pem'} is not valid before 2026-11-19T12:00:00Z" in early.doubts
    assert late.by_kid == early.by_kid != {}


# --- what is refused


def broken(content: bytes) -> bytes:
    return content.replace(b"M", b"N", 3)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "holds no certificate in PEM"),
    "words": (lambda: b"canary", "holds no certificate in PEM"),
    "a key": (lambda: issued(EC).secret, "holds no certificate in PEM"),
    "damaged": (lambda: broken(issued(EC).chain), "holds no certificate in PEM, or a damaged one"),
    "cut off": (lambda: issued(EC).chain[:-40], "holds no certificate in PEM, or a damaged one"),
    "upside down": (
        lambda: pem(authority().certificate) + pem(issued(EC).certificate),
        "are not each issued by the next",
    ),
    "a link missing": (
        lambda: pem(issued(EC).certificate) + pem(root().certificate),
        "are not each issued by the next",
    ),
    "twice": (lambda: issued(EC).chain * 2, "are not each issued by the next"),
    "huge": (lambda: issued(EC).chain + b"\n" * LARGEST, "is no file of at most"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_chain_is_named(tmp_path: Path, name: str) -> None:
    content, said = BAD[name]
    (tmp_path / "good.pem").write_bytes(issued(RSA).chain)
    (tmp_path / "bad.pem").write_bytes(content())
    with pytest.raises(ConfigurationError, match=said) as refused:
        read_chains(tmp_path, START)
    assert str(tmp_path / "bad.pem") in refused.value.what
    assert refused.value.hint
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("trap", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path, trap: Callable[[Path], None]) -> None:
    trap(tmp_path / "trap.pem")
    with pytest.raises(ConfigurationError, match=r"trap\.pem"):
        read_chains(tmp_path, START)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere cannot be read: No such file or directory"):
        read_chains(tmp_path / "nowhere", START)


# --- as they are published


@pytest.fixture
def shelf() -> Shelf:
    return Shelf("https://oidc.example.com", max_age=timedelta(minutes=5))


def keys_on(shelf: Shelf) -> list[dict[str, object]]:
    document = shelf.document(JWKS_PATH)
    assert document is not None
    found: list[dict[str, object]] = json.loads(document.body)["keys"]
    return found


async def test_certificates_are_looked_up_anew_each_time(tmp_path: Path, shelf: Shelf) -> None:
    told: list[str] = []
    publisher = WithCertificates(shelf, tmp_path, FakeClock(), told.append)
    await publisher.publish([jwk_of(EC), jwk_of(RSA)], [])
    assert keys_on(shelf) == [jwk_of(EC), jwk_of(RSA)]
    mine = issued(EC)
    (tmp_path / "ec.pem").write_bytes(mine.chain)
    await publisher.publish([jwk_of(EC), jwk_of(RSA)], [])
    assert keys_on(shelf)[0]["x5c"] == [base64.b64encode(one).decode() for one in (mine.der, authority().der)]
    assert keys_on(shelf)[1] == jwk_of(RSA)
    (tmp_path / "ec.pem").unlink()
    await publisher.publish([jwk_of(EC)], [kid_of(RSA)])
    assert keys_on(shelf) == [jwk_of(EC)]
    assert told == []


async def test_a_certificate_that_has_ended_is_told_of_once_and_shown(tmp_path: Path, shelf: Shelf) -> None:
    (tmp_path / "ec.pem").write_bytes(issued(EC, until=timedelta(hours=1)).chain)
    told: list[str] = []
    clock = FakeClock()
    publisher = WithCertificates(shelf, tmp_path, clock, told.append)
    await clock.advance(2 * DAY)
    for _ in range(3):
        await publisher.publish([jwk_of(EC)], [])
    assert told == [f"a certificate in {tmp_path / 'ec.pem'} ended on 2026-11-20T13:00:00Z"]
    assert "x5c" in keys_on(shelf)[0]


async def test_a_bad_file_stops_a_publication_and_what_was_shown_stays(tmp_path: Path, shelf: Shelf) -> None:
    publisher = WithCertificates(shelf, tmp_path, FakeClock(), lambda _: None)
    await publisher.publish([jwk_of(EC)], [])
    (tmp_path / "bad.pem").write_bytes(b"half")
    with pytest.raises(PublishingFailed, match=r"bad\.pem"):
        await publisher.publish([jwk_of(RSA)], [])
    assert keys_on(shelf) == [jwk_of(EC)]


def test_a_bundle_of_all_that_somebody_trusts_is_no_chain(tmp_path: Path) -> None:
    (tmp_path / "bundle.pem").write_bytes(pem(root().certificate) * 11)
    with pytest.raises(ConfigurationError, match="holds 11 certificates"):
        read_chains(tmp_path, START)
