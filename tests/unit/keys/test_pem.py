import os
import re
import shutil
import socket
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    KeySerializationEncryption,
    PrivateFormat,
)

from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, Kind
from agent.keys.files import write_new
from agent.keys.pem import PemKey, generate, read_passphrase
from agent.secret import Secret
from tests.fakes.key_files import CERTIFICATE, ENCRYPTED, PASSPHRASE, REFUSALS, Refusal, as_pem, private, traditional
from tests.fakes.memory_key import KINDS, pem

pytestmark = pytest.mark.long


def put(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


# What is taken


@pytest.mark.parametrize("encryption", [None, ENCRYPTED], ids=["plain", "encrypted"])
@pytest.mark.parametrize("style", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["pkcs8", "traditional"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_the_same_in_every_format(
    kind: Kind, style: PrivateFormat, encryption: KeySerializationEncryption | None, tmp_path: Path
) -> None:
    path = put(tmp_path / "key.pem", as_pem(private(kind), style, encryption))

    key = PemKey.read(path, passphrase=PASSPHRASE if encryption else None)

    assert key.public == PemKey.parse(Secret(pem(kind).decode()), origin="a test").public


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("rsa-2048", "RS256"), ("rsa-4096", "RS256"), ("ec-p256", "ES256"), ("ec-p384", "ES384"), ("ec-p521", "ES512")],
)
def test_the_algorithm_follows_from_the_key(kind: Kind, algorithm: Algorithm) -> None:
    assert PemKey.parse(Secret(pem(kind).decode()), origin="a test").public.algorithm == algorithm


@pytest.mark.parametrize(
    "dress",
    [
        pytest.param(lambda key: key.replace(b"\n", b"\r\n"), id="windows line ends"),
        pytest.param(lambda key: b"\xef\xbb\xbf" + key, id="byte order mark"),
        pytest.param(lambda key: b"Bag Attributes\n    friendlyName: web\n" + key, id="text before"),
        pytest.param(lambda key: key.rstrip(b"\n"), id="no newline at the end"),
        pytest.param(
            lambda key: b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + key,
            id="parameters before",
        ),
        pytest.param(lambda key: key + CERTIFICATE, id="certificate after"),
    ],
)
def test_what_tools_put_around_a_key_does_not_matter(dress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = put(tmp_path / "key.pem", dress(traditional("ec-p256")))

    assert PemKey.read(path).public.algorithm == "ES256"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize(
    "command",
    [
        "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        "ecparam -name prime256v1 -genkey",
        "genrsa -aes256 -passout pass:opensesame 2048",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes-256-cbc -pass pass:opensesame",
    ],
)
def test_keys_that_openssl_makes_are_taken(command: str, tmp_path: Path) -> None:
    made = subprocess.run(["openssl", *command.split()], check=True, capture_output=True).stdout
    passphrase = Secret("opensesame") if "opensesame" in command else None

    assert PemKey.read(put(tmp_path / "key.pem", made), passphrase=passphrase).public.kid


# What is refused, and in which words


def refuse(refusal: Refusal, path: Path) -> AgentError:
    put(path, refusal.content())
    with pytest.raises(AgentError) as caught:
        PemKey.read(path, passphrase=refusal.passphrase, algorithm=refusal.algorithm)
    return caught.value


@pytest.mark.parametrize("name", list(REFUSALS))
def test_every_file_that_is_no_good_has_its_sentence(name: str, tmp_path: Path) -> None:
    error = refuse(REFUSALS[name], tmp_path / "key.pem")

    assert type(error) is REFUSALS[name].error
    assert error.what.replace(str(tmp_path / "key.pem"), "FILE") == REFUSALS[name].sentence
    assert error.hint.replace(str(tmp_path / "key.pem"), "FILE") == REFUSALS[name].hint


@pytest.mark.parametrize("name", list(REFUSALS))
def test_no_error_or_traceback_shows_a_key_or_a_passphrase(name: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"

    error = refuse(REFUSALS[name], path)

    assert error.__traceback__ is not None
    # From the first frame of ours on, with every local variable, as crash reporters show them.
    shown = "".join(
        traceback.TracebackException(
            type(error), error, error.__traceback__.tb_next, capture_locals=True, compact=False
        ).format()
    )
    assert "agent/keys/pem.py" in shown
    assert "canary" not in shown
    body = [line for line in path.read_text("latin-1").splitlines() if re.fullmatch(r"[A-Za-z0-9+/=]{20,}", line)]
    assert not [line for line in body if line in shown]


# Who else may read it


@pytest.mark.parametrize("mode", [0o640, 0o660, 0o604, 0o602, 0o601, 0o610, 0o644, 0o777])
def test_a_file_that_others_have_any_right_to_is_refused(mode: int, tmp_path: Path) -> None:
    path = put(tmp_path / "key.pem", pem("ec-p256"), mode)

    with pytest.raises(KeyUnavailable) as caught:
        PemKey.read(path)

    assert caught.value.what == f"the private key file {path} is open to others than its owner (mode {mode:04o})"
    assert f"chmod 600 {path}" in caught.value.hint


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_file_of_its_owner_alone_is_taken(mode: int, tmp_path: Path) -> None:
    assert PemKey.read(put(tmp_path / "key.pem", pem("ec-p256"), mode))


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    put(tmp_path / "closed", pem("ec-p256"))
    put(tmp_path / "open", pem("ec-p256"), 0o644)
    (tmp_path / "to-closed").symlink_to("closed")
    (tmp_path / "to-open").symlink_to("open")

    assert PemKey.read(tmp_path / "to-closed")
    with pytest.raises(KeyUnavailable, match="open to others"):
        PemKey.read(tmp_path / "to-open")


def test_systemd_may_set_the_group_bits_of_a_credential(tmp_path: Path) -> None:
    path = put(tmp_path / "key", pem("ec-p256"), 0o440)

    assert PemKey.read(path, credentials_directory=tmp_path)


@pytest.mark.parametrize("where", ["elsewhere/key", "credentials/inner/key"])
def test_the_group_bits_count_everywhere_else(where: str, tmp_path: Path) -> None:
    (tmp_path / where).parent.mkdir(parents=True)
    path = put(tmp_path / where, pem("ec-p256"), 0o440)

    with pytest.raises(KeyUnavailable, match="open to others"):
        PemKey.read(path, credentials_directory=tmp_path / "credentials")


def test_not_even_systemd_opens_a_key_to_everyone(tmp_path: Path) -> None:
    path = put(tmp_path / "key", pem("ec-p256"), 0o444)

    with pytest.raises(KeyUnavailable, match="open to others"):
        PemKey.read(path, credentials_directory=tmp_path)


def test_a_link_out_of_the_credentials_directory_is_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", pem("ec-p256"), 0o640)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "key").symlink_to(outside)

    with pytest.raises(KeyUnavailable, match="cannot be read"):
        PemKey.read(credentials / "key", credentials_directory=credentials)


# What is no file


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable) as caught:
        PemKey.read(tmp_path / "key.pem")

    assert caught.value.what == f"the private key file {tmp_path}/key.pem does not exist"
    assert caught.value.hint == "correct the path, or make a key: rolecall keys new"


def test_a_path_through_a_file_does_not_exist_either(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match="does not exist"):
        PemKey.read(put(tmp_path / "key.pem", pem("ec-p256")) / "key.pem")


def test_a_path_that_cannot_be_is_refused() -> None:
    with pytest.raises(KeyUnavailable, match="does not exist"):
        PemKey.read(Path("/etc/key\0.pem"))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match="is a directory"):
        PemKey.read(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    with pytest.raises(KeyUnavailable, match="is no ordinary file"):
        PemKey.read(tmp_path / "pipe")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a socket has to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("key")
        with pytest.raises(KeyUnavailable, match="cannot be read"):
            PemKey.read(tmp_path / "key")


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pem").symlink_to("key.pem")

    with pytest.raises(KeyUnavailable, match="cannot be read: Too many levels of symbolic links"):
        PemKey.read(tmp_path / "key.pem")


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "key.pem", pem("ec-p256"), 0o000)
    we = os.geteuid()
    if we == 0:  # whom no mode keeps out
        os.seteuid(65534)
    try:
        with pytest.raises(KeyUnavailable, match="cannot be read: Permission denied"):
            PemKey.read(path)
    finally:
        os.seteuid(we)


# Making keys


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_is_made_can_be_read(kind: Kind, tmp_path: Path) -> None:
    write_new(tmp_path / "key.pem", pem(kind))

    public = PemKey.read(tmp_path / "key.pem").public

    assert pem(kind).startswith(b"-----BEGIN PRIVATE KEY-----")
    assert public.jwk["kty"] == ("RSA" if kind.startswith("rsa") else "EC")


def test_no_key_is_made_whose_name_would_be_an_option() -> None:
    kids = {PemKey.parse(Secret(generate("ec-p256").decode()), origin="a test").public.kid for _ in range(400)}

    assert len(kids) == 400
    assert not [kid for kid in kids if kid.startswith("-")]  # by chance that would be so once in five hundred times


def test_a_key_can_be_made_encrypted() -> None:
    made = Secret(generate("ec-p256", passphrase=PASSPHRASE).decode())

    assert PemKey.parse(made, origin="a test", passphrase=PASSPHRASE)
    with pytest.raises(ConfigurationError, match="is encrypted"):
        PemKey.parse(made, origin="a test")


# Passphrases


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        ("secret", "secret"),
        ("secret\n", "secret"),
        ("secret\n\n", "secret\n"),
        (" se cret \n", " se cret "),
        ("ä", "ä"),
    ],
)
def test_of_a_passphrase_one_newline_at_the_end_is_dropped(content: str, passphrase: str, tmp_path: Path) -> None:
    path = put(tmp_path / "passphrase", content.encode())

    assert read_passphrase(path).reveal() == passphrase


def test_a_passphrase_of_the_greatest_length_is_taken(tmp_path: Path) -> None:
    passphrase = read_passphrase(put(tmp_path / "passphrase", b"p" * 1023 + b"\n"))

    made = Secret(generate("ec-p256", passphrase=passphrase).decode())

    assert PemKey.parse(made, origin="a test", passphrase=passphrase)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the passphrase file FILE is empty"),
        (b"\n", "the passphrase in FILE is empty"),
        (b"canary \xff", "the passphrase in FILE is not UTF-8 text"),
        (b"canary" * 200, "the passphrase file FILE is larger than 1024 bytes, which no passphrase is"),
    ],
)
def test_a_file_that_holds_no_passphrase_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = put(tmp_path / "passphrase", content)

    with pytest.raises(KeyUnavailable) as caught:
        read_passphrase(path)

    assert caught.value.what.replace(str(path), "FILE") == sentence
    shown = "".join(
        traceback.TracebackException(
            KeyUnavailable, caught.value, caught.tb.tb_next, capture_locals=True, compact=False
        ).format()
    )
    assert "canary" not in shown


def test_a_passphrase_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "passphrase", b"secret", 0o644)

    with pytest.raises(KeyUnavailable, match="is open to others than its owner"):
        read_passphrase(path)


def test_a_missing_passphrase_is_not_to_be_made_with_keys_new(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable) as caught:
        read_passphrase(tmp_path / "passphrase")

    assert caught.value.hint == "correct the path"


# What a key shows of itself


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_shows_its_name_and_nothing_else(kind: Kind) -> None:
    key = PemKey.parse(Secret(pem(kind).decode()), origin="a test")

    assert repr(key) == str(key) == f"PemKey({key.public.kid}, {key.public.algorithm})"
    assert not hasattr(key, "__dict__")
