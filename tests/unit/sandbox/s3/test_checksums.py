"""Are checksums those that the rest of the world computes?"""

import base64

import pytest

from agent.sandbox.refusals import Refusal
from agent.sandbox.s3.checksums import CHECKSUMS, check_body


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
        ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ],
)
def test_the_usual_check_value(kind: str, digest: str) -> None:
    """Of "123456789", as catalogues of checksums give it."""
    assert CHECKSUMS[kind](b"123456789").hex() == digest


def test_right_ones_are_repeated_and_wrong_ones_refused() -> None:
    right = {"x-amz-checksum-crc32": base64.b64encode(bytes.fromhex("cbf43926")).decode()}
    assert check_body(b"123456789", {**right, "x-amz-checksum-algorithm": "CRC32", "host": "x"}) == right
    with pytest.raises(Refusal, match="BadDigest: The CRC32 you specified did not match the calculated checksum"):
        check_body(b"12345678", right)
    with pytest.raises(Refusal, match="InvalidRequest: Value for x-amz-checksum-md9 header is invalid"):
        check_body(b"", {"x-amz-checksum-md9": "AA=="})


def test_content_md5_counts_too() -> None:
    check_body(b"", {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
    with pytest.raises(Refusal, match="BadDigest: The Content-MD5"):
        check_body(b"x", {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
