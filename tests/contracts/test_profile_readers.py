"""Does every reader of a shared credentials file find in it what we have written, and what others have?"""

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.credentials import SharedCredentialProvider

from agent.outputs.profiles import with_entries

pytestmark = pytest.mark.long

ENTRIES = {
    "aws_access_key_id": "ASIA0000000000000001",
    "aws_secret_access_key": "wJalr/XUtn+FEMI=",
    "aws_session_token": "IQoJb3JpZ2luX2Vj" * 60 + "==",
    "aws_account_id": "123456789012",
    "x_security_token_expires": "2026-11-20T13:00:00Z",
}
MINE = b"aws_access_key_id = AKIAMINE\naws_secret_access_key = mine\n"

#: Files as people and tools leave them, with a profile `work` in each.
FILES = {
    "plain": b"[default]\n" + MINE + b"[work]\n" + MINE,
    "windows": (b"[work]\n" + MINE).replace(b"\n", b"\r\n"),
    "no end": (b"# notes\n\n[work]\n" + MINE).removesuffix(b"\n"),
    "comments": b"; old\n#[rolecall]\n[work]\n" + MINE + b"# [rolecall]\n",
    "nested": b"[work]\n" + MINE + b"s3 =\n  max_concurrent_requests = 20\n  addressing_style = path\n",
    "used before": b"[rolecall]\nregion = x\nAWS_Security_Token = old\n[work]\n" + MINE,
}

#: Gives access key id, secret key and session token of a profile of a file. Raises LookupError if it finds none.
Reader = Callable[[Path, str], tuple[str, str, str]]


def read_by_botocore(path: Path, profile: str) -> tuple[str, str, str]:
    found = SharedCredentialProvider(str(path), profile).load()
    if found is None:
        raise LookupError(profile)
    return found.access_key, found.secret_key, found.token or ""


def read_by_the_crt(path: Path, profile: str) -> tuple[str, str, str]:
    io, auth = pytest.importorskip("awscrt.io"), pytest.importorskip("awscrt.auth")
    group = io.EventLoopGroup(1)
    bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
    try:
        provider = auth.AwsCredentialsProvider.new_profile(
            bootstrap, profile_name=profile, config_filepath="/dev/null", credentials_filepath=str(path)
        )
        found = provider.get_credentials().result(10)
    except (RuntimeError, pytest.importorskip("awscrt.exceptions").AwsCrtError) as error:
        raise LookupError(profile) from error
    return found.access_key_id, found.secret_access_key, found.session_token or ""


READERS: list[Reader] = [read_by_botocore, read_by_the_crt]


@pytest.fixture(params=FILES.values(), ids=list(FILES))
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "credentials"
    path.write_bytes(with_entries(request.param, "rolecall", ENTRIES))
    return path


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_it_finds_the_set(path: Path, reader: Reader) -> None:
    assert reader(path, "rolecall") == tuple(ENTRIES.values())[:3]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_it_finds_what_others_have_written(path: Path, reader: Reader) -> None:
    assert reader(path, "work") == ("AKIAMINE", "mine", "")


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_it_finds_nothing_when_the_set_is_over(path: Path, reader: Reader) -> None:
    path.write_bytes(with_entries(path.read_bytes(), "rolecall", {}))
    with pytest.raises(LookupError):
        reader(path, "rolecall")
