import ssl
from pathlib import Path

import pytest

from agent.authorities import trusting
from agent.sandbox.tls import new_authority


def test_nothing_older_than_tls_1_2_is_spoken_and_names_are_checked() -> None:
    context = trusting(None)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_bundle_takes_the_place_of_those_of_the_machine(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(new_authority("an authority of our own").pem)
    (trusted,) = trusting(bundle).get_ca_certs()
    assert "an authority of our own" in str(trusted)


def test_no_session_key_is_written_down_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert trusting(None).keylog_filename is None


@pytest.mark.parametrize("content", [None, b"", b"no certificates"])
def test_a_file_that_is_none_is_said_to_be_none(tmp_path: Path, content: bytes | None) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        trusting(bundle)
