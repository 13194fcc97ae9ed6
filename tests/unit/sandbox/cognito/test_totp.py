import base64
from datetime import UTC, datetime, timedelta

import pytest

from agent.sandbox.cognito.totp import STEP, code_at, step_of

#: RFC 6238, appendix B, the secret of its SHA-1 examples; the last six of eight digits.
SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    assert code_at(SECRET, seconds // STEP) == code


def test_padding_and_case_of_a_secret_do_not_matter() -> None:
    assert code_at("jbswy3dpehpk3pxp", 1) == code_at("JBSWY3DPEHPK3PXP", 1)
    assert code_at("MFRGG", 1) == code_at("MFRGG===", 1)


def test_a_code_is_good_now_and_one_step_either_way() -> None:
    now = datetime(2026, 11, 20, 12, 0, 5, tzinfo=UTC)
    step = int(now.timestamp()) // STEP
    code = code_at(SECRET, step)
    for seconds, good in ((-60, False), (-30, True), (0, True), (30, True), (60, False)):
        assert (step_of(SECRET, code, now + timedelta(seconds=seconds)) == step) is good
    assert step_of(SECRET, "ä", now) is None
