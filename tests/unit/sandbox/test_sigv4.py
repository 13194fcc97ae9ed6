"""Are signatures read and computed as AWS does it?"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.sandbox.sigv4 import Unreadable, is_signed_by, read_signature
from agent.sandbox.wire import Wire
from agent.secret import Secret
from tests.unit.sandbox.signing import CREDENTIALS, sign, wire_of

SECRET = Secret(CREDENTIALS.secret_key)


def verifies(wire: Wire, secret: Secret = SECRET) -> bool:
    signature = read_signature(wire)
    assert signature is not None
    payload = wire.headers.get("x-amz-content-sha256", hashlib.sha256(wire.body).hexdigest())
    if signature.service == "s3" and signature.lifetime is not None:
        payload = "UNSIGNED-PAYLOAD"
    return is_signed_by(secret, signature, wire, payload)


def test_the_plainest_of_the_published_examples() -> None:
    """get-vanilla of AWS's Signature Version 4 test suite."""
    wire = Wire(
        "GET",
        "/",
        "",
        {
            "host": "example.amazonaws.com",
            "x-amz-date": "20150830T123600Z",
            "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=host;x-amz-date, "
            "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        },
    )
    signature = read_signature(wire)
    assert signature is not None
    assert signature.access_key_id == "AKIDEXAMPLE"
    assert signature.moment == datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    assert verifies(wire, Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
    assert not verifies(wire, Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEX"))


KEYS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda key: not {"", ".", ".."} & set(key.split("/"))
)
QUERY = st.dictionaries(st.sampled_from(["prefix", "marker", "a b", "ü"]), KEYS | st.just(""), max_size=3)
SERVICES = st.sampled_from(["s3", "sts"])


@given(SERVICES, KEYS, QUERY, st.binary(max_size=20), st.sampled_from([0, 60]))
def test_what_botocore_signs_verifies(
    service: str, key: str, query: dict[str, str], body: bytes, presigned_for: int
) -> None:
    if presigned_for:
        assume("" not in query.values())  # botocore's presigner takes a query apart and drops empty values
        body = b""
    url = f"http://127.0.0.1:1/{quote(key)}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    request = sign("PUT", url, service=service, body=body, presigned_for=presigned_for)
    assert verifies(wire_of(request))


@given(st.data(), st.sampled_from([0, 60]))
def test_whatever_is_changed_breaks_the_signature(data: st.DataObject, presigned_for: int) -> None:
    url = "http://127.0.0.1:1/bucket/key?prefix=a"
    wire = wire_of(sign("GET", url, service="s3", headers={"x-amz-meta-a": "b"}, presigned_for=presigned_for))
    changes = [
        replace(wire, method="PUT"),
        replace(wire, path="/bucket/kez"),
        replace(wire, query=wire.query.replace("prefix=a", "prefix=b")),
        replace(wire, query=f"more=1&{wire.query}"),
        replace(wire, headers={**wire.headers, "host": "127.0.0.1:2"}),
    ]
    if not presigned_for:
        changes += [
            replace(wire, headers={**wire.headers, "x-amz-meta-a": "c"}),
            replace(wire, headers={**wire.headers, "x-amz-security-token": "another"}),
        ]
    assert verifies(wire)
    assert not verifies(data.draw(st.sampled_from(changes)))


def test_blanks_in_header_values_do_not_matter() -> None:
    wire = wire_of(sign("GET", "http://127.0.0.1:1/", headers={"x-amz-meta-a": "b  c"}))
    assert verifies(replace(wire, headers={**wire.headers, "x-amz-meta-a": "  b c "}))


def test_a_request_without_signature_has_none() -> None:
    assert read_signature(Wire("GET", "/", "a=b", {"host": "x"})) is None


GOOD = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'a' * 64}"
)


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer token",
        "",
        GOOD.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        GOOD.replace("SignedHeaders", "Headers"),
        GOOD.replace("a" * 64, "a" * 63),
        GOOD.replace("a" * 64, "g" * 64),
        GOOD.replace("AKIDEXAMPLE/", ""),
        GOOD.replace("/aws4_request", "/aws4"),
        GOOD.replace("/us-east-1", ""),
        GOOD.replace("host;", ""),
        GOOD.replace("20150830", "20150831"),
    ],
)
def test_a_signature_that_cannot_be_read_is_said_to_be_so(authorization: str) -> None:
    headers = {"host": "x", "x-amz-date": "20150830T123600Z", "authorization": authorization}
    with pytest.raises(Unreadable):
        read_signature(Wire("GET", "/", "", headers))


@pytest.mark.parametrize("date", ["", "2015-08-30T12:36:00Z", "20150830", "20151330T123600Z"])
def test_a_date_that_cannot_be_read_is_said_to_be_so(date: str) -> None:
    with pytest.raises(Unreadable):
        read_signature(Wire("GET", "/", "", {"host": "x", "x-amz-date": date, "authorization": GOOD}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Amz-Algorithm", "AWS4"),
        ("X-Amz-Expires", "604801"),
        ("X-Amz-Expires", "0"),
        ("X-Amz-Expires", "soon"),
        ("X-Amz-Signature", "zz"),
        ("X-Amz-Credential", ""),
        ("X-Amz-SignedHeaders", ""),
        ("X-Amz-Date", ""),
    ],
)
def test_a_presigned_url_that_cannot_be_read_is_said_to_be_so(name: str, value: str) -> None:
    wire = wire_of(sign("GET", "http://127.0.0.1:1/bucket/key", service="s3", presigned_for=60))
    parts = [part for part in wire.query.split("&") if not part.startswith(f"{name}=")]
    with pytest.raises(Unreadable):
        read_signature(replace(wire, query="&".join([*parts, f"{name}={value}"])))
